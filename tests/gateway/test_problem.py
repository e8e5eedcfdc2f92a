"""Refusals as HTTP answers."""

import pytest

from kit.errors import DomainError, NotFound, ResourceExhausted, Unavailable
from services.gateway import problem


@pytest.mark.parametrize(
    ("refusal", "status", "seconds"),
    [
        (ResourceExhausted(), 429, b"1"),
        (ResourceExhausted(retry_seconds=17), 429, b"17"),
        (Unavailable(), 503, b"1"),
        (Unavailable(retry_seconds=5), 503, b"5"),
        (NotFound(), 404, None),
    ],
)
def test_who_may_come_again_is_told_when(refusal: DomainError, status: int, seconds: bytes | None) -> None:
    shown, _, headers = problem.of_refusal(refusal)
    assert shown == status
    assert dict(headers).get(b"retry-after") == seconds
    assert len(headers) == (1 if seconds else 0)
