"""The clock of accounts."""

import pytest

from tests.accounts.client import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("services.accounts.auth.datetime", made)
    return made
