"""Who may call which method: the access option of the proto, held against the caller. Deny by default."""

from dataclasses import dataclass
from uuid import UUID

from google.protobuf.descriptor import MethodDescriptor

from kit.caller import Caller
from kit.errors import PermissionDenied

OPTION = "astronote.options.v1.access"
GATEWAY = "gateway"


class AccessDenied(PermissionDenied):
    """The caller may not call this method."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`role` that comes through the gateway (`public`, `merchant`, …; empty: none), and services that may call too."""

    role: str = ""
    services: frozenset[str] = frozenset()


def rule(method: MethodDescriptor) -> Rule:
    for option, value in method.GetOptions().ListFields():
        if option.full_name == OPTION:
            role = value.DESCRIPTOR.enum_types_by_name["Caller"].values_by_number[value.caller].name.lower()
            return Rule("" if role == "internal" else role, frozenset(value.services))
    return Rule()


def check(rule: Rule, caller: Caller) -> None:
    """Refuses `AccessDenied`."""
    if caller.service == GATEWAY:
        allowed = rule.role != "" and rule.role in (caller.role, "public")
    else:
        allowed = caller.role == "service" and caller.service in rule.services
    is_for_a_merchant = rule.role in ("merchant", "")
    if not allowed or (is_for_a_merchant and not _is_uuid(caller.merchant_id)):
        raise AccessDenied(service=caller.service, role=caller.role)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
