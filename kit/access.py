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
    """`role` that comes through the gateway (`public`, `merchant`, …; empty: none), and services that may call too: on
    behalf of a merchant where the role is a merchant's or none, unless it is `no_merchant`, which is for none at all.
    What is for operators is for none either.
    """

    role: str = ""
    services: frozenset[str] = frozenset()
    no_merchant: bool = False


def rule(method: MethodDescriptor) -> Rule:
    for option, value in method.GetOptions().ListFields():
        if option.full_name == OPTION:
            role = value.DESCRIPTOR.enum_types_by_name["Caller"].values_by_number[value.caller].name.lower()
            return Rule("" if role == "internal" else role, frozenset(value.services), value.no_merchant)
    return Rule()


def check(rule: Rule, caller: Caller) -> None:
    """Refuses `AccessDenied`. Only the gateway speaks in another role than that of a service, and only as itself does
    it call what is internal.
    """
    if caller.role == "service":
        allowed = caller.service in rule.services
    else:
        allowed = caller.service == GATEWAY and rule.role != "" and rule.role in (caller.role, "public")
    if not allowed or not _has_merchant_as_ruled(rule, caller.merchant_id):
        raise AccessDenied(service=caller.service, role=caller.role)


def _has_merchant_as_ruled(rule: Rule, merchant_id: str) -> bool:
    if rule.no_merchant or rule.role == "operator":
        return merchant_id == ""
    return rule.role not in ("merchant", "") or _is_uuid(merchant_id)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
