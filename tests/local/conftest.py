"""Where the stand-in for Mitto posts its reports."""

from collections.abc import AsyncIterator

import pytest

from tests.local.mitto import Webhooks


@pytest.fixture
async def webhooks() -> AsyncIterator[Webhooks]:
    async with Webhooks().running() as running:
        yield running
