"""Ports to the providers of texts."""

from collections.abc import Sequence
from typing import Protocol

from astronote.sender.v1.batches_pb2 import BatchRecipient
from services.sender.outcomes import Outcome


class Provider(Protocol):
    async def submit(self, sender_name: str, texts: Sequence[tuple[int, BatchRecipient]]) -> Outcome:
        """Submits texts, each under our message id, at most once. Raises nothing that it can put a meaning to."""
