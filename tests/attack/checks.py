"""What schemathesis holds every answer against beside its own checks; it loads this file by its environment."""

from typing import Any

import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection


@schemathesis.check
def wrong_data_is_refused(context: Any, response: Any, case: Any) -> bool | None:
    """As `negative_data_rejection`, but for what our JSON allows and its schema does not say: a null is left out."""
    if holds_null(case.body):
        return None
    found: bool | None = negative_data_rejection(context, response, case)
    return found


def holds_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(holds_null, value.values()))
    return any(map(holds_null, value)) if isinstance(value, list) else value is None
