"""Shops of this folder's tests."""

from collections.abc import AsyncIterator

import pytest

from tests.campaigns.shop import Shop, registered
from tests.conftest import TestMesh


@pytest.fixture
async def shop(mesh: TestMesh) -> Shop:
    return await registered(mesh, sender_name="Cafe")


@pytest.fixture(scope="module")
async def rich_mesh(mesh: TestMesh) -> AsyncIterator[TestMesh]:
    """Merchants begin with three credits and a plan. The senders are away: what is sent stays queued."""
    async with mesh.with_settings("wallet", welcome_credits=3, welcome_plan="starter"):
        yield mesh


@pytest.fixture
async def rich_shop(rich_mesh: TestMesh) -> Shop:
    return await registered(rich_mesh, sender_name="Cafe")
