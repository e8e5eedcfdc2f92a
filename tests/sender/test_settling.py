"""What the wallet refuses holds up nothing of what it takes."""

import uuid

import grpc
import pytest
from sqlalchemy import text

from astronote.wallet.v1 import wallet_pb2 as wallet
from astronote.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from services.sender.delivery import SETTLEMENTS_A_ROUND, Settler
from services.sender.outcomes import Change
from services.sender.store import SenderStore
from tests.conftest import TestMesh
from tests.sender import books


async def test_settlements_that_fail_for_good_stand_at_the_end(mesh: TestMesh) -> None:
    if "sender" in mesh.running():
        await mesh.stop("sender")
    database = books.database(mesh)
    async with mesh.with_settings("wallet", welcome_credits=1000):
        peer, merchant_id, hold_id = await mesh.service("wallet", caller="sender"), str(uuid.uuid4()), str(uuid.uuid4())
        campaigns = await mesh.service("wallet", caller="campaigns")
        hold = wallet.HoldRequest(hold_id=hold_id, amount=10)
        await WalletServiceStub(campaigns.channel).Hold(hold, metadata=campaigns.metadata(merchant_id), timeout=20)
        async with SenderStore.open_pipeline(database) as store:
            for number in range(2 * SETTLEMENTS_A_ROUND):
                await store.settle(f"lost-{number}-{hold_id}", merchant_id, str(uuid.uuid4()), Change(captured=1))
            await store.settle(f"good-{hold_id}", merchant_id, hold_id, Change(captured=7))
        settler = Settler(database, peer)
        for _ in range(3):
            with pytest.raises(grpc.aio.AioRpcError):
                await settler.step()
        async with SenderStore.open_pipeline(database) as store:
            left = text("SELECT key FROM settlements WHERE merchant_id = CAST(:id AS uuid)")
            keys = list((await store.connection.execute(left, {"id": merchant_id})).scalars())
            await store.connection.execute(
                text("DELETE FROM settlements WHERE merchant_id = CAST(:id AS uuid)"), {"id": merchant_id}
            )
        assert f"good-{hold_id}" not in keys
        assert len(keys) == 2 * SETTLEMENTS_A_ROUND
    await database.close()
