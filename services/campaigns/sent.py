"""The text that a code in a link was made for."""

from dataclasses import dataclass
from uuid import UUID

from astronote.sender.v1.batches_pb2 import BatchRecipient
from kit.rows import AnyRow


@dataclass(frozen=True)
class Sent:
    """`campaign` holds what the pages of its campaign say."""

    message_id: int
    campaign: AnyRow
    recipient: BatchRecipient

    @property
    def merchant_id(self) -> str:
        return str(self.campaign.merchant_id)

    @property
    def campaign_id(self) -> str:
        return str(self.campaign.campaign_id)

    @property
    def variant(self) -> int:
        """Which of the campaign's texts it is, from 0."""
        return self.recipient.variant

    @property
    def written(self) -> str:
        """That text, as the merchant wrote it."""
        others = self.campaign.experiment.texts if self.variant else ()
        return str(others[self.variant - 1] if self.variant else self.campaign.text)

    @property
    def contact_id(self) -> str:
        return contact_id(self.recipient)


def contact_id(recipient: BatchRecipient) -> str:
    """Empty where the text went to somebody who is no contact."""
    return str(UUID(bytes=recipient.contact_id)) if recipient.contact_id else ""
