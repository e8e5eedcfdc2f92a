"""A Stripe for the tests of billing, and a merchant who buys there."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from deploy.local.stripe import StripeStandIn
from tests.conftest import SETTINGS, TestMesh
from tests.wallet.buyer import IS_LIVE, Buyer, Till


@pytest.fixture(scope="session")
async def till() -> AsyncIterator[Till]:
    till = Till()
    if IS_LIVE:
        yield till
    else:
        settings = SETTINGS["wallet"]
        port = urlsplit(settings["stripe_api_base"]).port or 0
        async with StripeStandIn(secret_key=settings["stripe_secret_key"], port=port):
            yield till
    await till.close()


@pytest.fixture
async def buyer(mesh: TestMesh, till: Till) -> Buyer:
    await till.forget()
    return await Buyer.register_one(mesh, till)
