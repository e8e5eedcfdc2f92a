"""Settings that would open a door, or stop the road, are refused at start."""

import pytest
from pydantic import ValidationError

from services.contacts.servicers.audiences import PHONES_MAX
from services.sender.settings import Settings


@pytest.mark.parametrize("secret", ["", " ", "new,", ",old", "a,,b"])
def test_an_empty_webhook_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValidationError, match="one of the secrets is empty"):
        Settings(webhook_secret=secret)


@pytest.mark.parametrize("name", ["chunk_size", "concurrency", "merchant_concurrency", "tries_max", "cautious_size"])
def test_a_road_without_a_lane_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=f"{name}\n  Input should be greater than"):
        Settings(**{name: 0})


@pytest.mark.parametrize("days", [-1, 1, 90])
def test_texts_outlive_the_answers_to_them(days: int) -> None:
    with pytest.raises(ValidationError, match="text_retention_seconds\n  Value error, must be 0 or at least"):
        Settings(text_retention_seconds=days * 86400)


def test_a_chunk_is_no_larger_than_contacts_answer_for() -> None:
    assert Settings.model_fields["chunk_size"].metadata[-1].le == PHONES_MAX
    with pytest.raises(ValidationError, match="chunk_size\n  Input should be less than"):
        Settings(chunk_size=PHONES_MAX + 1)
