"""Statements that find the recipients of a campaign in its frozen batches."""

from uuid import UUID

from sqlalchemy import and_, or_, select, text

from kit.rows import AnyRow
from kit.store import Store
from services.campaigns.codes import place
from services.campaigns.errors import RecipientNotFound
from services.campaigns.tables import batches, responses


class RecipientStatements(Store):
    async def batch_after(self, campaign_id: str, message_id: int) -> AnyRow | None:
        """The first batch of a campaign with a message after this one."""
        batch_id, index = place(message_id)
        follows = or_(batches.c.id > batch_id, and_(batches.c.id == batch_id, batches.c.recipient_count > index + 1))
        mine = (batches.c.campaign_id == campaign_id, batches.c.merchant_id == self.merchant_id)
        query = select(batches).where(*mine, follows).order_by(batches.c.id).limit(1)
        return (await self.connection.execute(query)).one_or_none()

    async def batch_of(self, message_id: int) -> AnyRow:
        """Refuses `RecipientNotFound`."""
        batch_id, index = place(message_id)
        mine = (batches.c.id == batch_id, batches.c.merchant_id == self.merchant_id)
        query = select(batches).where(*mine, batches.c.recipient_count > index)
        row = (await self.connection.execute(query)).one_or_none()
        if row is None:
            raise RecipientNotFound(message_id=message_id)
        return row

    async def batch_with(self, campaign_id: str, contact_id: str) -> AnyRow | None:
        """The batch of a campaign that has the contact. All of them are looked through."""
        mine = (batches.c.campaign_id == campaign_id, batches.c.merchant_id == self.merchant_id)
        has = text("position(:contact IN payload) > 0").bindparams(contact=UUID(contact_id).bytes)
        return (await self.connection.execute(select(batches).where(*mine, has).limit(1))).one_or_none()

    async def response_to(self, message_id: int) -> AnyRow | None:
        mine = (responses.c.message_id == message_id, responses.c.merchant_id == self.merchant_id)
        return (await self.connection.execute(select(responses).where(*mine))).one_or_none()
