"""Tests of a campaign: its text to a few phones, as a small campaign of its own on the road of all campaigns."""

import re
from collections.abc import Sequence
from contextlib import aclosing

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.contacts.v1.audience_pb2 import Audience, FieldCondition
from astronote.contacts.v1.contacts_pb2 import AudienceMember
from kit import caller
from kit.interceptors import Context
from services.campaigns import batching, starting
from services.campaigns.errors import CampaignInvalid, SenderNameMissing
from services.campaigns.rendering import LANGUAGE, Text, campaign_text, sample_values
from services.campaigns.servicers.verbs import Verbs
from services.campaigns.store import CampaignStore
from services.campaigns.store.campaigns import shown
from services.campaigns.waves import Wave

PHONES_MAX = 5
NO_RULES = {"quiet_hours": pb.Campaign.NONE, "frequency_cap": pb.Campaign.NONE}
COPIED = ("name", "text", "audience", "offer_link", "offer", "track_links", "on_long_text")
E164 = re.compile(r"\+[1-9][0-9]{6,14}")


class Trials(Verbs):
    async def TestCampaign(self, request: pb.TestCampaignRequest, context: Context) -> pb.Campaign:
        merchant_id, phones = caller.merchant_id(), _phones(request)
        async with CampaignStore.open(self._database, merchant_id) as store:
            if answer := await store.recalled(request, pb.Campaign):
                return answer
            row = await store.campaign(request.id)
        merchant = await self._merchants.get(merchant_id)
        sender_name = row.sender_name or merchant.sender_name
        if not sender_name:
            raise SenderNameMissing(field="sender_name")
        base_url = merchant.public_base_url or self._public_base_url
        text = campaign_text(row, base_url)
        members = await self._members(merchant_id, phones, row.text, text)
        values = {name: getattr(row, name) for name in COPIED}
        values |= {"kind": pb.Campaign.TEST, "parent_id": row.id, **NO_RULES}
        values |= starting.frozen(merchant, sender_name, base_url)
        async with CampaignStore.open(self._database, merchant_id) as store:
            if answer := await store.replayed(request, pb.Campaign):
                return answer
            begun = await store.begin_small(values)
            (batch_id,) = await store.next_batch_ids(1)
            batch = batching.frozen(begun, batch_id, text, members, self._codes)
            test = await store.freeze_small(begun, {Wave(): batch}, len(members))
            answer = await store.answered(request, shown(test))
        self._started.set()
        return answer

    async def _members(self, merchant_id: str, phones: Sequence[str], written: str, text: Text) -> list[AudienceMember]:
        """Contacts as they are, and for everybody else what a preview shows."""
        audience = Audience()
        audience.rule.field.CopyFrom(FieldCondition(name="phone", op=FieldCondition.IN, values=phones))
        pages = self._audiences.pages(merchant_id, audience, text.fields, PHONES_MAX)
        async with aclosing(pages):
            known = {member.phone: member async for page in pages for member in page.members}
        sample = sample_values(written, text, {})
        # Nobody said what these people speak: the pages go by their phone.
        sample[text.fields.index(LANGUAGE)] = ""
        return [known.get(phone) or AudienceMember(phone=phone, values=sample) for phone in phones]


def _phones(request: pb.TestCampaignRequest) -> list[str]:
    """Each once. Refuses `CampaignInvalid`."""
    phones = list(dict.fromkeys(request.phones))
    if len(phones) > PHONES_MAX:
        raise CampaignInvalid(field="phones", phones_max=PHONES_MAX)
    for index, phone in enumerate(phones):
        if not E164.fullmatch(phone):
            raise CampaignInvalid(field=f"phones[{index}]", rule="E.164, such as +306912345678")
    return phones
