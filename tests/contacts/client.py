"""A client of contacts, as the tests speak to it."""

import asyncio
import importlib
import json
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import grpc
import psycopg
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from psycopg.errors import InsufficientPrivilege, IntegrityConstraintViolation
from sqlalchemy import text

import astronote.contacts.v1
from astronote.contacts.v1 import contacts_pb2 as pb
from astronote.contacts.v1.audience_pb2 import Audience
from services.contacts.store import ContactsStore
from services.gateway.transcoder import OVERTAKEN

CONTRACTS = [f"astronote.contacts.v1.{path.name}" for path in pkgutil.iter_modules(astronote.contacts.v1.__path__)]
# The stub and the request of every method, whichever file it stands in.
METHODS = {
    method.name: (
        getattr(importlib.import_module(f"{contract}_grpc"), f"{service.name}Stub"),
        GetMessageClass(method.input_type),
    )
    for contract in CONTRACTS
    if contract.endswith("_pb2")
    for service in importlib.import_module(contract).DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
# How the services of the mesh call; everything else comes through the gateway.
CALLERS = {
    "StreamAudience": "campaigns",
    **dict.fromkeys(("FilterTextable", "WithdrawConsent", "RestoreConsent"), "sender"),
}
ALL = Audience(all=True)


class Client:
    """Speaks to contacts about one merchant."""

    def __init__(self, mesh: Any, merchant_id: str) -> None:
        self.mesh, self.merchant_id = mesh, merchant_id

    async def __call__(self, method: str, caller: str = "", **fields: Any) -> Any:
        return await (await self.call(method, METHODS[method][1](**fields), caller))

    async def stream(self, method: str, **fields: Any) -> list[Any]:
        return [answer async for answer in await self.call(method, METHODS[method][1](**fields))]

    async def call(self, method: str, request: Any, caller: str = "") -> Any:
        caller = caller or CALLERS.get(method, "gateway")
        peer = await self.mesh.service("contacts", caller=caller)
        metadata = peer.metadata(self.merchant_id, role="merchant" if caller == "gateway" else "service")
        return getattr(METHODS[method][0](peer.channel), method)(request, metadata=metadata, timeout=60)

    async def create(self, phone: str, **fields: Any) -> pb.Contact:
        return await self("CreateContact", contact=pb.Contact(phone=phone, **fields))

    async def update(self, id: str, **fields: Any) -> pb.Contact:
        return await self("UpdateContact", contact=pb.Contact(id=id, **fields), update_mask={"paths": list(fields)})

    async def listening(self, event: type[Message]) -> Callable[[int], Awaitable[list[Any]]]:
        """What hears that many of the merchant's events, from now on."""
        await self.mesh.service("contacts")
        client = self.mesh.app("contacts").bus.client
        subscription = await client.subscribe(f"event.{event.DESCRIPTOR.full_name}")

        async def heard(count: int) -> list[Any]:
            found: list[Any] = []
            while len(found) < count:
                said: Any = event.FromString((await subscription.next_msg(timeout=60)).data)
                found += [said] if said.merchant_id == self.merchant_id else []
            return found

        return heard

    async def nobody_may(self, statements: Iterable[str]) -> None:
        """Not even the tables' owner."""
        database = self.mesh.database("contacts")
        for url in (database.url, database.pipeline_url, database.owner_url):
            for statement in statements:
                # The loop goes on: what runs in it may have the lock that the statement waits for.
                async with await psycopg.AsyncConnection.connect(url.replace("+psycopg", "")) as connection:
                    query = "SELECT set_config('astronote.merchant_id', %s, false)"
                    await connection.execute(query, [self.merchant_id])
                    with pytest.raises((InsufficientPrivilege, IntegrityConstraintViolation)):
                        await connection.execute(statement.encode())

    async def upload(self, file: bytes | str, piece_bytes: int = 256 * 1024, **parameters: Any) -> pb.Import:
        """As far as it is when the call answers."""
        data = file.encode() if isinstance(file, str) else file
        while True:
            pieces = (data[begin : begin + piece_bytes] for begin in range(0, len(data), piece_bytes))
            try:
                return await (await self.call("ImportContacts", requests(pieces, **parameters)))
            except grpc.aio.AioRpcError as error:
                # What the service said is lost, where its refusal overtook a write.
                if error.details() != OVERTAKEN:
                    raise

    async def imported(self, file: bytes | str, **parameters: Any) -> pb.Import:
        """As it is when it is over."""
        return await self.over(await self.upload(file, **parameters))

    async def over(self, file: pb.Import) -> pb.Import:
        async with asyncio.timeout(60):
            while file.state in (pb.Import.PENDING, pb.Import.RUNNING):
                await asyncio.sleep(0.02)
                file = await self("GetImport", id=file.id)
        return file

    async def book(self, **filters: Any) -> list[pb.Contact]:
        return list((await self("ListContacts", page_size=500, **filters)).contacts)

    async def audience(self, *fields: str, page_size: int = 1000, **more: Any) -> list[pb.AudienceMember]:
        pages = await self.stream("StreamAudience", audience=ALL, fields=fields, page_size=page_size, **more)
        return [member for page in pages for member in page.members]

    async def rejects(self, id: str) -> list[tuple[int, str, str, str]]:
        found = (await self("ListImportRejects", id=id, page_size=500)).rejects
        return [(reject.row, reject.column, reject.value, reject.reason) for reject in found]

    async def ledger(self) -> list[dict[str, Any]]:
        """What the evidence says of each link, in the order of the chain."""
        bodies = await self.stream("ExportConsents")
        lines = map(json.loads, b"".join(body.data for body in bodies).splitlines())
        return [line["statement"] for line in lines if line["type"] == "link"]

    async def rows(self, query: str, **parameters: Any) -> list[Any]:
        """What the database holds, across merchants."""
        await self.mesh.service("contacts")
        async with ContactsStore.open_pipeline(self.mesh.app("contacts").database) as store:
            result = await store.connection.execute(text(query), {"merchant_id": self.merchant_id} | parameters)
            return list(result) if result.returns_rows else []

    async def count(self, table: str) -> int:
        return (await self.rows(f"SELECT count(*) FROM {table} WHERE merchant_id = :merchant_id"))[0][0]


async def requests(pieces: Iterable[bytes], **parameters: Any) -> AsyncIterator[pb.ImportContactsRequest]:
    for piece in pieces:
        yield pb.ImportContactsRequest(body=HttpBody(content_type="text/csv", data=piece), **parameters)
        parameters = {}
    yield pb.ImportContactsRequest(**parameters)


async def refused(call: Awaitable[Any]) -> tuple[str, dict[str, str]]:
    """Reason and metadata of what a call was refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    assert "grpc-status-details-bin" in dict(raised.value.trailing_metadata() or ()), raised.value
    trailer = dict(raised.value.trailing_metadata())["grpc-status-details-bin"]
    info = ErrorInfo()
    Status.FromString(trailer).details[0].Unpack(info)
    return info.reason, dict(info.metadata)


async def reason(call: Awaitable[Any]) -> str:
    return (await refused(call))[0]


def numbers(count: int, begin: int = 0) -> str:
    return "".join(f"+3069{number:08}\n" for number in range(begin, begin + count))


def books(file: pb.Import) -> tuple[int, int, int, int, int]:
    assert file.received == file.created + file.updated + file.skipped + file.rejected
    return file.received, file.created, file.updated, file.skipped, file.rejected
