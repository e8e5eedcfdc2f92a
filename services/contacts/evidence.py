"""Verifies evidence: `python -m services.contacts.evidence FILE [--ledger FILE] [--head HASH]`.

Needs nothing but the standard library and `ledger.py` beside it. `FILE` is what `GET /v1/consents:export` wrote, or
`GET /v1/contacts/{id}/consents:export` for one person. One person's file proves that its entries stand in the ledger;
that the ledger has no others about this phone is for the whole file to show: `--ledger` holds the one against the
other. `--head` is the hash of a link that was seen earlier: a chain that was written anew does not hold it.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from services.contacts import ledger

Line: TypeAlias = dict[str, Any]
FIELDS = {
    "head": {"type", "version", "merchant_id", "contact_id", "phone_hashes", "number", "hash", "export_time"},
    "wording": {"type", "hash", "text"},
    "link": {"type", "statement", "hash", "origin", "people"},
    "person": {"type", "statement", "hash", "origin", "position", "contact_id", "phone_hash", "path"},
}
VERSION = 2


class Tampered(Exception):
    """The evidence does not hold; says in which line, and why."""


@dataclass
class Evidence:
    """What was read and held so far."""

    #: The number and the hash that the chain has to end with, as the first line says.
    head: tuple[int, str]
    merchant_id: str
    #: Of the one person whose entries these are; none for the whole ledger. Several where contacts were merged, or
    #: where there were several keys.
    phone_hashes: tuple[str, ...]
    #: Hashes of the links, by number.
    links: dict[int, str] = field(default_factory=dict)
    people: int = 0
    #: By the phones of the people, the numbers of their links.
    numbers: dict[str, list[int]] = field(default_factory=dict)
    _wordings: set[str] = field(default_factory=set)
    #: Of the line before: a link's number, and in one person's file the position in it.
    _place: tuple[int, int] = (0, 0)

    def take(self, line: Line) -> None:
        """Raises `Tampered`; ValueError, KeyError or TypeError where the line is not of its form."""
        match line["type"]:
            case "wording":
                _same(line["hash"], ledger.wording(line["text"]).hex(), "the wording is not the one of its hash")
                self._wordings.add(line["hash"])
            case "link" if not self.phone_hashes:
                self._link(line)
                self._everybody(line)
            case "person" if self.phone_hashes:
                self._link(line)
                self._person(line)
            case other:
                raise Tampered(f"a {other} does not belong here")

    def end(self) -> None:
        last = max(self.links, default=0)
        if not self.phone_hashes:
            _same((last, self.links.get(last, ledger.BEGIN.hex())), self.head, "the chain does not end at its head")
        elif last > self.head[0]:
            raise Tampered("an entry lies behind the head")

    def _link(self, line: Line) -> None:
        statement = line["statement"]
        number, previous = int(statement["number"]), max(self.links, default=0)
        is_next, place = number == previous + 1, (number, int(line.get("position", 0)))
        if not is_next and not (self.phone_hashes and place > self._place):
            raise Tampered(f"link {number} follows link {previous}")
        self._place = place
        _same(statement["merchant_id"], self.merchant_id, "it is another merchant's")
        if is_next:
            before = self.links.get(previous, ledger.BEGIN.hex())
            _same(statement["previous_hash"], before, "it does not follow the link before it")
        _same(line["hash"], ledger.link(statement).hex(), "the statement is not the one of its hash")
        _same(line["hash"], self.links.get(number, line["hash"]), "there is another link of this number")
        if number == self.head[0]:
            _same(line["hash"], self.head[1], "it is not the head")
        if statement["wording_hash"] and statement["wording_hash"] not in self._wordings:
            raise Tampered("its wording is not there")
        if origin := line["origin"]:
            found = ledger.origin(bytes.fromhex(origin["salt"]), origin["ip_address"], origin["user_agent"])
            _same(statement["origin_hash"], found.hex(), "its origin is another")
        self.links[number] = line["hash"]

    def _everybody(self, line: Line) -> None:
        people, statement = line["people"], line["statement"]
        _same(statement["people_count"], len(people), "people are missing or added")
        root = ledger.root(ledger.person(contact_id, bytes.fromhex(phone_hash)) for contact_id, phone_hash in people)
        _same(statement["people_root"], root.hex(), "its people are others")
        self.people += len(people)
        for _, phone_hash in people:
            self.numbers.setdefault(phone_hash, []).append(statement["number"])

    def _person(self, line: Line) -> None:
        if line["phone_hash"] not in self.phone_hashes:
            raise Tampered("it is about another phone")
        leaf = ledger.person(line["contact_id"], bytes.fromhex(line["phone_hash"]))
        path = [bytes.fromhex(sibling) for sibling in line["path"]]
        root = ledger.root_by(leaf, line["position"], line["statement"]["people_count"], path)
        _same(line["statement"]["people_root"], root.hex(), "the person is none of its people")
        self.people += 1
        self.numbers.setdefault(line["phone_hash"], []).append(line["statement"]["number"])


def verified(lines: Iterable[str | bytes]) -> Evidence:
    """Raises `Tampered`."""
    evidence: Evidence | None = None
    for number, text in enumerate(lines, 1):
        try:
            line = json.loads(text, object_pairs_hook=_once)
            _same(set(line), FIELDS[line["type"]], "a field is missing or added")
            if evidence is None:
                _same((line["type"], line["version"]), ("head", VERSION), "the head does not come first")
                head = (line["number"], line["hash"])
                evidence = Evidence(head, line["merchant_id"], tuple(line["phone_hashes"]))
            else:
                evidence.take(line)
        except Tampered as tampered:
            raise Tampered(f"line {number}: {tampered}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Tampered(f"line {number}: not of its form ({error!r})") from error
    if evidence is None:
        raise Tampered("there is nothing in it")
    evidence.end()
    return evidence


def hold(extract: Evidence, whole: Evidence) -> None:
    """Raises `Tampered` where one person's entries are not exactly the ledger's about this phone."""
    for number, hash in extract.links.items():
        _same(whole.links.get(number), hash, f"the ledger has another link {number}")
    for phone_hash in extract.phone_hashes:
        known = [number for number in whole.numbers.get(phone_hash, []) if number <= extract.head[0]]
        _same(extract.numbers.get(phone_hash, []), known, "the ledger has other entries about this phone")


def _once(pairs: list[tuple[str, Any]]) -> Line:
    line = dict(pairs)
    if len(line) < len(pairs):
        raise ValueError("a name stands twice")
    return line


def _same(found: object, expected: object, problem: str) -> None:
    if found != expected:
        raise Tampered(problem)


def _read(path: Path) -> Evidence:
    with path.open("rb") as lines:
        return verified(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m services.contacts.evidence", description="Verifies evidence.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--ledger", type=Path, help="the whole ledger, to hold one person's file against")
    parser.add_argument("--head", help="the hash of a link that was seen earlier")
    options = parser.parse_args()
    try:
        evidence = _read(options.file)
        whole = _read(options.ledger) if options.ledger else evidence
        if options.ledger:
            hold(evidence, whole)
        if options.head and options.head not in whole.links.values():
            raise Tampered(f"no link has the hash {options.head}")
    except Tampered as tampered:
        sys.stderr.write(f"TAMPERED: {tampered}\n")
        return 1
    number, hash = evidence.head
    links, people = len(evidence.links), evidence.people
    sys.stdout.write(f"OK: {links} links, {people} entries; the ledger's head is link {number}, {hash}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
