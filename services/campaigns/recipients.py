"""The recipients of a campaign as they stand now: the frozen batches say who they are, the senders what became of
them.
"""

import grpc

from astronote.contacts.v1.consents_pb2 import Consent, ListConsentsRequest
from astronote.contacts.v1.consents_pb2_grpc import ConsentsServiceStub
from astronote.sender.v1.batches_pb2 import BatchRecipient, SendBatch
from astronote.sender.v1.sender_pb2 import GetOutcomeRequest, ListOutcomesRequest, Message, Outcome
from astronote.sender.v1.sender_pb2_grpc import OutcomesServiceStub
from kit.channel import Peer
from kit.pages import SIZE_MAX
from kit.rows import AnyRow
from kit.store import Database
from services.campaigns import claims
from services.campaigns.codes import first_message_id
from services.campaigns.sent import contact_id
from services.campaigns.store import CampaignStore

TIMEOUT_SECONDS = 10
# So often the senders are asked for one page, however few of those whom they name stand where they are asked for.
LOOKS_A_PAGE = 40


class Outcomes:
    """The senders and contacts, as campaigns ask them about people."""

    def __init__(self, sender: Peer, contacts: Peer) -> None:
        self._sender, self._contacts = sender, contacts
        self._outcomes, self._consents = OutcomesServiceStub(sender.channel), ConsentsServiceStub(contacts.channel)

    async def page(
        self, merchant_id: str, ids: range, state: Message.State.ValueType = Message.STATE_UNSPECIFIED
    ) -> list[Message]:
        """The first messages among these ids, at most 500; of those that stand there."""
        request = ListOutcomesRequest(first_id=ids.start, last_id=ids.stop - 1, state=state, page_size=SIZE_MAX)
        metadata = self._sender.metadata(merchant_id)
        answer = await self._outcomes.ListOutcomes(request, metadata=metadata, timeout=TIMEOUT_SECONDS)
        return list(answer.messages)

    async def outcome(self, merchant_id: str, message_id: int) -> Outcome | None:
        """None where the message was neither submitted nor skipped by the senders."""
        request, metadata = GetOutcomeRequest(id=message_id), self._sender.metadata(merchant_id)
        try:
            return await self._outcomes.GetOutcome(request, metadata=metadata, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return None
            raise

    async def consents(self, merchant_id: str, contact_id: str) -> list[Consent] | None:
        """The oldest first, at most 500; none where the contact is gone."""
        request = ListConsentsRequest(contact_id=contact_id, page_size=SIZE_MAX)
        metadata = self._contacts.metadata(merchant_id)
        try:
            answer = await self._consents.ListConsents(request, metadata=metadata, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return None
            raise
        return list(answer.consents)


class Recipients:
    def __init__(self, database: Database, outcomes: Outcomes) -> None:
        self._database, self._outcomes = database, outcomes

    async def page(
        self, campaign: AnyRow, state: Message.State.ValueType, after_id: int, limit: int
    ) -> tuple[list[Message], int]:
        """Those after a message's id, and the id that the next page is after; 0 where there is none."""
        found = list[Message]()
        for _ in range(LOOKS_A_PAGE):
            async with CampaignStore.open(self._database, str(campaign.merchant_id)) as store:
                batch = await store.batch_after(campaign.id, after_id)
            if batch is None:
                return found, 0
            first_id = first_message_id(batch.id)
            ids = range(max(after_id + 1, first_id), first_id + batch.recipient_count)[:SIZE_MAX]
            if _is_told_by_senders(batch, state):
                ids = range(ids.start, first_id + batch.recipient_count)
                more = await self._outcomes.page(str(campaign.merchant_id), ids, state)
                reached = more[-1].id if len(more) == SIZE_MAX else ids[-1]
            else:
                more, reached = await self._merged(campaign, batch, state, ids), ids[-1]
            found += more
            after_id = reached
            if len(found) >= limit:
                return found[:limit], found[limit - 1].id
        return found, after_id

    async def _merged(
        self, campaign: AnyRow, batch: AnyRow, state: Message.State.ValueType, ids: range
    ) -> list[Message]:
        """Of a batch that is not done: those who wait or were left out, among what the senders know."""
        is_cancelled = batch.state == "CANCELLED"
        waits, error = Message.QUEUED, ""
        if is_cancelled:
            waits, error = Message.SKIPPED, claims.dropped(campaign)
        if batch.state in ("READY", "CANCELLED") and state not in (waits, Message.STATE_UNSPECIFIED):
            return []
        asked = [] if is_cancelled else await self._outcomes.page(str(campaign.merchant_id), ids)
        known = {message.id: message for message in asked}
        people = SendBatch.FromString(batch.payload).recipients
        first_id = first_message_id(batch.id)
        for id in ids:
            # A campaign whose readers are forgotten has places, and nobody in them.
            person = people[id - first_id] if people else BatchRecipient()
            if id not in known:
                known[id] = Message(
                    id=id,
                    campaign_id=campaign.id,
                    contact_id=contact_id(person),
                    to=person.phone,
                    segments=person.segments,
                    state=waits,
                    error=error,
                )
        return [known[id] for id in ids if state in (known[id].state, Message.STATE_UNSPECIFIED)]


def _is_told_by_senders(batch: AnyRow, state: Message.State.ValueType) -> bool:
    """Whether the senders alone know all who stand there."""
    if batch.state == "DONE":
        return True
    return batch.state in ("PUBLISHED", "TAKEN") and state not in (Message.STATE_UNSPECIFIED, Message.QUEUED)
