"""What is counted of a call is what its caller was told."""

import uuid

import grpc
import pytest
from prometheus_client import REGISTRY

from astronote.contacts.v1.contacts_pb2 import GetContactRequest
from astronote.contacts.v1.contacts_pb2_grpc import ContactsServiceStub
from services.contacts.store import ContactsStore
from tests.conftest import TestMesh

METHOD = "/astronote.contacts.v1.ContactsService/GetContact"


async def test_a_database_that_has_no_connection_left_is_away(mesh: TestMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    async with mesh.with_settings("contacts", database_pool_size=1):
        database, peer = mesh.app("contacts").database, await mesh.service("contacts")
        monkeypatch.setattr(database.merchants.pool, "_timeout", 0.1)
        before = _counted("UNAVAILABLE"), _counted("INTERNAL")
        async with ContactsStore.open(database, str(uuid.uuid4())):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await ContactsServiceStub(peer.channel).GetContact(
                    GetContactRequest(id=str(uuid.uuid4())), metadata=peer.metadata(str(uuid.uuid4()), "merchant")
                )
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    # The client tries again by itself.
    assert _counted("UNAVAILABLE") > before[0]
    assert _counted("INTERNAL") == before[1]


def _counted(code: str) -> float:
    return REGISTRY.get_sample_value("rpc_seconds_count", {"method": METHOD, "code": code}) or 0.0
