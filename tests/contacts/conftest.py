"""Clients of contacts."""

import uuid
from typing import Any

import pytest

from tests.contacts.client import Client


@pytest.fixture
def book(mesh: Any, merchant_id: str) -> Client:
    return Client(mesh, merchant_id)


@pytest.fixture
def other(mesh: Any) -> Client:
    """Another merchant."""
    return Client(mesh, str(uuid.uuid4()))
