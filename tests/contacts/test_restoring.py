"""Opt-outs and erasures outlive a database that went back in time: contacts' log has them, and an operator says them
again.
"""

import json
from pathlib import Path
from typing import Any

import grpc
import pytest

from astronote.contacts.v1 import operations_pb2 as pb
from astronote.contacts.v1.operations_pb2_grpc import ConsentOperationsServiceStub
from services.contacts.store import suppressions
from tests.contacts.client import Client, reason
from tests.ops.conftest import Ops, answered, ops

__all__ = ["ops"]
LEFT, STRANGER, ERASED, STAYS = (f"+30690000000{number}" for number in range(4))
FORGOTTEN = """
    DELETE FROM suppressions WHERE merchant_id = :merchant_id;
    UPDATE contacts SET subscription = 'SUBSCRIBED' WHERE merchant_id = :merchant_id
"""


class Log(list[dict[str, str]]):
    """What a process says, as a collector of logs would have it."""

    def info(self, event: str, **said: str) -> None:
        self.append({"event": event, "timestamp": "2026-11-22T10:00:00.000000Z", **said})

    def file(self, folder: Path) -> Path:
        file = folder / "contacts.log"
        file.write_text("a line of somebody else\n[1]\n" + "\n".join(map(json.dumps, self)))
        return file


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    said = Log()
    monkeypatch.setattr(suppressions, "log", said)
    return said


async def repeat(book: Client, **said: str) -> pb.RepeatWithdrawalsResponse:
    peer = await book.mesh.service("contacts", caller="ops")
    request = pb.RepeatWithdrawalsRequest(withdrawals=[pb.Withdrawal(**said)])
    stub = ConsentOperationsServiceStub(peer.channel)
    return await stub.RepeatWithdrawals(request, metadata=peer.metadata(), timeout=20)


async def refused(book: Client) -> list[str]:
    asked = {"phones": [LEFT, STRANGER, ERASED, STAYS], "allow_strangers": True}
    return sorted((await book("FilterTextable", **asked)).refused_phones)


async def test_what_the_log_has_is_said_again(book: Client, ops: Ops, log: Log, tmp_path: Path) -> None:
    people = [await book.create(phone) for phone in (LEFT, ERASED, STAYS)]
    await book("WithdrawConsent", phone=LEFT, source="STOP")
    await book("WithdrawConsent", phone=STRANGER, source="unsubscribe link")
    await book("EraseContact", id=people[1].id)
    file = log.file(tmp_path)
    assert not any(phone in file.read_text() for phone in (LEFT, STRANGER, ERASED))
    for statement in FORGOTTEN.split(";"):
        await book.rows(statement)
    await book.rows("DELETE FROM erasures WHERE merchant_id = :merchant_id")
    await book.create(ERASED)
    assert await refused(book) == []
    since = ("--json", "restore", "opt-outs", "--to", "2026-11-22T10:04:00")
    assert answered(await ops(*since, file)) == {"read": 3, "withdrawn": 2, "erased": 1}
    assert await refused(book) == [LEFT, STRANGER, ERASED]
    assert {each.phone: each.subscription for each in await book.book()} == {LEFT: 2, STAYS: 1}
    assert answered(await ops(*since, file)) == {"read": 3, "withdrawn": 0, "erased": 0}
    # What was said long before is known.
    assert answered(await ops(*since[:-1], "2026-11-22T10:06:00", file))["read"] == 0


@pytest.mark.parametrize("wrong", [{"merchant_id": "1"}, {"person": "+306900000000"}, {"source": "\x07"}])
async def test_what_is_no_opt_out_is_refused(book: Client, wrong: dict[str, str]) -> None:
    said: dict[str, Any] = {"merchant_id": book.merchant_id, "person": "00" * 16, "source": "STOP"}
    assert await reason(repeat(book, **said | wrong)) == "CONTACT_INVALID"


async def test_it_is_for_operators_alone(book: Client) -> None:
    peer = await book.mesh.service("contacts")
    stub = ConsentOperationsServiceStub(peer.channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.RepeatWithdrawals(pb.RepeatWithdrawalsRequest(), metadata=peer.metadata(role="operator"), timeout=20)
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
