"""What each RPC refuses, read from its comment and from the error classes: `gen/astronote/refusals.json`.

The comment names reasons (`PHONE_TAKEN`), or another RPC (what `CreateContact` refuses); the class of that reason says
its code and its words. The gateway documents them, and may not import the services that own them.
"""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import kit
import services
from kit.errors import DomainError

REASON = re.compile(r"`([A-Z][A-Z0-9_]+)`")
OTHER_METHOD = re.compile(r"what `(\w+)` refuses", re.IGNORECASE)


def write(comments: Path, target: Path) -> int:
    """Reads what `deploy.protos` has written of the comments. A reason of kit's is any service's."""
    said: dict[str, str] = json.loads(comments.read_text(encoding="utf-8"))
    known = {f"{owner}.{each.reason()}": each for owner, each in _classes()}
    methods = {name: list(dict.fromkeys(_named(name, said, set(known)))) for name in said if _is_method(name)}
    used = {reason for found in methods.values() for reason in found}
    reasons = {
        reason: {"code": known[reason].code.name, "message": known[reason].__doc__}
        for reason in known
        if reason in used or reason.startswith("kit.")
    }
    found = {"methods": {name: reasons for name, reasons in methods.items() if reasons}, "reasons": reasons}
    target.write_text(json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
    return 0


def _classes() -> Iterator[tuple[str, type[DomainError]]]:
    """Every refusal and who says it; `kit` where any service may."""
    for name in (module.name for module in pkgutil.iter_modules(kit.__path__, "kit.")):
        for member in vars(importlib.import_module(name)).values():
            if isinstance(member, type) and issubclass(member, DomainError) and member.__module__ == name:
                yield "kit", member
    for service in (module.name for module in pkgutil.iter_modules(services.__path__)):
        for member in vars(importlib.import_module(f"services.{service}.errors")).values():
            if isinstance(member, type) and issubclass(member, DomainError) and not member.__module__.startswith("kit"):
                yield service, member


def _is_method(name: str) -> bool:
    """`astronote.contacts.v1.ContactsService.GetContact`."""
    return len(parts := name.split(".")) == 5 and parts[3].endswith("Service")


def _named(method: str, said: dict[str, str], known: set[str]) -> Iterator[str]:
    """The reasons that the method's comment names: its service's own, kit's, or another's, which is passed on."""
    words, own = said[method], method.split(".")[1]
    for reason in REASON.findall(words):
        owners = sorted({name.partition(".")[0] for name in known if name.endswith(f".{reason}")})
        if owners:
            yield f"{own if own in owners else 'kit' if 'kit' in owners else owners[0]}.{reason}"
    package = method.rsplit(".", 2)[0]
    for other in OTHER_METHOD.findall(words):
        for name in said:
            if name.startswith(f"{package}.") and name.endswith(f"Service.{other}") and name != method:
                yield from _named(name, said, known)
