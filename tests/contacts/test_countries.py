"""Numbers without a country code, with the real accounts service."""

import uuid
from typing import Any

from astronote.accounts.v1.accounts_pb2 import RegisterRequest
from astronote.accounts.v1.accounts_pb2_grpc import AuthServiceStub
from astronote.contacts.v1 import contacts_pb2 as pb
from tests.contacts.client import Client, reason


async def registered(mesh: Any, country: str) -> Client:
    peer = await mesh.service("accounts")
    email = f"{uuid.uuid4()}@example.gr"
    request = RegisterRequest(email=email, password="a long password", company="Καφέ", country=country)
    session = await AuthServiceStub(peer.channel).Register(request, metadata=peer.metadata(role="public"), timeout=20)
    return Client(mesh, session.merchant.id)


async def test_a_number_is_read_by_the_merchant_s_country(mesh: Any):
    greek, british = await registered(mesh, "GR"), await registered(mesh, "GB")
    assert (await greek.create("691 234 5678")).phone == "+306912345678"
    assert (await british.create("07400 123456")).phone == "+447400123456"
    assert await reason(british.create("691 234 5678")) == "PHONE_INVALID"
    done = await greek.imported("κινητό\n6912345679\n306912345680\n+44 7400 123456\n123\n07400 123456\n")
    assert (done.state, done.created, done.rejected) == (pb.Import.DONE, 3, 2)
    phones = {person.phone for person in await greek.book()}
    assert phones == {"+306912345678", "+306912345679", "+306912345680", "+447400123456"}


async def test_a_country_that_can_not_be_asked_is_never_guessed(mesh: Any, book: Client):
    await mesh.service("accounts")
    # Accounts does not know this merchant.
    assert await reason(book.create("6912345678")) == "ACCOUNTS_UNAVAILABLE"
    assert (await book.create("+306912345678")).phone == "+306912345678"
    waiting = await book.upload("phone\n+306900000001\n6912345679\n")
    assert (waiting.state, waiting.received) == (pb.Import.RUNNING, 0)
    # Once it can be asked, the import goes on.
    await book.rows("UPDATE imports SET state = 'FAILED' WHERE merchant_id = :merchant_id")
