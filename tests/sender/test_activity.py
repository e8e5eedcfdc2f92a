"""What becomes of texts is told to contacts: one event an attempt or round of reports, however many people."""

from typing import Any

from astronote.contacts.v1.audience_pb2 import ActivityCondition
from astronote.sender.v1.events_pb2 import MessageOutcomes
from tests.conftest import TestMesh
from tests.sender.road import Shop, post, provider

SILENT = {"reports": {"delayMs": 0, "delivered": 0, "failed": 0, "silent": 1}}
COUNT = 7


async def test_a_campaign_s_texts_become_the_contacts_activity(mesh: TestMesh):
    async with provider(mesh, SILENT):
        shop = await Shop.opened(mesh, COUNT)
        await mesh.service("contacts")
        heard = await mesh.app("contacts").bus.client.subscribe(f"event.{MessageOutcomes.DESCRIPTOR.full_name}")
        campaign_id = await shop.send()
        await shop.report(campaign_id, lambda report: report.counts.accepted == COUNT)
        await shop.heard(ActivityCondition.TEXTED, COUNT)
        await shop.heard(ActivityCondition.DELIVERED, 0)
        ids = [message.provider_message_id for message in await shop.messages()]
        await post(mesh, *(told(id, "Delivered") for id in ids[:4]), *(told(id, "Failure") for id in ids[4:]))
        await shop.heard(ActivityCondition.DELIVERED, 4)
        await post(mesh, *(told(id, "Delivered") for id in ids))
        await shop.heard(ActivityCondition.DELIVERED, COUNT)
        said = [MessageOutcomes.FromString(message.data) for message in await pending(heard)]
        mine = [(event.kind, len(event.contact_ids) // 16) for event in said if event.merchant_id == shop.merchant_id]
        assert mine[0] == (MessageOutcomes.ACCEPTED, COUNT)
        # Nobody is told of twice, and a round is one event.
        assert sum(people for kind, people in mine if kind == MessageOutcomes.DELIVERED) == COUNT
        assert len(mine) <= 1 + COUNT
        await heard.unsubscribe()


async def pending(heard: Any) -> list[Any]:
    return [await heard.next_msg(timeout=5) for _ in range(heard.pending_msgs)]


def told(id: str, status: str) -> dict[str, str]:
    return {"messageId": id, "deliveryStatus": status}
