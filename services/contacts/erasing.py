"""People who are being forgotten: the services that hold something of theirs are asked until they have let go of it.

They are asked, not told by an event: a stream would keep the phone of the erased for a week (docs/adr).
"""

from astronote.campaigns.v1.privacy_pb2 import ErasePersonRequest as EraseFromCampaigns
from astronote.campaigns.v1.privacy_pb2_grpc import PrivacyServiceStub as CampaignsStub
from astronote.sender.v1.privacy_pb2 import ErasePersonRequest as EraseFromSender
from astronote.sender.v1.privacy_pb2_grpc import PrivacyServiceStub as SenderStub
from kit.channel import Peer
from kit.store import Database
from services.contacts.store import ContactsStore
from services.contacts.store.privacy import Due

# The second time takes what was on its way during the first: a batch in a sender's hands, a report not yet applied.
ROUNDS = 2
TIMEOUT_SECONDS = 300.0
LEASE_SECONDS = 660.0
REJECTS_A_ROUND = 10_000


class Erasing:
    """The job. Any number of processes may run it."""

    def __init__(self, database: Database, sender: Peer, campaigns: Peer, pause_seconds: float) -> None:
        self._database, self._pause_seconds = database, pause_seconds
        self._sender, self._sender_stub = sender, SenderStub(sender.channel)
        self._campaigns, self._campaigns_stub = campaigns, CampaignsStub(campaigns.channel)

    async def step(self) -> bool:
        """One round of one person. Where a service is away it raises, and the round begins anew after the lease."""
        async with ContactsStore.open_pipeline(self._database) as store:
            erasure = await store.take_erasure(LEASE_SECONDS)
        if erasure is None:
            return False
        await self._forget(erasure)
        async with ContactsStore.open_pipeline(self._database) as store:
            await store.end_round(erasure, self._pause_seconds, is_last=erasure["rounds"] + 1 >= ROUNDS)
        return True

    async def _forget(self, erasure: Due) -> None:
        merchant_id, phone = erasure["merchant_id"], erasure["phone"]
        forgotten = await self._sender_stub.ErasePerson(
            EraseFromSender(phone=phone), metadata=self._sender.metadata(merchant_id), timeout=TIMEOUT_SECONDS
        )
        await self._campaigns_stub.ErasePerson(
            EraseFromCampaigns(phone=phone, message_ids=forgotten.message_ids),
            metadata=self._campaigns.metadata(merchant_id),
            timeout=TIMEOUT_SECONDS,
        )


class RejectRetention:
    """Rejected rows are there to be corrected, and for no longer."""

    def __init__(self, database: Database, seconds: float) -> None:
        self._database, self._seconds = database, seconds

    async def step(self) -> bool:
        async with ContactsStore.open_pipeline(self._database) as store:
            return await store.drop_old_rejects(self._seconds, REJECTS_A_ROUND) == REJECTS_A_ROUND
