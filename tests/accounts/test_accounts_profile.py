"""What of a profile needs no database."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.accounts import profile
from services.accounts.settings import Settings


def test_a_machine_without_zones_still_knows_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(profile, "available_timezones", set[str])
    profile.time_zones.cache_clear()
    try:
        assert {"Europe/Athens", "America/New_York", "UTC"} <= profile.time_zones()
    finally:
        monkeypatch.undo()
        profile.time_zones.cache_clear()


@pytest.mark.parametrize("key", ["A" * 42, "", "A" * 44, "é"])
def test_an_encryption_key_of_the_wrong_length_stops_the_service(key: str):
    others: dict[str, Any] = dict.fromkeys(("mesh_private_key", "database_url", "pipeline_database_url"), "x")
    with pytest.raises(ValidationError, match="signing_key_encryption_key"):
        Settings(mesh_public_keys={}, nats_url="x", signing_key_encryption_key=key, **others)
