"""The ledger of consents as bytes: what is hashed, and how the hashes hang together (docs/consent-ledger.md).

A statement is one link of its merchant's chain: an event, and the people it is about. The people are the leaves of a
Merkle tree, so that a page of an import costs one link, and one person is shown to be in it without the others.
Only the standard library stands here, as in evidence.py: whoever verifies has nothing of ours. Hashes are SHA-256.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

# What a hash is of can't be taken for something else (RFC 6962, 2.1).
PERSON, NODE, LINK, ORIGIN = b"\x00", b"\x01", b"\x02", b"\x03"
#: What the first link follows.
BEGIN = bytes(32)
#: What a person without a contact has in its place.
NOBODY = "00000000-0000-0000-0000-000000000000"

_canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def canonical(values: Mapping[str, object]) -> bytes:
    """JSON in UTF-8 with sorted keys and no spaces: one form for the same values (as RFC 8785 has it)."""
    return _canonical.encode(values).encode()


def person(contact_id: str | None, phone_hash: bytes) -> bytes:
    """The leaf of one person: 16 bytes of the contact's id, then the keyed hash of the phone."""
    id = bytes.fromhex((contact_id or NOBODY).replace("-", ""))
    return hashlib.sha256(PERSON + id + phone_hash).digest()


def link(statement: Mapping[str, object]) -> bytes:
    """The hash of a link: of everything that its statement says, the link before it and the people's root included."""
    return hashlib.sha256(LINK + canonical(statement)).digest()


def wording(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def origin(salt: bytes, ip_address: str, user_agent: str) -> bytes:
    """A commitment to where a consent came from. Once the salt is erased, nobody can find out by trying."""
    values = {"ip_address": ip_address, "salt": salt.hex(), "user_agent": user_agent}
    return hashlib.sha256(ORIGIN + canonical(values)).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """Of at least one leaf."""
    level = list(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def path(leaves: Iterable[bytes], position: int) -> list[bytes]:
    """The hashes beside the way from a leaf up to the root."""
    level, found = list(leaves), []
    while len(level) > 1:
        if (sibling := position ^ 1) < len(level):
            found.append(level[sibling])
        level, position = _above(level), position // 2
    return found


def root_by(leaf: bytes, position: int, size: int, siblings: Sequence[bytes]) -> bytes:
    """The root that a leaf and its path lead to. Raises ValueError where the path has another length."""
    left = list(siblings)
    while size > 1:
        if position ^ 1 < size:
            if not left:
                raise ValueError("the path is too short")
            sibling = left.pop(0)
            leaf = _node(sibling, leaf) if position % 2 else _node(leaf, sibling)
        position, size = position // 2, (size + 1) // 2
    if left or position:
        raise ValueError("the path is too long")
    return leaf


def _above(level: Sequence[bytes]) -> list[bytes]:
    """The next level of the tree; an odd one out goes up as it is."""
    nodes = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    return nodes + list(level[len(nodes) * 2 :])


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(NODE + left + right).digest()
