"""Evidence holds when it is as it was written, and whatever is done to it is found. Hashes only: no database."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contacts import evidence, ledger

MERCHANT = "5f0c7d2e-0000-4000-8000-000000000001"
CONTACT = "11111111-2222-4333-8444-555555555555"
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
sizes = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def phone_hash(seed: int) -> bytes:
    return seed.to_bytes(16, "big")


def chain(sizes: list[int], source: str = "till") -> list[dict[str, Any]]:
    """The lines of a whole ledger: as many links, of as many people. Person 1 is in every one."""
    words = "Θέλω προσφορές"
    lines: list[dict[str, Any]] = [{"type": "wording", "hash": ledger.wording(words).hex(), "text": words}]
    previous = ledger.BEGIN
    for number, size in enumerate(sizes, 1):
        people = [(CONTACT, phone_hash(1 if not at else number * 100 + at)) for at in range(size)]
        salt = bytes([number]) * 16
        statement = {
            "create_time": f"2026-01-{number:02}T10:00:00.000000Z",
            "event": "GRANTED",
            "legal_basis": "CONSENT",
            "merchant_id": MERCHANT,
            "number": number,
            "origin_hash": ledger.origin(salt, "192.0.2.7", "Firefox").hex(),
            "people_count": size,
            "people_root": ledger.root(ledger.person(*person) for person in people).hex(),
            "previous_hash": previous.hex(),
            "purpose": "MARKETING",
            "source": source,
            "wording_hash": ledger.wording(words).hex(),
        }
        previous = ledger.link(statement)
        origin = {"ip_address": "192.0.2.7", "user_agent": "Firefox", "salt": salt.hex()}
        shown = [[contact_id, phone.hex()] for contact_id, phone in people]
        line = {"type": "link", "statement": statement, "hash": previous.hex(), "origin": origin, "people": shown}
        lines.append(line)
    head = {
        "type": "head",
        "version": 2,
        "merchant_id": MERCHANT,
        "contact_id": "",
        "phone_hashes": [],
        "export_time": "",
    }
    return [head | {"number": len(sizes), "hash": previous.hex()}, *lines]


def extract(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Person 1's lines of a whole ledger."""
    found = [lines[0] | {"contact_id": CONTACT, "phone_hashes": [phone_hash(1).hex()]}, lines[1]]
    for line in lines[2:]:
        leaves = [ledger.person(contact_id, bytes.fromhex(phone)) for contact_id, phone in line["people"]]
        path = [sibling.hex() for sibling in ledger.path(leaves, 0)]
        rest = {name: line[name] for name in ("statement", "hash", "origin")}
        whose = {"contact_id": CONTACT, "phone_hash": phone_hash(1).hex()}
        found.append({"type": "person", "position": 0, "path": path, **rest, **whose})
    return found


def written(lines: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(line) for line in lines]


def is_found(lines: list[dict[str, Any]]) -> bool:
    try:
        evidence.verified(written(lines))
    except evidence.Tampered:
        return True
    return False


@given(sizes, texts)
def test_a_ledger_as_it_was_written_holds(sizes: list[int], source: str):
    lines = chain(sizes, source)
    whole, person = evidence.verified(written(lines)), evidence.verified(written(extract(lines)))
    assert (len(whole.links), whole.people, person.people) == (len(sizes), sum(sizes), len(sizes))
    evidence.hold(person, whole)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every text and number of a line."""
    if isinstance(value, dict):
        return [place for key, inner in value.items() for place in places(inner, (*path, key))]
    if isinstance(value, list):
        return [place for at, inner in enumerate(value) for place in places(inner, (*path, at))]
    return [path]


@given(sizes, st.booleans(), st.data())
def test_every_alteration_of_a_value_is_found(sizes: list[int], is_extract: bool, data: st.DataObject):
    lines = extract(chain(sizes)) if is_extract else chain(sizes)
    number = data.draw(st.integers(1, len(lines) - 1))
    *way, last = data.draw(st.sampled_from(places(lines[number])))
    target = lines[number]
    for step in way:
        target = target[step]
    before = target[last]
    target[last] = data.draw((st.integers(-1, 10) if isinstance(before, int) else texts).filter(lambda v: v != before))
    assert is_found(lines)


@given(sizes, st.data())
def test_every_removal_repetition_and_exchange_of_lines_is_found(sizes: list[int], data: st.DataObject):
    lines = chain(sizes)
    at = data.draw(st.integers(1, len(lines) - 1))
    assert is_found(lines[:at] + lines[at + 1 :])
    if at > 1:
        assert is_found([*lines[:at], lines[at], *lines[at:]])
    if len(lines) > 3:
        first, second = data.draw(st.lists(st.integers(2, len(lines) - 1), min_size=2, max_size=2, unique=True))
        lines[first], lines[second] = lines[second], lines[first]
        assert is_found(lines)


@given(st.lists(st.integers(2, 9), min_size=1, max_size=4), st.data())
def test_every_removal_addition_and_exchange_of_people_is_found(sizes: list[int], data: st.DataObject):
    lines = chain(sizes)
    people = lines[data.draw(st.integers(2, len(lines) - 1))]["people"]
    at = data.draw(st.integers(1, len(people) - 1))
    person = people.pop(at)
    if is_moved := data.draw(st.booleans()):
        people.insert(at - 1, person)
    assert is_found(lines)
    if not is_moved:
        people.insert(at, person)
        assert not is_found(lines)
        people.append(person)
        assert is_found(lines)


@given(sizes, st.data())
def test_an_entry_left_out_of_one_persons_file_is_found_against_the_whole(sizes: list[int], data: st.DataObject):
    lines = chain(sizes)
    whole, person = evidence.verified(written(lines)), extract(lines)
    del person[data.draw(st.integers(2, len(person) - 1))]
    with pytest.raises(evidence.Tampered):
        evidence.hold(evidence.verified(written(person)), whole)


def test_an_erased_origin_leaves_the_chain_whole():
    lines = chain([3, 1])
    for line in lines[2:]:
        line["origin"] = None
    assert not is_found(lines)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70), st.data())
def test_a_path_leads_to_the_root_from_its_own_place_only(leaves: list[bytes], data: st.DataObject):
    at = data.draw(st.integers(0, len(leaves) - 1))
    path = ledger.path(leaves, at)
    assert ledger.root_by(leaves[at], at, len(leaves), path) == ledger.root(leaves)
    for wrong in (*([path[:-1]] if path else []), [*path, bytes(32)]):
        with pytest.raises(ValueError, match="path"):
            ledger.root_by(leaves[at], at, len(leaves), wrong)


@given(st.dictionaries(texts, texts | st.integers(0, 2**31)))
def test_the_canonical_form_is_what_other_writers_of_json_make_too(values: dict[str, Any]):
    assert json.loads(ledger.canonical(values)) == values
    if all(key.isascii() for key in values):
        assert ledger.canonical(values) == orjson.dumps(values, option=orjson.OPT_SORT_KEYS)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "no json", '{"type": "link"}', '{"type": [], "type": "head"}', "\xff"]
)
def test_what_is_no_evidence_is_not_taken_for_it(text: str):
    with pytest.raises(evidence.Tampered):
        evidence.verified([text])
    with pytest.raises(evidence.Tampered):
        evidence.verified([*written(chain([1])), text])


def test_the_command_needs_two_files_of_ours_and_nothing_else(tmp_path: Path):
    folder = tmp_path / "services" / "contacts"
    folder.mkdir(parents=True)
    for module in (ledger, evidence):
        source = Path(str(module.__file__))
        (folder / source.name).write_bytes(source.read_bytes())
    lines = chain([3, 1])

    def run(lines: list[dict[str, Any]], *more: str) -> tuple[int, str]:
        file = tmp_path / "evidence.ndjson"
        file.write_text("\n".join(written(lines)))
        # No site-packages, no environment.
        command = [sys.executable, "-S", "-m", "services.contacts.evidence", str(file), *more]
        done = subprocess.run(command, check=False, cwd=tmp_path, env={}, capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout + done.stderr

    code, said = run(lines)
    assert (code, said[:23]) == (0, "OK: 2 links, 4 entries;")
    assert run(lines, "--head", lines[2]["hash"])[0] == 0
    assert run(lines, "--head", "0" * 64)[0] == 1
    (tmp_path / "whole.ndjson").write_text("\n".join(written(lines)))
    assert run(extract(lines), "--ledger", str(tmp_path / "whole.ndjson"))[0] == 0
    lines[2]["statement"]["source"] = "web"
    code, said = run(lines)
    assert (code, "line 3: the statement is not the one of its hash" in said) == (1, True)
