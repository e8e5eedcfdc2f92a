"""Ports to the providers of texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from astronote.sender.v1.batches_pb2 import BatchRecipient
from services.sender.outcomes import Outcome


class Provider(Protocol):
    async def submit(self, sender_name: str, texts: Sequence[tuple[int, BatchRecipient]]) -> Outcome:
        """Submits texts, each under our message id, at most once. Raises nothing that it can put a meaning to."""


class LookupFailedError(Exception):
    """Nobody could say: ask again later."""


@dataclass(frozen=True)
class Found:
    """What the provider was sent under one of its ids; `reference` is empty where it does not say."""

    text: str
    reference: str


class Lookups(Protocol):
    async def look_up(self, provider_message_id: str) -> Found | None:
        """None for an id that the provider never gave. Raises `LookupFailedError`."""
