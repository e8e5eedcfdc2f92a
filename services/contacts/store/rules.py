"""Rules as SQL: one expression over contacts a rule, never NULL, so that `not` selects exactly the others.

Lists and activity are asked by EXISTS: a join where the rule asks for all of something, a look-up by primary key a
contact where it stands under `any_of`; neither can be planned as a scan for each contact.
"""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Numeric, and_, case, cast, false, func, literal, not_, or_, select
from sqlalchemy import true as everybody
from sqlalchemy.dialects.postgresql import ARRAY, TEXT

from astronote.contacts.v1.audience_pb2 import ActivityCondition, FieldCondition, Rule
from astronote.contacts.v1.contacts_pb2 import Contact
from services.contacts import rules, search
from services.contacts.rules import ATTRIBUTE, Moment
from services.contacts.tables import ACTIVITIES, activities, contacts, list_contacts

Op, Kind = FieldCondition.Op, rules.Kind
Condition = ColumnElement[bool]
# Where a field stands in a search text (search.py), in which nobody has accents.
FOLDED = {"first_name": 1, "last_name": 2, "email": 4}
NUMBER = r"^-?[0-9]{1,30}(\.[0-9]{1,30})?$"


def condition(rule: Rule, moment: Moment) -> Condition:
    """Of a rule that was checked."""
    if rule.all_of:
        return and_(*(condition(each, moment) for each in rule.all_of))
    if rule.any_of:
        return or_(*(condition(each, moment) for each in rule.any_of))
    translate = _CONDITIONS[rule.WhichOneof("condition") or ""]
    return translate(rule, moment)


def on_lists(list_ids: Sequence[str | BindParameter[str]]) -> Condition:
    """On any of them."""
    return (
        select(list_contacts.c.contact_id)
        .where(
            list_contacts.c.list_id.in_(list_ids),
            list_contacts.c.contact_id == contacts.c.id,
            list_contacts.c.merchant_id == contacts.c.merchant_id,
        )
        .exists()
    )


def _not(rule: Rule, moment: Moment) -> Condition:
    return not_(condition(getattr(rule, "not"), moment))


def _age(rule: Rule, moment: Moment) -> Condition:
    age, day = rule.age_between, moment.day()
    bounds = [contacts.c.birthday.is_not(None)]
    if age.HasField("min"):
        bounds.append(contacts.c.birthday <= _date(rules.born_by(age.min, day)))
    if age.HasField("max"):
        bounds.append(contacts.c.birthday > _date(rules.born_by(age.max + 1, day)))
    return and_(*bounds)


def _celebrates(rule: Rule, moment: Moment) -> Condition:
    born = contacts.c.birthday
    days = [
        and_(func.extract("month", born) == month, func.extract("day", born) == day)
        for month, day in rules.celebrated(moment.day())
    ]
    return and_(born.is_not(None), or_(*days))


def _activity(rule: Rule, moment: Moment) -> Condition:
    kind, since = rule.activity.kind, moment.before(rule.activity.within_days)
    if kind == ActivityCondition.SILENT:
        alive = or_(activities.c.click_time > since, activities.c.redeem_time > since)
        return and_(contacts.c.create_time <= since, ~_active(alive))
    time = activities.c[ACTIVITIES[kind]]
    return _active(time > since if rule.activity.within_days else time.is_not(None))


def _active(what: Condition) -> Condition:
    mine = (activities.c.contact_id == contacts.c.id, activities.c.merchant_id == contacts.c.merchant_id)
    return select(activities.c.contact_id).where(*mine, what).exists()


def _field(rule: Rule, moment: Moment) -> Condition:
    asked = rule.field
    match rules.kind(asked.name):
        case Kind.DAY if asked.name == "birthday":
            return _birthday(asked)
        case Kind.DAY:
            return _create_time(asked, moment)
        case Kind.CHOICE:
            return _CHOICES[asked.name](asked)
        case _:
            return _text(asked)


def _text(asked: FieldCondition) -> Condition:
    name = asked.name
    value: ColumnElement[str]
    if name.startswith(ATTRIBUTE):
        value = func.coalesce(contacts.c.attributes.op("->>")(name.removeprefix(ATTRIBUTE)), "")
    else:
        value = contacts.c[name]
    if asked.op == Op.IS_SET:
        return value != ""
    if asked.op in (Op.GREATER_THAN, Op.LESS_THAN):
        # Nothing but a CASE keeps the cast from what is no number.
        number = case((value.op("~")(NUMBER), cast(value, Numeric)), else_=None)
        bound = literal(rules.number(asked.values[0]), Numeric)
        return func.coalesce(number > bound if asked.op == Op.GREATER_THAN else number < bound, false())
    if name in FOLDED:
        value = func.split_part(contacts.c.search, search.SEPARATOR, FOLDED[name])
        return _compared(asked.op, value, [literal(search.folded(each)) for each in asked.values])
    if name == "phone":
        return _compared(asked.op, value, [literal(each) for each in asked.values])
    return _compared(asked.op, func.lower(value), [func.lower(each) for each in asked.values])


def _compared(op: int, value: ColumnElement[str], values: Sequence[ColumnElement[str]]) -> Condition:
    first = values[0]
    match op:
        case Op.CONTAINS:
            return func.strpos(value, first) > 0
        case Op.STARTS_WITH:
            return func.starts_with(value, first)
        case Op.ENDS_WITH:
            return func.right(value, func.length(first)) == first
        case _:
            return or_(*(value == each for each in values))


def _birthday(asked: FieldCondition) -> Condition:
    born = contacts.c.birthday
    days = [_date(date.fromisoformat(each)) for each in asked.values]
    asks: dict[int, Callable[[], list[Condition]]] = {
        Op.IS_SET: lambda: [],
        Op.EQUALS: lambda: [born == days[0]],
        Op.BEFORE: lambda: [born < days[0]],
        Op.AFTER: lambda: [born > days[0]],
        Op.BETWEEN: lambda: [born >= days[0], born <= days[1]],
    }
    return and_(born.is_not(None), *asks[asked.op]())


def _create_time(asked: FieldCondition, moment: Moment) -> Condition:
    time = contacts.c.create_time
    days = [date.fromisoformat(each) for each in asked.values]
    begins = [moment.begin(day) for day in days]
    ends = [moment.begin(day + timedelta(days=1)) for day in days]
    asks: dict[int, Callable[[], Condition]] = {
        Op.IS_SET: everybody,
        Op.EQUALS: lambda: and_(time >= begins[0], time < ends[0]),
        Op.BEFORE: lambda: time < begins[0],
        Op.AFTER: lambda: time >= ends[0],
        Op.BETWEEN: lambda: and_(time >= begins[0], time < ends[1]),
    }
    return asks[asked.op]()


def _genders(asked: FieldCondition) -> Condition:
    if asked.op == Op.IS_SET:
        return contacts.c.gender != Contact.GENDER_UNSPECIFIED
    return or_(*(contacts.c.gender == Contact.Gender.Value(each) for each in asked.values))


def _tags(asked: FieldCondition) -> Condition:
    if asked.op == Op.IS_SET:
        return func.cardinality(contacts.c.tags) > 0
    return contacts.c.tags.op("&&", is_comparison=True)(cast(list(asked.values), ARRAY(TEXT)))


def _countries(asked: FieldCondition) -> Condition:
    if asked.op == Op.IS_SET:
        return everybody()
    codes = sorted({rules.calling_code(each) for each in asked.values})
    return or_(*(func.starts_with(contacts.c.phone, code) for code in codes))


def _date(day: date) -> Any:
    """As the column's type takes it."""
    return day.isoformat()


_CHOICES: dict[str, Callable[[FieldCondition], Condition]] = {
    "gender": _genders,
    "tags": _tags,
    "country": _countries,
}
_CONDITIONS: dict[str, Callable[[Rule, Moment], Condition]] = {
    "not": _not,
    "field": _field,
    "in_list": lambda rule, _: on_lists([rule.in_list]),
    "has_tag": lambda rule, _: contacts.c.tags.contains([rule.has_tag]),
    "age_between": _age,
    "gender": lambda rule, _: contacts.c.gender == Contact.Gender.Value(rule.gender),
    "activity": _activity,
    "birthday": _celebrates,
}
