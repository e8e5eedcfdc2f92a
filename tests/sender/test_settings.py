"""Settings that would open a door are refused at start."""

import pytest
from pydantic import ValidationError

from services.sender.settings import Settings


@pytest.mark.parametrize("secret", ["", " ", "new,", ",old", "a,,b"])
def test_an_empty_webhook_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValidationError, match="one of the secrets is empty"):
        Settings(webhook_secret=secret)
