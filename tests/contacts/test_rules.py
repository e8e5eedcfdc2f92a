"""A rule's SQL selects exactly whom the rule, read in plain Python, selects."""

import itertools
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from astronote.accounts.v1 import accounts_pb2 as accounts
from astronote.accounts.v1.accounts_pb2_grpc import AuthServiceStub
from astronote.contacts.v1.audience_pb2 import ActivityCondition, AgeCondition, Audience, FieldCondition, Rule
from astronote.contacts.v1.contacts_pb2 import Contact
from services.contacts import rules
from services.contacts.tables import ACTIVITIES
from tests.contacts.client import Client
from tests.contacts.selected import Activity, Op, Person, selects

ZONE = ZoneInfo("Pacific/Auckland")
# In Auckland it is the next day, and the day after a 28 February.
NOW = datetime(2027, 2, 28, 13, 30, tzinfo=UTC)
NAMES = ["", "Μαρία", "ΜΑΡΙΑ", "Γιάννης", "Zoë", "O'Hara_%", "ΟΔΟΣ"]
EMAILS = ["", "maria@example.gr", "ZOE@example.com"]
BIRTHDAYS = ["", "2008-02-29", "2009-02-28", "2009-03-01", "2002-03-01", "1987-02-28", "1960-12-31"]
PHONES = [f"+3069000000{number:02}" for number in range(20)]
PHONES += [f"+3579900000{number}" for number in range(5)] + [f"+120255501{number}" for number in range(10, 15)]
CITIES = ["", "Αθήνα", "ΑΘΉΝΑ", "athens", "12", "12.50", "-3", "1e3", "."]
LANGUAGES = ["", "el", "EL-gr", "en"]
TAGS = ["vip", "VIP", "καφές", "x'y"]
GENDERS = list(Contact.Gender.keys())
TEXTS = [*filter(None, [*NAMES, *EMAILS, *CITIES, *LANGUAGES]), "μαρ", "ησ", "@", "%", "_", "θή", "Σ", "\\", "+30"]
DAYS = ["2009-02-28", "2009-03-01", "2027-02-28", "2027-03-01", "2026-12-01", "1987-02-28"]


class Shop:
    """A merchant of another time zone, with a book of all sorts."""

    def __init__(self, book: Client, people: list[Person], lists: list[str]) -> None:
        self.book, self.people, self.lists = book, people, lists

    async def selected(self, rule: Rule, time: datetime = NOW) -> set[str]:
        pages = await self.book.stream(
            "StreamAudience", audience=Audience(rule=self.named(rule)), page_size=1000, at_time=time
        )
        return {member.phone for page in pages for member in page.members}

    def expected(self, rule: Rule, time: datetime = NOW) -> set[str]:
        named = self.named(rule)
        return {person.contact.phone for person in self.people if selects(named, person, time, ZONE)}

    def named(self, rule: Rule) -> Rule:
        """With the ids of the lists, which were not known when the rule was made up."""
        named = Rule.FromString(rule.SerializeToString())
        waiting = [named]
        while waiting:
            node = waiting.pop()
            if node.HasField("in_list"):
                node.in_list = self.lists[int(node.in_list)]
            waiting += [*node.all_of, *node.any_of, *([getattr(node, "not")] if node.HasField("not") else [])]
        return named


@pytest.fixture(scope="module")
async def shop(mesh: Any) -> Shop:
    peer = await mesh.service("accounts")
    request = accounts.RegisterRequest(
        email=f"{uuid.uuid4()}@example.com", password="correct horse", company="x", time_zone=ZONE.key, country="GR"
    )
    session = await AuthServiceStub(peer.channel).Register(request, metadata=peer.metadata(role="public"), timeout=20)
    book = Client(mesh, session.merchant.id)
    lists = [(await book("CreateList", list={"name": name})).id for name in ("one", "two")]
    return Shop(book, [await person(book, number, phone, lists) for number, phone in enumerate(PHONES)], lists)


async def person(book: Client, number: int, phone: str, lists: list[str]) -> Person:
    """One of all sorts: periods without a common divisor mix the values."""
    city, birthday = CITIES[number % 9], BIRTHDAYS[number % 7]
    created = await book.create(
        phone,
        first_name=NAMES[number % 7],
        last_name=NAMES[(number // 2) % 7],
        email=EMAILS[number % 3],
        birthday=birthday,
        gender=number % 5,
        language=LANGUAGES[number % 4],
        tags=[tag for index, tag in enumerate(TAGS) if number >> index & 1],
        attributes={"city": city} if city else {},
    )
    create_time = NOW - timedelta(days=number * 7, hours=number)
    created.create_time.FromDatetime(create_time)
    own = {list_id for index, list_id in enumerate(lists) if number % (index + 2) == 0}
    for list_id in own:
        await book("AddListContacts", id=list_id, contact_ids=[created.id])
    times = {kind: NOW - timedelta(days=(number * kind) % 40) for kind in ACTIVITIES if (number + kind) % 3}
    columns = ", ".join(["merchant_id", "contact_id", *(ACTIVITIES[kind] for kind in times)])
    marks = ", ".join([":merchant_id", ":id", *(f":{ACTIVITIES[kind]}" for kind in times)])
    values = {ACTIVITIES[kind]: time for kind, time in times.items()}
    await book.rows(f"INSERT INTO activities ({columns}) VALUES ({marks})", id=created.id, **values)
    await book.rows("UPDATE contacts SET create_time = :time WHERE id = :id", time=create_time, id=created.id)
    return Person(created, own, times)


def text_conditions() -> st.SearchStrategy[FieldCondition]:
    names = st.sampled_from(["first_name", "last_name", "email", "phone", "language", "time_zone", "attributes.city"])
    one = st.sampled_from(TEXTS).map(lambda text: [text])
    ops = st.sampled_from([Op.EQUALS, Op.CONTAINS, Op.STARTS_WITH, Op.ENDS_WITH])
    some = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4)
    return st.one_of(
        st.builds(FieldCondition, name=names, op=ops, values=one),
        st.builds(FieldCondition, name=names, op=st.just(Op.IN), values=some),
        st.builds(FieldCondition, name=names, op=st.just(Op.IS_SET)),
    )


def other_conditions() -> st.SearchStrategy[FieldCondition]:
    days, day = st.sampled_from(["birthday", "create_time"]), st.sampled_from(DAYS)
    numbers = st.sampled_from(["12", "-3", "12.5", "0", "-0.5", "99999999999999999999"]).map(lambda text: [text])
    compare = st.sampled_from([Op.GREATER_THAN, Op.LESS_THAN])

    def few(name: str, values: list[str]) -> st.SearchStrategy[FieldCondition]:
        some = st.lists(st.sampled_from(values), min_size=1, max_size=3)
        return st.builds(FieldCondition, name=st.just(name), op=st.just(Op.IN), values=some)

    return st.one_of(
        st.builds(
            FieldCondition,
            name=days,
            op=st.sampled_from([Op.EQUALS, Op.BEFORE, Op.AFTER]),
            values=day.map(lambda text: [text]),
        ),
        st.builds(FieldCondition, name=days, op=st.just(Op.BETWEEN), values=st.lists(day, min_size=2, max_size=2)),
        st.builds(FieldCondition, name=st.just("attributes.city"), op=compare, values=numbers),
        few("gender", GENDERS),
        few("tags", TAGS),
        few("country", ["GR", "CY", "US", "CA"]),
        st.builds(
            FieldCondition,
            name=st.sampled_from(["birthday", "create_time", "gender", "tags", "country"]),
            op=st.just(Op.IS_SET),
        ),
    )


def leaves() -> st.SearchStrategy[Rule]:
    ages = st.tuples(st.integers(0, 70), st.integers(0, 70)).map(
        lambda pair: AgeCondition(min=min(pair), max=max(pair))
    )
    kinds = st.sampled_from([kind for kind in Activity.Kind.values() if kind])
    return st.one_of(
        st.builds(Rule, field=text_conditions()),
        st.builds(Rule, field=other_conditions()),
        st.builds(Rule, in_list=st.sampled_from(["0", "1"])),
        st.builds(Rule, has_tag=st.sampled_from([*TAGS, "nobody's"])),
        st.builds(Rule, gender=st.sampled_from(GENDERS)),
        st.just(Rule(birthday=True)),
        st.builds(Rule, age_between=ages),
        st.builds(Rule, age_between=st.builds(AgeCondition, min=st.integers(0, 70))),
        st.builds(
            Rule, activity=st.builds(ActivityCondition, kind=kinds, within_days=st.sampled_from([1, 7, 30, 100]))
        ),
        st.builds(Rule, activity=st.builds(ActivityCondition, kind=st.sampled_from(list(ACTIVITIES)))),
    )


RULES = st.recursive(
    leaves(),
    lambda inner: st.one_of(
        st.builds(Rule, all_of=st.lists(inner, min_size=1, max_size=3)),
        st.builds(Rule, any_of=st.lists(inner, min_size=1, max_size=3)),
        inner.map(lambda rule: Rule(**{"not": rule})),
    ),
    max_leaves=6,
)


@given(rule=RULES)
@example(rule=Rule(age_between=AgeCondition(min=18, max=18)))
@example(rule=Rule(**{"not": Rule(age_between=AgeCondition(max=150))}))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
async def test_the_sql_of_a_rule_selects_whom_the_rule_means(shop: Shop, rule: Rule):
    assert await shop.selected(rule) == shop.expected(rule)


async def test_every_operator_of_every_field_is_understood(shop: Shop):
    """What the random rules may have missed."""
    texts = [Op.EQUALS, Op.CONTAINS, Op.STARTS_WITH, Op.ENDS_WITH]
    fields = ["first_name", "last_name", "email", "phone", "language", "time_zone", "attributes.city"]
    for name, op in itertools.product(fields, texts):
        for value in ("Μαρία", "μα", "el", "+30", "12"):
            rule = Rule(field=FieldCondition(name=name, op=op, values=[value]))
            assert await shop.selected(rule) == shop.expected(rule), rule


@pytest.mark.parametrize(
    ("day", "celebrated"),
    [
        ("2027-02-28", [(2, 28), (2, 29)]),
        ("2028-02-28", [(2, 28)]),
        ("2028-02-29", [(2, 29)]),
        ("2027-03-01", [(3, 1)]),
    ],
)
def test_a_birthday_comes_once_in_every_year(day: str, celebrated: list[tuple[int, int]]):
    assert rules.celebrated(date.fromisoformat(day)) == celebrated


async def test_who_was_born_on_a_29_february_celebrates_on_the_28th(shop: Shop):
    for time in (NOW, NOW - timedelta(days=1), NOW + timedelta(days=365), NOW + timedelta(days=366)):
        celebrating = shop.expected(Rule(birthday=True), time)
        assert celebrating
        assert await shop.selected(Rule(birthday=True), time) == celebrating


async def test_the_day_is_the_merchant_s(shop: Shop):
    """In Auckland the 18th birthday of one born on 2009-03-01 has come; in Greenwich it is a day away."""
    rule = Rule(age_between=AgeCondition(min=18, max=18))
    born = {person.contact.phone for person in shop.people if person.contact.birthday == "2009-03-01"}
    assert born
    assert born <= await shop.selected(rule)
