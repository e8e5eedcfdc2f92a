"""Bodies as Stripe takes them: `line_items[0][price_data][currency]=eur`."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from deploy.local.stripe.errors import RefusedError

_PARTS = re.compile(r"[^\[\]]+|(?<=\[)(?=\])")


def parsed(text: str) -> dict[str, Any]:
    """Nested; what is numbered is a list, and every value is text."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        *path, last = _PARTS.findall(name)
        place = found
        for part in path:
            place = place.setdefault(part, {})
        place[last or str(len(place))] = value
    return {name: _listed(value) for name, value in found.items()}


def check(form: dict[str, Any], known: Iterable[str]) -> None:
    """Refuses what Stripe would not know."""
    for name in form:
        if name not in known:
            raise RefusedError(400, f"Received unknown parameter: {name}", code="parameter_unknown")


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    nested = {name: _listed(each) for name, each in value.items()}
    return list(nested.values()) if nested and all(name.isdigit() for name in nested) else nested
