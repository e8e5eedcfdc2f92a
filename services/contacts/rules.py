"""Rules as merchants write them: every node checked, and named by its path where it is wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from zoneinfo import ZoneInfo

import phonenumbers

from astronote.contacts.v1.audience_pb2 import ActivityCondition, AgeCondition, FieldCondition, Rule
from astronote.contacts.v1.contacts_pb2 import Contact
from services.contacts.errors import RuleInvalid
from services.contacts.fields import ATTRIBUTE_NAME_LENGTH_MAX, TAG_LENGTH_MAX

DEPTH_MAX, NODES_MAX = 8, 200
VALUES_MAX, VALUE_LENGTH_MAX = 100, 500
AGE_MAX = 150
YEAR_MIN, YEAR_MAX = 1900, 2199
DAYS_MAX = 3_650
ATTRIBUTE = "attributes."
GENDERS = tuple(Contact.Gender.keys())
Op = FieldCondition.Op


class Kind(Enum):
    """What a field holds, and so what may be asked of it."""

    TEXT, ATTRIBUTE, DAY, CHOICE = range(4)


_TEXT = frozenset({Op.EQUALS, Op.IN, Op.CONTAINS, Op.STARTS_WITH, Op.ENDS_WITH, Op.IS_SET})
OPS = {
    Kind.TEXT: _TEXT,
    Kind.ATTRIBUTE: _TEXT | {Op.GREATER_THAN, Op.LESS_THAN},
    Kind.DAY: frozenset({Op.EQUALS, Op.BEFORE, Op.AFTER, Op.BETWEEN, Op.IS_SET}),
    Kind.CHOICE: frozenset({Op.EQUALS, Op.IN, Op.IS_SET}),
}
FIELDS = {
    **dict.fromkeys(("first_name", "last_name", "email", "phone", "language", "time_zone"), Kind.TEXT),
    **dict.fromkeys(("birthday", "create_time"), Kind.DAY),
    **dict.fromkeys(("gender", "tags", "country"), Kind.CHOICE),
}


@dataclass(frozen=True)
class Moment:
    """When a rule is asked: an instant, and the merchant's time zone, which says what day that is."""

    time: datetime
    zone: ZoneInfo

    def day(self) -> date:
        return self.time.astimezone(self.zone).date()

    def begin(self, day: date) -> datetime:
        """When a day of the merchant's begins."""
        return datetime.combine(day, time(), self.zone).astimezone(UTC)

    def before(self, days: int) -> datetime:
        return self.time - timedelta(days=days)


def born_by(years: int, day: date) -> date:
    """The last birthday of those who are at least so old on a day; who was born on a 29 February is a year older on the
    1 March of the other years.
    """
    year = max(day.year - years, 1)
    try:
        return day.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def celebrated(day: date) -> list[tuple[int, int]]:
    """The months and days of birth whose birthday a day is: that of a 29 February is the 28th in other years."""
    is_leap_day_eve = (day.month, day.day) == (2, 28) and (day + timedelta(days=1)).day == 1
    return [(day.month, day.day), *([(2, 29)] if is_leap_day_eve else [])]


def kind(name: str) -> Kind | None:
    if name.startswith(ATTRIBUTE) and 0 < len(name) - len(ATTRIBUTE) <= ATTRIBUTE_NAME_LENGTH_MAX:
        return Kind.ATTRIBUTE if "\x00" not in name else None
    return FIELDS.get(name)


def calling_code(country: str) -> str:
    """Such as `+30`; empty for what is no country."""
    code = phonenumbers.country_code_for_region(country)
    return f"+{code}" if code else ""


def asks_the_day(rule: Rule) -> bool:
    """Whether the merchant's time zone matters."""
    return any(
        node.HasField("age_between")
        or node.birthday
        or (node.HasField("field") and FIELDS.get(node.field.name) == Kind.DAY)
        for _, node in nodes(rule, "")
    )


def lists(rule: Rule, path: str) -> Iterator[tuple[str, str]]:
    """The lists that a rule names, each with the path of its node."""
    for at, node in nodes(rule, path):
        if node.HasField("in_list"):
            yield f"{at}.in_list", node.in_list


def nodes(rule: Rule, path: str) -> Iterator[tuple[str, Rule]]:
    """Every node with its path, the outer ones first. Refuses `RuleInvalid` where there are too many."""
    waiting, count = [(path, rule, 1)], 0
    while waiting:
        at, node, depth = waiting.pop(0)
        count += 1
        if depth > DEPTH_MAX or count > NODES_MAX:
            raise RuleInvalid(field=at, problem="TOO_LARGE", levels_max=DEPTH_MAX, nodes_max=NODES_MAX)
        yield at, node
        waiting += [(f"{at}.all_of[{index}]", each, depth + 1) for index, each in enumerate(node.all_of)]
        waiting += [(f"{at}.any_of[{index}]", each, depth + 1) for index, each in enumerate(node.any_of)]
        if node.HasField("not"):
            waiting.append((f"{at}.not", getattr(node, "not"), depth + 1))


def check(rule: Rule, path: str) -> None:
    """Refuses `RuleInvalid` with the node that is wrong."""
    for at, node in nodes(rule, path):
        said = [name for name in ("all_of", "any_of") if getattr(node, name)]
        said += [name for name in [node.WhichOneof("condition")] if name]
        if len(said) != 1:
            raise RuleInvalid(field=at, problem="SAYS_NOT_ONE_THING", says=", ".join(said))
        if checked := _CHECKS.get(said[0]):
            checked(node, f"{at}.{said[0]}")


def _gender(node: Rule, path: str) -> None:
    if node.gender not in GENDERS:
        raise RuleInvalid(field=path, problem="UNKNOWN", known=", ".join(GENDERS))


def _tag(node: Rule, path: str) -> None:
    if not 0 < len(node.has_tag) <= TAG_LENGTH_MAX or "\x00" in node.has_tag:
        raise RuleInvalid(field=path, problem="INVALID", length_max=TAG_LENGTH_MAX)


def _age(node: Rule, path: str) -> None:
    age: AgeCondition = node.age_between
    bounds = [getattr(age, name) for name in ("min", "max") if age.HasField(name)]
    if not bounds or not all(0 <= bound <= AGE_MAX for bound in bounds) or bounds != sorted(bounds):
        raise RuleInvalid(field=path, problem="INVALID", age_max=AGE_MAX)


def _birthday(node: Rule, path: str) -> None:
    if not node.birthday:
        raise RuleInvalid(field=path, problem="INVALID")


def _activity(node: Rule, path: str) -> None:
    activity: ActivityCondition = node.activity
    if activity.kind not in ActivityCondition.Kind.values() or not activity.kind:
        raise RuleInvalid(field=f"{path}.kind", problem="UNKNOWN", known=", ".join(ActivityCondition.Kind.keys()[1:]))
    days_min = 1 if activity.kind == ActivityCondition.SILENT else 0
    if not days_min <= activity.within_days <= DAYS_MAX:
        raise RuleInvalid(field=f"{path}.within_days", problem="OUT_OF_BOUNDS", min=days_min, max=DAYS_MAX)


def _field(node: Rule, path: str) -> None:
    condition, found = node.field, kind(node.field.name)
    if found is None:
        known = ", ".join([*FIELDS, f"{ATTRIBUTE}<name>"])
        raise RuleInvalid(field=f"{path}.name", problem="UNKNOWN", known=known)
    if condition.op not in OPS[found]:
        known = ", ".join(Op.Name(op) for op in sorted(OPS[found]))
        raise RuleInvalid(field=f"{path}.op", problem="UNFIT", known=known)
    least, most = {Op.IS_SET: (0, 0), Op.IN: (1, VALUES_MAX), Op.BETWEEN: (2, 2)}.get(condition.op, (1, 1))
    if not least <= len(condition.values) <= most:
        raise RuleInvalid(field=f"{path}.values", problem="COUNT", min=least, max=most)
    for index, value in enumerate(condition.values):
        if not 0 < len(value) <= VALUE_LENGTH_MAX or "\x00" in value or not _fits(condition, found, value):
            raise RuleInvalid(field=f"{path}.values[{index}]", problem="INVALID", value=value[:100])


def _fits(condition: FieldCondition, found: Kind, value: str) -> bool:
    if found == Kind.DAY:
        return _day(value) is not None
    if condition.op in (Op.GREATER_THAN, Op.LESS_THAN):
        return number(value) is not None
    if condition.name == "gender":
        return value in GENDERS
    return condition.name != "country" or bool(calling_code(value))


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if len(text) == 10 and YEAR_MIN <= day.year <= YEAR_MAX else None


def number(text: str) -> Decimal | None:
    """A plain decimal number, such as `-12.5`; none for anything else."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and len(digits) <= 30 and digits[:1].isdigit() and digits[-1:].isdigit()):
        return None
    try:
        return Decimal(text) if digits.replace(".", "", 1).isdigit() else None
    except InvalidOperation:
        return None


_CHECKS: dict[str, Callable[[Rule, str], None]] = {
    "field": _field,
    "has_tag": _tag,
    "age_between": _age,
    "gender": _gender,
    "activity": _activity,
    "birthday": _birthday,
}


@dataclass(frozen=True)
class Selection:
    """An audience without names: whoever is on one of the lists (of any, where none is named) and fulfils the rule (of
    anybody, where there is none), but is on no excluded list and fulfils no excluded rule. Where contacts are named,
    only those of them.
    """

    moment: Moment
    rule: Rule | None = None
    list_ids: tuple[str, ...] = ()
    exclude_list_ids: tuple[str, ...] = ()
    exclude_rules: tuple[Rule, ...] = ()
    contact_ids: tuple[str, ...] = ()
