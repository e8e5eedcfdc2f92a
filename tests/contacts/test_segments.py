"""Segments and audiences: what is refused and by which path, and what is counted."""

from typing import Any

import pytest

from astronote.contacts.v1.audience_pb2 import Audience, Rule
from services.contacts.segments import SYSTEM
from tests.contacts.client import Client, reason, refused

FIRST, SECOND, THIRD = "+306900000001", "+306900000002", "+306900000003"
WOMEN = {"gender": "FEMALE"}


@pytest.fixture
async def three(book: Client) -> Client:
    await book.create(FIRST, gender=2, tags=["vip"])
    await book.create(SECOND, gender=2)
    await book.create(THIRD, gender=1, tags=["vip"])
    return book


async def counted(book: Client, **audience: Any) -> int:
    count: int = (await book("CountAudience", audience=Audience(**audience))).count
    return count


async def listed(book: Client, name: str, *phones: str) -> str:
    made: str = (await book("CreateList", list={"name": name})).id
    ids = [person.id for person in await book.book() if person.phone in phones]
    if ids:
        await book("AddListContacts", id=made, contact_ids=ids)
    return made


async def test_a_segment_is_made_read_changed_counted_and_removed(three: Client):
    created = await three("CreateSegment", segment={"name": " Γυναίκες ", "rule": WOMEN})
    assert (created.name, created.rule, created.system) == ("Γυναίκες", Rule(**WOMEN), False)
    assert await three("GetSegment", id=created.id) == created
    assert (await three("CountSegment", id=created.id)).count == 2
    await three("WithdrawConsent", phone=SECOND, source="STOP")
    assert (await three("CountSegment", id=created.id)).count == 1
    changed = {"id": created.id, "rule": {"has_tag": "vip"}}
    assert (await three("UpdateSegment", segment=changed, update_mask={"paths": ["rule"]})).name == "Γυναίκες"
    assert (await three("CountSegment", id=created.id)).count == 2
    assert await reason(three("CreateSegment", segment={"name": "Γυναίκες", "rule": WOMEN})) == "SEGMENT_NAME_TAKEN"
    await three("DeleteSegment", id=created.id)
    assert await reason(three("GetSegment", id=created.id)) == "SEGMENT_NOT_FOUND"
    assert await reason(three("DeleteSegment", id=created.id)) == "SEGMENT_NOT_FOUND"


async def test_ours_stand_before_the_merchant_s_and_can_t_be_changed(three: Client):
    own = await three("CreateSegment", segment={"name": "mine", "rule": WOMEN})
    page = await three("ListSegments", page_size=1)
    assert [each.name for each in page.segments] == [
        *("Male", "Female", "Other", "Prefer not to say", "18–24", "25–39", "40+"),
        "mine",
    ]
    assert not (await three("ListSegments", page_size=1, page_token=page.next_page_token)).segments
    female = next(each for each in page.segments if each.name == "Female")
    assert female.system
    assert (await three("CountSegment", id=female.id)).count == 2
    assert await three("GetSegment", id=female.id) == female
    assert await reason(three("DeleteSegment", id=female.id)) == "SEGMENT_READ_ONLY"
    assert await reason(three("UpdateSegment", segment={"id": female.id, "rule": WOMEN})) == "SEGMENT_READ_ONLY"
    assert len(SYSTEM) == 7
    assert own.id not in SYSTEM


async def test_an_audience_is_one_selection_less_what_is_excluded(three: Client):
    one, two = await listed(three, "one", FIRST, SECOND), await listed(three, "two", SECOND, THIRD)
    vip = (await three("CreateSegment", segment={"name": "vip", "rule": {"has_tag": "vip"}})).id
    assert await counted(three, all=True) == 3
    assert await counted(three, list_ids=[one]) == 2
    assert await counted(three, list_ids=[one, two]) == 3
    assert await counted(three, segment_id=vip) == 2
    assert await counted(three, rule=Rule(in_list=one)) == 2
    assert await counted(three, all=True, exclude_list_ids=[one]) == 1
    assert await counted(three, list_ids=[one, two], exclude_segment_ids=[vip]) == 1
    assert await counted(three, segment_id=vip, exclude_list_ids=[one], exclude_segment_ids=[vip]) == 0
    pages = await three.stream("StreamAudience", audience=Audience(list_ids=[one, two]), page_size=2)
    assert [[member.phone for member in page.members] for page in pages] == [[FIRST, SECOND], [THIRD]]
    excluded = Audience(segment_id=vip, exclude_list_ids=[one])
    later = await three.stream("StreamAudience", audience=excluded, page_size=9, after_phone=SECOND)
    assert [member.phone for page in later for member in page.members] == [THIRD]
    # Who opted out is in no audience, whatever it names.
    await three("WithdrawConsent", phone=FIRST, source="STOP")
    assert await counted(three, list_ids=[one]) == 1
    assert await counted(three, segment_id=vip) == 1


@pytest.mark.parametrize(
    ("audience", "field"),
    [
        ({}, "audience"),
        ({"all": True, "list_ids": ["x"]}, "audience"),
        ({"exclude_list_ids": ["x"]}, "audience"),
        ({"list_ids": ["x"] * 51}, "audience.list_ids"),
        ({"all": True, "exclude_segment_ids": ["x"] * 21}, "audience.exclude_segment_ids"),
    ],
)
async def test_an_audience_that_names_not_one_thing_is_refused(book: Client, audience: dict[str, Any], field: str):
    answer, metadata = await refused(book("CountAudience", audience=Audience(**audience)))
    assert (answer, metadata["field"]) == ("AUDIENCE_INVALID", field)


@pytest.mark.parametrize(
    ("rule", "path", "problem"),
    [
        ({"all_of": [WOMEN], "any_of": [WOMEN]}, "", "SAYS_NOT_ONE_THING"),
        ({"all_of": [WOMEN, {}]}, ".all_of[1]", "SAYS_NOT_ONE_THING"),
        ({"any_of": [{"not": {"gender": "ANY"}}]}, ".any_of[0].not.gender", "UNKNOWN"),
        ({"all_of": [WOMEN, WOMEN, {"field": {"name": "shoe"}}]}, ".all_of[2].field.name", "UNKNOWN"),
        ({"field": {"name": "attributes."}}, ".field.name", "UNKNOWN"),
        ({"field": {"name": "email", "op": "BEFORE", "values": ["x"]}}, ".field.op", "UNFIT"),
        ({"field": {"name": "email", "op": 77, "values": ["x"]}}, ".field.op", "UNFIT"),
        ({"field": {"name": "email"}}, ".field.op", "UNFIT"),
        ({"field": {"name": "email", "op": "EQUALS"}}, ".field.values", "COUNT"),
        ({"field": {"name": "email", "op": "IS_SET", "values": ["x"]}}, ".field.values", "COUNT"),
        ({"field": {"name": "email", "op": "IN", "values": ["x"] * 101}}, ".field.values", "COUNT"),
        ({"field": {"name": "email", "op": "IN", "values": ["x", ""]}}, ".field.values[1]", "INVALID"),
        ({"field": {"name": "email", "op": "EQUALS", "values": ["x\0"]}}, ".field.values[0]", "INVALID"),
        ({"field": {"name": "email", "op": "EQUALS", "values": ["x" * 501]}}, ".field.values[0]", "INVALID"),
        ({"field": {"name": "birthday", "op": "AFTER", "values": ["9999-12-31"]}}, ".field.values[0]", "INVALID"),
        ({"field": {"name": "birthday", "op": "AFTER", "values": ["2000-2-1"]}}, ".field.values[0]", "INVALID"),
        ({"field": {"name": "create_time", "op": "AFTER", "values": ["now"]}}, ".field.values[0]", "INVALID"),
        ({"field": {"name": "country", "op": "EQUALS", "values": ["Greece"]}}, ".field.values[0]", "INVALID"),
        ({"field": {"name": "attributes.x", "op": "LESS_THAN", "values": ["1e5"]}}, ".field.values[0]", "INVALID"),
        ({"has_tag": ""}, ".has_tag", "INVALID"),
        ({"age_between": {}}, ".age_between", "INVALID"),
        ({"age_between": {"min": 40, "max": 30}}, ".age_between", "INVALID"),
        ({"age_between": {"max": 151}}, ".age_between", "INVALID"),
        ({"activity": {}}, ".activity.kind", "UNKNOWN"),
        ({"activity": {"kind": "SILENT"}}, ".activity.within_days", "OUT_OF_BOUNDS"),
        ({"birthday": False}, ".birthday", "INVALID"),
        ({"activity": {"kind": "TEXTED", "within_days": 3651}}, ".activity.within_days", "OUT_OF_BOUNDS"),
    ],
)
async def test_a_wrong_node_is_named_by_its_path(book: Client, rule: dict[str, Any], path: str, problem: str):
    for call, begin in (
        (book("CreateSegment", segment={"name": "x", "rule": rule}), "segment.rule"),
        (book("CountAudience", audience={"rule": rule}), "audience.rule"),
    ):
        answer, metadata = await refused(call)
        assert (answer, metadata["field"], metadata["problem"]) == ("RULE_INVALID", begin + path, problem)
    assert not [each for each in (await book("ListSegments")).segments if not each.system]


async def test_a_rule_has_a_depth_and_a_size(book: Client):
    deep = Rule(**WOMEN)
    for _ in range(8):
        deep = Rule(**{"not": deep})
    answer, metadata = await refused(book("CountAudience", audience=Audience(rule=deep)))
    assert (answer, metadata["problem"]) == ("RULE_INVALID", "TOO_LARGE")
    assert await counted(book, rule=getattr(deep, "not")) == 0
    wide = Rule(any_of=[Rule(**WOMEN)] * 200)
    assert await reason(book("CountAudience", audience=Audience(rule=wide))) == "RULE_INVALID"
    assert await counted(book, rule=Rule(any_of=[Rule(**WOMEN)] * 199)) == 0


async def test_what_is_gone_or_another_s_is_named_by_its_path(three: Client, other: Client):
    mine = await listed(three, "mine", FIRST)
    foreign = await listed(other, "theirs")
    theirs = (await other("CreateSegment", segment={"name": "x", "rule": WOMEN})).id
    for audience, answer in (
        ({"list_ids": [mine, foreign]}, ("LIST_NOT_FOUND", "audience.list_ids[1]", foreign)),
        ({"all": True, "exclude_list_ids": ["me"]}, ("LIST_NOT_FOUND", "audience.exclude_list_ids[0]", "me")),
        ({"rule": {"not": {"in_list": foreign}}}, ("LIST_NOT_FOUND", "audience.rule.not.in_list", foreign)),
        ({"segment_id": theirs}, ("SEGMENT_NOT_FOUND", "audience.segment_id", theirs)),
        ({"all": True, "exclude_segment_ids": ["x"]}, ("SEGMENT_NOT_FOUND", "audience.exclude_segment_ids[0]", "x")),
    ):
        name, metadata = await refused(three("CountAudience", audience=audience))
        assert (name, metadata["field"], metadata["id"]) == answer
    for call in (
        three("GetSegment", id=theirs),
        three("CountSegment", id=theirs),
        three("DeleteSegment", id=theirs),
        three("UpdateSegment", segment={"id": theirs, "name": "mine"}),
    ):
        assert await reason(call) == "SEGMENT_NOT_FOUND"
    assert await reason(three("CreateSegment", segment={"name": "x", "rule": {"in_list": foreign}})) == "LIST_NOT_FOUND"


async def test_a_segment_whose_list_is_gone_selects_nobody_rather_than_everybody(three: Client):
    """Else those who are not on it would suddenly be all."""
    gone = await listed(three, "gone", FIRST)
    rule = {"not": {"in_list": gone}}
    segment = (await three("CreateSegment", segment={"name": "others", "rule": rule})).id
    assert await counted(three, segment_id=segment) == 2
    await three("DeleteList", id=gone)
    for call in (
        three("CountSegment", id=segment),
        three("CountAudience", audience={"segment_id": segment}),
        three("CountAudience", audience={"all": True, "exclude_segment_ids": [segment]}),
        three.stream("StreamAudience", audience={"segment_id": segment}, page_size=1),
    ):
        assert await reason(call) == "LIST_NOT_FOUND"
