"""Closing the books: the rest of a hold is released and the report becomes final, once nothing is left to learn.

It also asks the senders after campaigns on whose road nothing was heard, since an event can be lost with its stream.
"""

import asyncio
from collections.abc import Sequence

import grpc
from prometheus_client import Counter

from astronote.campaigns.v1.campaigns_pb2 import Campaign
from astronote.sender.v1 import sender_pb2 as sender
from astronote.sender.v1.events_pb2 import CampaignTally
from astronote.sender.v1.sender_pb2_grpc import TalliesServiceStub
from astronote.wallet.v1 import wallet_pb2 as wallet
from astronote.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from kit import crash
from kit.channel import Peer
from kit.rows import AnyRow
from kit.store import Database
from services.campaigns.store import CampaignStore

ROUND_SIZE = 20
RETRY_SECONDS = 1.0
WAIT_SECONDS = 60.0
TIMEOUT_SECONDS = 10
FINAL = Counter("campaigns_final", "Campaigns whose report became final, by state.", ["state"])


class Closer:
    def __init__(self, database: Database, wallet: Peer) -> None:
        self._database, self._wallet = database, wallet
        self._stub = WalletServiceStub(wallet.channel)

    async def step(self) -> bool:
        async with CampaignStore.open_pipeline(self._database) as store:
            rows = await store.closable(ROUND_SIZE, RETRY_SECONDS, WAIT_SECONDS)
        if not rows:
            return False
        closed = await asyncio.gather(*(self._close_hold(row) for row in rows), return_exceptions=True)
        async with CampaignStore.open_pipeline(self._database) as store:
            for row, is_closed in zip(rows, closed, strict=True):
                if is_closed is True:
                    crash.point("close.closed")
                    await store.finalize(row.id)
                    FINAL.labels(Campaign.State.Name(row.state)).inc()
        _raise_first(closed)
        return False

    async def _close_hold(self, row: AnyRow) -> bool:
        """Whether no hold of the campaign is open any more."""
        captured = (row.tally or CampaignTally()).credits_captured
        request = wallet.CloseHoldRequest(hold_id=row.id, captured=captured)
        try:
            await self._stub.CloseHold(
                request, metadata=self._wallet.metadata(row.merchant_id), timeout=TIMEOUT_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND and not row.credits_held:
                return True
            # Captures are still on their way to the wallet.
            if error.code() == grpc.StatusCode.ABORTED:
                return False
            raise
        return True


class Inquirer:
    def __init__(self, database: Database, sender: Peer, silence_seconds: float, due: asyncio.Event) -> None:
        self._database, self._sender, self._silence_seconds, self._due = database, sender, silence_seconds, due
        self._stub = TalliesServiceStub(sender.channel)

    async def step(self) -> bool:
        async with CampaignStore.open_pipeline(self._database) as store:
            silent = await store.silent(self._silence_seconds, ROUND_SIZE)
        asked = await asyncio.gather(*(self._ask(row, ids) for row, ids in silent), return_exceptions=True)
        if silent:
            self._due.set()
        _raise_first(asked)
        return False

    async def _ask(self, row: AnyRow, batch_ids: list[int]) -> None:
        answer = await self._stub.GetTally(
            sender.GetTallyRequest(campaign_id=row.id, batch_ids=batch_ids),
            metadata=self._sender.metadata(row.merchant_id),
            timeout=TIMEOUT_SECONDS,
        )
        async with CampaignStore.open_pipeline(self._database) as store:
            await store.apply_tally(answer.tally)
            await store.finish_batches(row.id, list(answer.finished_batch_ids))


def _raise_first(results: Sequence[object]) -> None:
    """One that fails holds up none of the others."""
    for result in results:
        if isinstance(result, BaseException):
            raise result
