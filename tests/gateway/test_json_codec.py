"""The converters against protobuf's own, which they stand in for."""

import math
import time
from typing import Any

import orjson
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as some

from astronote.contacts.v1.contacts_pb2 import Contact, ListContactsResponse
from services.gateway.decoder import DEPTH_MAX, decoder, parse
from services.gateway.encoder import encoder
from services.gateway.errors import (
    ChoiceRepeated,
    FieldInvalid,
    FieldRepeated,
    FieldUnknown,
    JsonInvalid,
    NestingTooDeep,
)
from tests.gateway.shapes import shape

TEXT = some.text(some.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
SMALL, NATURAL = some.integers(-(2**31), 2**31 - 1), some.integers(0, 2**32 - 1)
WIDE, WIDE_NATURAL = some.integers(-(2**63), 2**63 - 1), some.integers(0, 2**64 - 1)
NANOS = some.sampled_from([0, 1, 1000, 120_000_000, 999_999_999]) | some.integers(0, 999_999_999)
TIME = some.builds(dict, seconds=some.integers(-62135596800, 253402300799), nanos=NANOS)
SINGLE = some.floats(-(2.0**127), 2.0**127, width=32)


def shapes(depth: int = 2) -> some.SearchStrategy[dict[str, Any]]:
    fields: dict[str, some.SearchStrategy[Any]] = {
        "text_value": TEXT, "raw": some.binary(max_size=5), "flag": some.booleans(),
        "small": SMALL, "signed_small": SMALL, "natural": NATURAL, "fixed_natural": NATURAL, "fixed_small": SMALL,
        "wide": WIDE, "wide_natural": WIDE_NATURAL, "signed_wide": WIDE, "fixed_wide_natural": WIDE_NATURAL,
        "fixed_wide": WIDE, "single_precision": SINGLE,
        "double_precision": some.floats(allow_nan=False, allow_infinity=False),
        "colour": some.sampled_from([0, 1, -2]), "texts": some.lists(TEXT, max_size=3),
        "wides": some.lists(WIDE, max_size=3), "colours": some.lists(some.sampled_from([0, 1, -2]), max_size=3),
        "words": some.dictionaries(TEXT, TEXT, max_size=3),
        "colour_map": some.dictionaries(some.booleans(), some.sampled_from([0, 1]), max_size=2),
        "maybe_text": TEXT, "maybe_small": SMALL, "time": TIME, "times": some.lists(TIME, max_size=2),
        "length": some.builds(dict, seconds=some.integers(0, 315576000000), nanos=NANOS),
        "mask": some.builds(dict, paths=some.lists(some.sampled_from(["a", "first_name", "a_b.c_d"]), max_size=3)),
        "nothing": some.just({}), "anything": some.builds(dict, a=TEXT, b=some.integers(-5, 5)),
        "wrapped_text": some.builds(dict, value=TEXT), "wrapped_wide": some.builds(dict, value=WIDE),
        "wrapped_flag": some.builds(dict, value=some.booleans()),
    }  # fmt: skip
    choices: list[some.SearchStrategy[dict[str, Any]]] = [
        some.just({}), some.builds(dict, chosen_text=TEXT), some.builds(dict, chosen_wide=WIDE)
    ]  # fmt: skip
    if depth:
        inner = shapes(depth - 1)
        fields["child"] = inner
        fields["children"] = some.lists(inner, max_size=2)
        fields["shapes"] = some.dictionaries(WIDE, inner, max_size=2)
        choices.append(some.builds(dict, chosen_shape=inner))
    base = some.lists(some.sampled_from(sorted(fields)), unique=True, max_size=8).flatmap(
        lambda names: some.fixed_dictionaries({name: fields[name] for name in names})
    )
    return some.builds(lambda one, other: one | other, base, some.one_of(choices))


def theirs(message: Message) -> Any:
    return json_format.MessageToDict(message, always_print_fields_with_no_presence=True)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(shapes())
def test_out_as_protobuf_has_it(values: dict[str, Any]) -> None:
    message = shape()(**values)
    ours = orjson.loads(orjson.dumps(encoder(message.DESCRIPTOR)(message)))
    assert ours == orjson.loads(orjson.dumps(theirs(message)))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(shapes(), some.booleans())
def test_in_as_protobuf_has_it(values: dict[str, Any], snake: bool) -> None:
    message = shape()(**values)
    text = json_format.MessageToJson(message, preserving_proto_field_name=snake).encode()
    assert decoder(message.DESCRIPTOR)(parse(text), 0) == message


@settings(max_examples=300, deadline=None)
@given(
    some.recursive(
        some.none() | some.booleans() | some.integers(-(2**70), 2**70) | some.floats(allow_nan=False) | TEXT,
        lambda inner: some.lists(inner, max_size=3) | some.dictionaries(TEXT, inner, max_size=3),
        max_leaves=6,
    ),
    some.sampled_from(sorted(shape().DESCRIPTOR.fields_by_name)),
)
def test_any_json_is_read_or_refused_by_name(value: Any, name: str) -> None:
    """Nothing but a refusal that names the field, and never where protobuf reads another thing."""
    try:
        message = decoder(shape().DESCRIPTOR)({name: value}, 0)
    except FieldInvalid as error:
        named = error.metadata["field"]
        message = None
    if message is None:
        assert named.startswith(name)
        return
    try:
        expected = json_format.ParseDict({name: value}, shape()())
    except json_format.ParseError:
        assume(False)
    assert message == expected


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_numbers_beyond_json_go_out_as_text(value: float) -> None:
    message = shape()(double_precision=value, single_precision=value)
    ours = encoder(message.DESCRIPTOR)(message)
    assert (ours["doublePrecision"], ours["singlePrecision"]) == (theirs(message)["doublePrecision"],) * 2


def test_an_enum_value_from_the_future_goes_out_as_a_number() -> None:
    assert encoder(shape().DESCRIPTOR)(shape()(colour=77))["colour"] == 77


REFUSED: list[tuple[Any, str, type[FieldInvalid]]] = [
    ({"foo": 1}, "foo", FieldUnknown),
    ({"child": {"foo": 1}}, "child.foo", FieldUnknown),
    ({"children": [{}, {"child": {"foo": 1}}]}, "children[1].child.foo", FieldUnknown),
    ({"shapes": {"7": {"wides": [1, "x"]}}}, "shapes.7.wides[1]", FieldInvalid),
    ({"shapes": {"x": {}}}, "shapes.x", FieldInvalid),
    ({"words": {"a": 1}}, "words.a", FieldInvalid),
    ({"words": []}, "words", FieldInvalid),
    ({"words": {"a": None}}, "words.a", FieldInvalid),
    ({"texts": "a"}, "texts", FieldInvalid),
    ({"texts": [None]}, "texts[0]", FieldInvalid),
    ({"textValue": 1}, "textValue", FieldInvalid),
    ({"text_value": True}, "text_value", FieldInvalid),
    ({"textValue": "a\0b"}, "textValue", FieldInvalid),
    ({"textValue": "a", "text_value": "b"}, "text_value", FieldRepeated),
    ({"small": 2**31}, "small", FieldInvalid),
    ({"small": 1.5}, "small", FieldInvalid),
    ({"small": True}, "small", FieldInvalid),
    ({"small": "0x10"}, "small", FieldInvalid),
    ({"small": "١٢"}, "small", FieldInvalid),
    ({"small": " 1"}, "small", FieldInvalid),
    ({"natural": -1}, "natural", FieldInvalid),
    ({"wide": "9223372036854775808"}, "wide", FieldInvalid),
    ({"wide": "1" * 5000}, "wide", FieldInvalid),
    ({"doublePrecision": "NaN"}, "doublePrecision", FieldInvalid),
    ({"doublePrecision": "Infinity"}, "doublePrecision", FieldInvalid),
    ({"doublePrecision": "1e999"}, "doublePrecision", FieldInvalid),
    ({"singlePrecision": 1e39}, "singlePrecision", FieldInvalid),
    ({"colour": "PINK"}, "colour", FieldInvalid),
    ({"colour": 77}, "colour", FieldInvalid),
    ({"colour": True}, "colour", FieldInvalid),
    ({"raw": "%%"}, "raw", FieldInvalid),
    ({"raw": "ä"}, "raw", FieldInvalid),
    ({"raw": 1}, "raw", FieldInvalid),
    ({"time": "yesterday"}, "time", FieldInvalid),
    ({"time": "2026-02-30T00:00:00Z"}, "time", FieldInvalid),
    ({"time": 5}, "time", FieldInvalid),
    ({"time": {"seconds": 5}}, "time", FieldInvalid),
    ({"length": "5"}, "length", FieldInvalid),
    ({"mask": "a b"}, "mask", FieldInvalid),
    ({"mask": ["a"]}, "mask", FieldInvalid),
    ({"chosenText": "a", "chosenWide": 1}, "chosen_wide", ChoiceRepeated),
    ({"child": []}, "child", FieldInvalid),
    ({"nothing": {"a": 1}}, "nothing.a", FieldUnknown),
    ({"anything": 1}, "anything", FieldInvalid),
    ([], "", FieldInvalid),
    ("text", "", FieldInvalid),
    (None, "", FieldInvalid),
]


@pytest.mark.parametrize(("value", "field", "kind"), REFUSED)
def test_refused_with_the_field(value: Any, field: str, kind: type[FieldInvalid]) -> None:
    with pytest.raises(kind) as refused:
        decoder(shape().DESCRIPTOR)(value, 0)
    assert refused.value.metadata["field"] == field


def test_null_is_absent() -> None:
    value = {"textValue": None, "child": None, "words": None, "chosenText": None, "chosenWide": 1, "time": None}
    assert decoder(shape().DESCRIPTOR)(value, 0) == shape()(chosen_wide=1)


def test_masks_come_in_either_case() -> None:
    assert decoder(shape().DESCRIPTOR)({"mask": "firstName,last_name,a.bC"}, 0).mask.paths == [
        "first_name", "last_name", "a.b_c",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", [b"{", b"", b"\xff", b'{"a": NaN}', b'{"a": Infinity}', b'"\\ud800"', b"1e999", b"[" * 5000, b"{}{}"]
)
def test_malformed_json_is_refused(text: bytes) -> None:
    with pytest.raises(JsonInvalid):
        parse(text)


def test_nesting_is_bounded() -> None:
    value: dict[str, Any] = {}
    for _ in range(DEPTH_MAX + 1):
        value = {"child": value}
    with pytest.raises(NestingTooDeep):
        decoder(shape().DESCRIPTOR)(value, 0)
    decoder(shape().DESCRIPTOR)(value["child"], 0)


def test_out_in_well_under_protobufs_time() -> None:
    """A ratio in one process, the best of several: figures drift, this does not."""
    contact = Contact(
        id="0190c1d6-0000-7000-8000-000000000000", phone="+306900000000", email="e@x.gr", first_name="Ελένη",
        last_name="Παπαδοπούλου", gender=Contact.FEMALE, birthday="1990-01-31", language="el",
        time_zone="Europe/Athens", tags=["vip", "gold"], attributes={"city": "Αθήνα"}, subscription=Contact.SUBSCRIBED,
    )  # fmt: skip
    contact.create_time.GetCurrentTime()
    answer = ListContactsResponse(contacts=[contact] * 20, next_page_token="token")
    encode = encoder(answer.DESCRIPTOR)

    def best(work: Any) -> float:
        spans = []
        for _ in range(20):
            start = time.perf_counter()
            for _ in range(5):
                work()
            spans.append((time.perf_counter() - start) / 5)
        return min(spans)

    ours, protobufs = best(lambda: orjson.dumps(encode(answer))), best(lambda: orjson.dumps(theirs(answer)))
    text, decode = orjson.dumps(encoder(Contact.DESCRIPTOR)(contact)), decoder(Contact.DESCRIPTOR)
    read, their_read = best(lambda: decode(parse(text), 0)), best(lambda: json_format.Parse(text, Contact()))
    print(
        f"out {ours * 1e6:.0f} µs, json_format {protobufs * 1e6:.0f} µs;"
        f" in {read * 1e6:.0f} µs, json_format {their_read * 1e6:.0f} µs"
    )
    assert ours < protobufs * 0.6
    assert read < their_read * 0.6
