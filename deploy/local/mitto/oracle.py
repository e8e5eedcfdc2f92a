"""Tells whether anybody was texted twice."""

import re
from collections.abc import Iterable
from typing import Any

# The code of a link differs in each message, so it doesn't count when two texts are compared.
_LINK_CODE = re.compile(r"/[uo]/[0-9A-Za-z]{11}(?![0-9A-Za-z])")


class Oracle:
    """Remembers each (destination, sender, text stem) as a 60-bit hash: about 140 bytes a message.

    At a million messages two of them share a hash by chance once in two million runs.
    """

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._destinations: set[int] = set()
        self._doubled: dict[int, None] = {}

    def add(self, destinations: list[int], contents: Iterable[dict[str, Any]]) -> None:
        """Adds accepted messages: their destinations' digits, and `{text, sender}` for each."""
        strip = _LINK_CODE.sub
        # 60 bits rather than 64 are an integer of 32 bytes rather than 48.
        fingerprints = [
            hash((destination, content["sender"], strip("", content["text"]))) >> 4
            for destination, content in zip(destinations, contents, strict=True)
        ]
        fresh = set(fingerprints)
        if len(fresh) < len(fingerprints) or not self._seen.isdisjoint(fresh):
            self._find_doubled(destinations, fingerprints)
        self._seen |= fresh
        self._destinations.update(destinations)

    def _find_doubled(self, destinations: list[int], fingerprints: list[int]) -> None:
        """One by one, since some were seen before or stand twice in this very call."""
        here: set[int] = set()
        for destination, fingerprint in zip(destinations, fingerprints, strict=True):
            if fingerprint in self._seen or fingerprint in here:
                self._doubled[destination] = None
            here.add(fingerprint)

    def verdict(self) -> dict[str, Any]:
        """`{distinctDestinations, doubled, sample}`, the last the first 20 doubled destinations, as +E.164."""
        doubled = self._doubled
        sample = [f"+{destination}" for destination, _ in zip(doubled, range(20), strict=False)]
        return {"distinctDestinations": len(self._destinations), "doubled": len(doubled), "sample": sample}
