"""A service that can't start says which setting is missing or wrong, and not what the others are."""

import importlib

import pytest
from pydantic import ValidationError

from tests.conftest import SERVICES


@pytest.mark.parametrize("name", [*SERVICES, "gateway"])
def test_a_start_that_fails_gives_no_secret_away(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in ("DATABASE_URL", "NATS_URL", "MESH_PRIVATE_KEY", "DRAIN_DELAY_SECONDS"):
        monkeypatch.setenv(setting, f"hunter2-{setting}")
    with pytest.raises(ValidationError) as raised:
        importlib.import_module(f"services.{name}.settings").Settings()
    assert "mesh_public_keys\n  Field required" in str(raised.value)
    assert "drain_delay_seconds\n  Input should be a valid number" in str(raised.value)
    assert "hunter2" not in str(raised.value)
