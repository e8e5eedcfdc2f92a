"""What a plan allows, and for how long after a payment failed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text

from astronote.wallet.v1.wallet_pb2 import Subscription
from services.wallet.entitlement import Terms
from services.wallet.store import WalletStore
from tests.wallet.client import Client

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TERMS = Terms(timedelta(days=7))


def subscription(state: "Subscription.State.ValueType", began: timedelta | None = None) -> Subscription:
    found = Subscription(plan="starter", state=state)
    if began is not None:
        start = Timestamp()
        start.FromDatetime(NOW - began)
        found.period_start_time.CopyFrom(start)
    return found


@pytest.mark.parametrize(
    ("found", "is_entitled"),
    [
        (Subscription(), False),
        (subscription(Subscription.NONE), False),
        (subscription(Subscription.ACTIVE), True),
        (subscription(Subscription.ACTIVE, timedelta(days=400)), True),
        (subscription(Subscription.CANCELED, timedelta(days=1)), False),
        (subscription(Subscription.PAST_DUE, timedelta(days=7) - timedelta(seconds=1)), True),
        (subscription(Subscription.PAST_DUE, timedelta(days=7)), False),
        # In doubt it is none.
        (subscription(Subscription.PAST_DUE), False),
    ],
)
def test_a_plan_goes_on_for_the_days_of_grace(found: Subscription, is_entitled: bool):
    assert TERMS.is_entitled(found, NOW) == is_entitled


async def test_past_due_is_shown_with_its_end_and_allows_what_it_did_until_then(mesh: Any, merchant_id: str):
    wallet = Client(mesh, merchant_id)
    await wallet.register(plan="starter")
    for days, is_entitled in ((6, True), (8, False)):
        start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days)
        async with WalletStore.open_pipeline(mesh.app("wallet").database) as store:
            await store.connection.execute(
                text("UPDATE subscriptions SET state = 'PAST_DUE', period_start_time = :start WHERE merchant_id = :id"),
                {"start": start, "id": merchant_id},
            )
        assert (await wallet("GetEntitlement")).campaigns == is_entitled
        shown = (await wallet("GetWallet", "gateway")).subscription
        assert shown.state == Subscription.PAST_DUE
        assert shown.grace_end_time.ToDatetime(tzinfo=UTC) == start + timedelta(days=7)
