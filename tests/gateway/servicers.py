"""Small servicers of the real contracts that note what they are asked, and the keys and tokens of their mesh."""

import asyncio
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.empty_pb2 import Empty

from astronote.accounts.v1 import accounts_pb2 as accounts
from astronote.accounts.v1 import accounts_pb2_grpc as accounts_rpc
from astronote.campaigns.v1 import campaigns_pb2 as campaigns
from astronote.campaigns.v1 import campaigns_pb2_grpc as campaigns_rpc
from astronote.campaigns.v1 import links_pb2 as links
from astronote.campaigns.v1 import links_pb2_grpc as links_rpc
from astronote.contacts.v1 import contacts_pb2 as contacts
from astronote.contacts.v1 import contacts_pb2_grpc as contacts_rpc
from astronote.sender.v1 import sender_pb2 as sender
from astronote.sender.v1 import sender_pb2_grpc as sender_rpc
from deploy.local.credentials import KeyPair
from kit import caller
from kit.errors import AlreadyExists, InvalidArgument, NotFound, Unauthenticated
from services.gateway.settings import Settings

KEYS = {name: KeyPair.generate() for name in ("gateway", "accounts", "contacts", "campaigns", "wallet", "sender")}
PUBLIC_KEYS = {name: pair.public for name, pair in KEYS.items()}
SIGNING_KEY, KEY_ID = Ed25519PrivateKey.generate(), "key-1"
MISSING_ID = "00000000-0000-0000-0000-000000000000"


class ContactNotFound(NotFound):
    """There is no such contact."""


class LinkNotFound(NotFound):
    """The link leads nowhere."""


class BrokenOff(InvalidArgument):
    """The file has no end."""


class PhoneTaken(AlreadyExists):
    """Another contact has this phone."""


class CredentialsWrong(Unauthenticated):
    """The email or the password is wrong."""


class Record:
    """What the servicers were asked, and what they are to do."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.callers: list[caller.Caller] = []
        self.metadata: list[dict[str, Any]] = []
        self.pieces: list[int] = []
        self.cancelled = 0
        self.events: list[Any] = []
        self.pages = 3
        self.name = "Ελένη"
        self.token = "token"
        self.hangs = asyncio.Event()

    def note(self, request: Any, context: Any = None) -> None:
        self.requests.append(request)
        self.callers.append(caller.current())
        self.metadata.append(dict(context.invocation_metadata()) if context is not None else {})


class Auth(accounts_rpc.AuthServiceServicer):
    def __init__(self, record: Record) -> None:
        self.record = record

    async def Register(self, request: accounts.RegisterRequest, context: Any) -> accounts.Session:
        self.record.note(request, context)
        return accounts.Session(access_token=self.record.token, expires_in=900, refresh_token="fresh")

    async def Login(self, request: accounts.LoginRequest, context: Any) -> accounts.Session:
        raise CredentialsWrong

    async def Refresh(self, request: accounts.RefreshRequest, context: Any) -> accounts.Session:
        self.record.note(request, context)
        return accounts.Session(access_token="token", expires_in=900, refresh_token="fresher")

    async def Logout(self, request: accounts.LogoutRequest, context: Any) -> accounts.LogoutResponse:
        self.record.note(request, context)
        return accounts.LogoutResponse()

    async def GetKeys(self, request: accounts.GetKeysRequest, context: Any) -> accounts.KeySet:
        x = urlsafe_b64encode(SIGNING_KEY.public_key().public_bytes_raw()).decode().rstrip("=")
        key = accounts.Key(kty="OKP", crv="Ed25519", x=x, kid=KEY_ID, alg="EdDSA", use="sig")
        return accounts.KeySet(keys=[key])


class Contacts(contacts_rpc.ContactsServiceServicer):
    def __init__(self, record: Record) -> None:
        self.record = record

    async def CreateContact(self, request: contacts.CreateContactRequest, context: Any) -> contacts.Contact:
        self.record.note(request, context)
        if request.contact.phone == "taken":
            raise PhoneTaken(field="contact.phone")
        return request.contact

    async def GetContact(self, request: contacts.GetContactRequest, context: Any) -> contacts.Contact:
        self.record.note(request, context)
        if request.id == MISSING_ID:
            raise ContactNotFound(id=request.id)
        if request.id == "bug":
            raise RuntimeError("the secret of the bug")
        if request.id == "slow":
            await self.record.hangs.wait()
        return contacts.Contact(id=request.id, phone="+306900000000", first_name=self.record.name)

    async def ListContacts(self, request: contacts.ListContactsRequest, context: Any) -> contacts.ListContactsResponse:
        self.record.note(request, context)
        return contacts.ListContactsResponse()

    async def UpdateContact(self, request: contacts.UpdateContactRequest, context: Any) -> contacts.Contact:
        self.record.note(request, context)
        return request.contact

    async def DeleteContact(self, request: contacts.DeleteContactRequest, context: Any) -> Empty:
        self.record.note(request, context)
        return Empty()

    async def ExportContacts(self, request: contacts.ExportContactsRequest, context: Any) -> AsyncIterator[HttpBody]:
        self.record.note(request, context)
        for page in range(self.record.pages):
            if self.record.events and page == self.record.events[0]:
                raise ContactNotFound
            yield HttpBody(content_type="text/csv; charset=utf-8" if page == 0 else "", data=b"page %d\n" % page)


class Imports(contacts_rpc.ImportsServiceServicer):
    def __init__(self, record: Record) -> None:
        self.record = record

    async def ImportContacts(
        self, requests: AsyncIterator[contacts.ImportContactsRequest], context: Any
    ) -> contacts.Import:
        try:
            request = None
            async for request in requests:
                if not self.record.pieces:
                    self.record.note(request, context)
                self.record.pieces.append(len(request.body.data))
                if request.body.data.startswith(b"refuse"):
                    raise PhoneTaken
            if request is None or request.body.data:
                raise BrokenOff
            return contacts.Import(id="import", received=sum(self.record.pieces))
        except BaseException:
            self.record.cancelled += 1
            raise


class Campaigns(campaigns_rpc.CampaignsServiceServicer):
    def __init__(self, record: Record) -> None:
        self.record = record

    async def SendCampaign(self, request: campaigns.SendCampaignRequest, context: Any) -> campaigns.Campaign:
        self.record.note(request, context)
        return campaigns.Campaign(id=request.id)

    async def WatchCampaign(
        self, request: campaigns.WatchCampaignRequest, context: Any
    ) -> AsyncIterator[campaigns.Progress]:
        self.record.note(request, context)
        try:
            for event in self.record.events:
                if isinstance(event, asyncio.Event):
                    await event.wait()
                elif isinstance(event, Exception):
                    raise event
                else:
                    yield event
        except asyncio.CancelledError:
            self.record.cancelled += 1
            raise


class Links(campaigns_rpc.LinksServiceServicer):
    def __init__(self, record: Record) -> None:
        self.record = record

    async def ShowUnsubscribe(self, request: campaigns.ShowUnsubscribeRequest, context: Any) -> HttpBody:
        self.record.note(request, context)
        if request.code == MISSING_ID:
            raise LinkNotFound
        return HttpBody(content_type="text/html; charset=utf-8", data="<p>Αντίο;</p>".encode())

    async def Unsubscribe(self, request: campaigns.UnsubscribeRequest, context: Any) -> HttpBody:
        self.record.note(request, context)
        return HttpBody(content_type="text/plain", data=request.form.data)


class ShortLinks(links_rpc.ShortLinksServiceServicer):
    def __init__(self, record: Record) -> None:
        self.record = record

    async def FollowLink(self, request: links.FollowLinkRequest, context: Any) -> links.FollowLinkResponse:
        self.record.note(request, context)
        if request.code == MISSING_ID:
            raise LinkNotFound
        return links.FollowLinkResponse(location="https://shop.gr/%CE%BD?a=1")


class Reports(sender_rpc.ReportsServiceServicer):
    def __init__(self, record: Record) -> None:
        self.record = record

    async def ReceiveDeliveryReports(
        self, request: sender.ReceiveDeliveryReportsRequest, context: Any
    ) -> sender.ReceiveDeliveryReportsResponse:
        self.record.note(request, context)
        return sender.ReceiveDeliveryReportsResponse(received=1)


def settings(ports: dict[str, int], **changed: Any) -> Settings:
    addresses = {f"{name}_address": f"127.0.0.1:{port}" for name, port in ports.items()}
    return Settings(
        host="127.0.0.1",
        port=0,
        mesh_private_key=KEYS["gateway"].private,
        mesh_public_keys=PUBLIC_KEYS,
        **{"heartbeat_seconds": 1.0, "drain_seconds": 5, "rate_limit_factor": 1000, **addresses, **changed},
    )


def claims(merchant_id: str, **changed: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {"iss": "astronote", "aud": "astronote", "iat": now, "exp": now + 600, "sub": str(uuid.uuid4())}
    return {**made, "mid": merchant_id, **changed}


def token(merchant_id: str, **changed: Any) -> str:
    headers = {"typ": "at+jwt", "kid": KEY_ID}
    return jwt.encode(claims(merchant_id, **changed), SIGNING_KEY, algorithm="EdDSA", headers=headers)
