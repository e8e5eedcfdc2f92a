"""From a page of people to the batch that a sender is handed."""

from collections.abc import Mapping, Sequence

from astronote.campaigns.v1.campaigns_pb2 import Campaign
from astronote.contacts.v1.contacts_pb2 import AudienceMember
from astronote.sender.v1.batches_pb2 import SendBatch
from kit.rows import AnyRow
from services.campaigns import pricing
from services.campaigns.codes import Codes, first_message_id
from services.campaigns.rendering import Text
from services.campaigns.waves import Wave

# More than that is no longer what somebody waits for: it would hold up those who do.
EXPEDITED_MAX = 50


def of_waves(
    row: AnyRow, batch_ids: Sequence[int], text: Text, waves: Mapping[Wave, Sequence[AudienceMember]], codes: Codes
) -> dict[Wave, SendBatch]:
    """A batch each."""
    return {
        wave: frozen(row, batch_id, text, members, codes)
        for batch_id, (wave, members) in zip(batch_ids, waves.items(), strict=True)
    }


def frozen(row: AnyRow, batch_id: int, text: Text, members: Sequence[AudienceMember], codes: Codes) -> SendBatch:
    """Those of the members whose text can be sent, in their order, under the campaign of the row."""
    first_id = first_message_id(batch_id)
    drawn = codes.of_range(first_id, len(members))
    recipients = pricing.recipients(text, members, drawn, row.on_long_text)
    if len(recipients) < len(members):
        # Some texts are too long. Those that stay are rendered anew, since a code belongs to a place in the batch.
        kept = {recipient.phone for recipient in recipients}
        staying = [member for member in members if member.phone in kept]
        recipients = pricing.recipients(text, staying, drawn[: len(staying)], row.on_long_text)
    return SendBatch(
        batch_id=batch_id,
        campaign_id=row.id,
        merchant_id=row.merchant_id,
        hold_id=row.id,
        sender_name=row.sender_name,
        first_message_id=first_id,
        recipients=recipients,
        expedited=row.kind != Campaign.CAMPAIGN and len(recipients) <= EXPEDITED_MAX,
        allow_strangers=row.kind == Campaign.TEST,
        cap_texts=row.cap_texts,
        cap_days=row.cap_days,
    )
