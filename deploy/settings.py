"""Makes docs/settings.md from the settings themselves: `make settings`.

A setting's meaning is the `#:` comment above it; its class says the rest.
"""

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from kit.config import MeshSettings, ServiceSettings

FILE = Path(__file__).parents[1] / "docs/settings.md"
SERVICES = ("accounts", "contacts", "campaigns", "wallet", "sender", "gateway")
HEAD = """# Settings

Read from the environment once, at start; a missing or wrong one stops the process and is named in its last line. Made
from `kit/config.py` and `services/*/settings.py` by `make settings`. A setting without a default has to be given.
**Secret**: from a Secret, never from a ConfigMap (`tests/deploy/test_kubernetes.py`).
"""
FIELD = re.compile(r"^    (\w+): ")
SAID = re.compile(r"^    #: ?(.*)")


def meanings(settings: type[MeshSettings]) -> dict[str, str]:
    """What stands above each field of the class itself."""
    found, said = {}, list[str]()
    for line in inspect.getsource(settings).splitlines():
        if comment := SAID.match(line):
            said.append(comment[1])
            continue
        if field := FIELD.match(line):
            found[field[1]] = " ".join(said)
        said = []
    return found


def rows(settings: type[MeshSettings]) -> Iterator[str]:
    own = meanings(settings)
    for name, info in settings.model_fields.items():
        if name in own:
            yield f"| `{name.upper()}` | {default(info)} | {own[name]}{bounds(info)} |"


def default(info: FieldInfo) -> str:
    if info.is_required():
        return "**secret**, required" if info.annotation is SecretStr else "required"
    value: Any = info.default if info.default is not PydanticUndefined else info.get_default(call_default_factory=True)
    if isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer():
        return f"`{int(value)}`"
    return f"`{value}`" if value not in ("", ()) else "empty"


def bounds(info: FieldInfo) -> str:
    """The limits that the definition holds it to."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    said = [f"{signs[key]} {getattr(each, key)}" for each in info.metadata for key in signs if hasattr(each, key)]
    if choices := [str(each) for each in get_args(info.annotation) if isinstance(each, str) and each]:
        said.append(" or ".join(f"`{choice}`" for choice in choices))
    return f" ({', '.join(said)})" if said else ""


def section(title: str, settings: type[MeshSettings], words: str = "") -> str:
    table = "\n".join(["| Setting | Default | Meaning |", "|---|---|---|", *rows(settings)])
    return f"\n## {title}\n\n{words}{table}\n"


def text() -> str:
    parts = [
        HEAD,
        section("Every process", MeshSettings, "The operator's command line, too.\n\n"),
        section("Every service with a database", ServiceSettings, "All but the gateway.\n\n"),
    ]
    for name in SERVICES:
        settings = importlib.import_module(f"services.{name}.settings").Settings
        parts.append(section(f"`{name}`", settings))
    return "".join(parts)


def main() -> int:
    FILE.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
