"""The RPCs of privacy: all that is held about a person, and its end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.json_format import MessageToDict

from astronote.campaigns.v1.privacy_pb2 import ExportPersonRequest as ExportFromCampaigns
from astronote.campaigns.v1.privacy_pb2_grpc import PrivacyServiceStub as CampaignsStub
from astronote.contacts.v1 import privacy_pb2 as pb
from astronote.contacts.v1 import privacy_pb2_grpc as rpc
from astronote.contacts.v1.contacts_pb2 import Contact
from astronote.sender.v1.privacy_pb2 import ExportPersonRequest as ExportFromSender
from astronote.sender.v1.privacy_pb2_grpc import PrivacyServiceStub as SenderStub
from kit import caller
from kit.channel import Peer
from kit.interceptors import Context
from kit.store import Database
from services.contacts.servicers.consents import message
from services.contacts.store import ContactsStore
from services.contacts.store.consents import FIRST
from services.contacts.suppression import PhoneHash

SOURCE = "erasure"
CONSENTS_MAX = 10_000
TIMEOUT_SECONDS = 60.0
PIECE_BYTES = 256 * 1024
JSON = "application/json"


class Privacy(rpc.PrivacyServiceServicer):
    def __init__(
        self, database: Database, hashed: PhoneHash, sender: Peer, campaigns: Peer, erased: asyncio.Event
    ) -> None:
        """`erased` wakes the job."""
        self._database, self._hashed, self._erased = database, hashed, erased
        self._sender, self._sender_stub = sender, SenderStub(sender.channel)
        self._campaigns, self._campaigns_stub = campaigns, CampaignsStub(campaigns.channel)

    async def ExportContact(self, request: pb.ExportContactRequest, context: Context) -> AsyncIterator[HttpBody]:
        merchant_id = caller.merchant_id()
        async with ContactsStore.open(self._database, merchant_id) as store:
            person = await store.contact(request.id)
            await store.complete_ledger()
            hashes = await store.person_hashes(self._hashed.all(person.phone))
            held = {
                "contact": _json(person),
                "lists": [_json(each) for each in await store.lists_of(person.id)],
                "consents": [_json(message(row)) for row in await store.consent_page(hashes, FIRST, CONSENTS_MAX)],
                "activity": await store.activity(person.id),
                "isSuppressed": bool(await store.opted_out([person.phone], self._hashed)),
            }
        piece = bytearray(orjson.dumps(held)[:-1] + b',"messages":[')
        texts = self._sender_stub.ExportPerson(
            ExportFromSender(phone=person.phone),
            metadata=self._sender.metadata(merchant_id),
            timeout=TIMEOUT_SECONDS,
        )
        separator, answers, message_ids = b"", [], []
        async for text in texts:
            if text.HasField("received"):
                answers.append(_json(text.received))
                continue
            message_ids.append(text.sent.id)
            piece += separator + orjson.dumps(_json(text.sent))
            separator = b","
            if len(piece) >= PIECE_BYTES:
                yield HttpBody(content_type=JSON, data=bytes(piece))
                piece.clear()
        responses = self._campaigns_stub.ExportPerson(
            ExportFromCampaigns(message_ids=message_ids),
            metadata=self._campaigns.metadata(merchant_id),
            timeout=TIMEOUT_SECONDS,
        )
        rest = {"answers": answers, "responses": [_json(response) async for response in responses]}
        yield HttpBody(content_type=JSON, data=bytes(piece + b"]," + orjson.dumps(rest)[1:]))

    async def EraseContact(self, request: pb.EraseContactRequest, context: Context) -> pb.Erasure:
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            if erasure := await store.erasure(request.id):
                return erasure
            erasure = await erase(store, self._hashed, await store.lock_contact(request.id))
        self._erased.set()
        return erasure


async def erase(store: ContactsStore, hashed: PhoneHash, person: Contact) -> pb.Erasure:
    """Forgets a contact, which is locked, and begins to have the others forget the person."""
    await store.rehash([person.phone], hashed)
    await store.delete_contact(person.id)
    await store.drop_sign_ups(person.phone)
    await store.drop_rejects([*filter(None, (person.email, person.first_name, person.last_name)), person.phone])
    erasure = await store.begin_erasure(person.id, person.phone)
    await store.withdraw(person.id, [hashed(person.phone)], SOURCE)
    await store.complete_ledger()
    await store.erase_origins(person.id, await store.person_hashes(hashed.all(person.phone)))
    return erasure


def _json(shown: Any) -> dict[str, Any]:
    return MessageToDict(shown)
