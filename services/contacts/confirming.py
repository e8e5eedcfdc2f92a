"""Double opt-in: the links that are texted to phones which somebody signed up, and their end."""

import grpc
import structlog

from astronote.sender.v1.sender_pb2 import SendMessageRequest
from astronote.sender.v1.sender_pb2_grpc import MessagesServiceStub
from kit.channel import Peer
from kit.store import Database
from services.contacts.errors import FormNotFound
from services.contacts.form_pages import WORDS
from services.contacts.store import ContactsStore

LEASE_SECONDS = 60.0
TIMEOUT_SECONDS = 20.0
# The merchant has no credits, or no sender name: nothing that another try would change.
FINAL = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT)
log = structlog.get_logger()


class Confirming:
    """The job. The sign-up's id is the request's, so that a text that is handed over twice goes out once."""

    def __init__(self, database: Database, sender: Peer, base_url: str) -> None:
        self._database, self._base_url = database, base_url
        self._sender, self._stub = sender, MessagesServiceStub(sender.channel)

    async def step(self) -> bool:
        async with ContactsStore.open_pipeline(self._database) as store:
            sign_up = await store.take_sign_up(LEASE_SECONDS)
        if sign_up is None:
            return False
        try:
            async with ContactsStore.open(self._database, sign_up["merchant_id"]) as store:
                form = await store.form(sign_up["form_id"])
        except FormNotFound:
            log.info("the form is gone", sign_up_id=sign_up["id"])
        else:
            url = f"{self._base_url}/c/{sign_up['token']}"
            text = WORDS[form["language"]].text.format(title=form["title"], url=url)
            await self._text(sign_up["merchant_id"], sign_up["id"], sign_up["phone"], text)
        async with ContactsStore.open_pipeline(self._database) as store:
            await store.end_sign_up_text(sign_up["id"])
        return True

    async def _text(self, merchant_id: str, id: str, phone: str, text: str) -> None:
        """Raises `AioRpcError` where the sender is away: the lease runs out, and it is tried again."""
        request = SendMessageRequest(to=phone, text=text, request_id=id)
        try:
            await self._stub.SendMessage(request, metadata=self._sender.metadata(merchant_id), timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() not in FINAL:
                raise
            log.warning("not texted", sign_up_id=id, reason=error.details())


class SignUpRetention:
    """Sign-ups that nobody confirmed are forgotten."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def step(self) -> bool:
        async with ContactsStore.open_pipeline(self._database) as store:
            await store.drop_old_sign_ups()
        return False
