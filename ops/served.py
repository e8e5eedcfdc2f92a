"""What services answer operators alike: about messages that they gave up (`kit/inbox.py`), and after a restore."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import wraps
from typing import Any

import structlog
from sqlalchemy import delete, select

from astronote.operations.v1 import dead_letters_pb2 as pb
from astronote.operations.v1 import dead_letters_pb2_grpc as rpc
from astronote.operations.v1.restore_pb2 import StopForgottenRequest
from kit import pages, rows
from kit.app import App, Config, Parts
from kit.boundary import guarded
from kit.errors import FailedPrecondition, NotFound
from kit.inbox import Consumer, Delivery
from kit.interceptors import Context
from kit.rows import AnyRow

log = structlog.get_logger()


# More than the provider takes calls, each of which has an id of its own.
IDS_A_SECOND, IDS_MAX = 200, 50_000_000


class DeadLetterNotFound(NotFound):
    """There is no such dead letter."""


class ReplayFailed(FailedPrecondition):
    """The message can still not be handled; it stays where it is."""


class DeadLetters(rpc.DeadLettersServiceServicer):
    def __init__(self, app: App[Any], consumers: Sequence[Consumer]) -> None:
        self._app = app
        self._consumers = {consumer.subject(): consumer for consumer in consumers}
        self._table = app.store.metadata.tables["dead_letters"]

    async def ListDeadLetters(self, request: pb.ListDeadLettersRequest, context: Context) -> pb.ListDeadLettersResponse:
        limit, before = pages.size(request.page_size), pages.after(request.page_token, pages.number)
        shown = [column for column in rows.columns(pb.DeadLetter, self._table) if column.name != "payload"]
        query = select(*shown).order_by(self._table.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(self._table.c.id < before)
        async with self._app.store.open_pipeline(self._app.database) as store:
            page = [rows.message(pb.DeadLetter, row) for row in await store.connection.execute(query)]
        token = pages.token(page, limit, lambda letter: letter.id)
        return pb.ListDeadLettersResponse(dead_letters=page, next_page_token=token)

    async def GetDeadLetter(self, request: pb.GetDeadLetterRequest, context: Context) -> pb.DeadLetter:
        return rows.message(pb.DeadLetter, await self._found(request.id))

    async def ReplayDeadLetter(
        self, request: pb.ReplayDeadLetterRequest, context: Context
    ) -> pb.ReplayDeadLetterResponse:
        letter = await self._found(request.id)
        consumer = self._consumers.get(letter.subject)
        if consumer is None:
            raise ReplayFailed(error="nothing here handles it any more")
        handled = consumer.handle(consumer.message.FromString(letter.payload), Delivery(letter.key, _nothing))
        # Any fault of a handler is what is asked about here.
        if (error := await guarded("replay", handled)) is not None:
            raise ReplayFailed(error=repr(error)[:500]) from error
        await self._drop(request.id)
        return pb.ReplayDeadLetterResponse()

    async def DropDeadLetter(self, request: pb.DropDeadLetterRequest, context: Context) -> pb.DropDeadLetterResponse:
        await self._drop(request.id)
        return pb.DropDeadLetterResponse()

    async def _found(self, id: int) -> AnyRow:
        async with self._app.store.open_pipeline(self._app.database) as store:
            found = select(*rows.columns(pb.DeadLetter, self._table)).where(self._table.c.id == id)
            row: AnyRow | None = (await store.connection.execute(found)).one_or_none()
        if row is None:
            raise DeadLetterNotFound(id=id)
        return row

    async def _drop(self, id: int) -> None:
        async with self._app.store.open_pipeline(self._app.database) as store:
            dropped = await store.connection.execute(delete(self._table).where(self._table.c.id == id))
            if not dropped.rowcount:
                raise DeadLetterNotFound(id=id)
        log.info("dead letter ended", id=id)


def ids_forgotten(request: StopForgottenRequest, now: datetime) -> int:
    """How many ids may have been given since the instant of a restore."""
    if request.goes_on:
        return 0
    seconds = (now - request.restore_time.ToDatetime(tzinfo=UTC)).total_seconds()
    return min(IDS_A_SECOND * max(math.ceil(seconds), 1), IDS_MAX)


def with_dead_letters(parts: Callable[[App[Config]], Parts]) -> Callable[[App[Config]], Parts]:
    """Adds them to the parts of a service."""

    @wraps(parts)
    def made(app: App[Config]) -> Parts:
        own = parts(app)
        served = {rpc.add_DeadLettersServiceServicer_to_server: DeadLetters(app, own.consumers)}
        return replace(own, servicers={**own.servicers, **served})

    return made


async def _nothing() -> None:
    """No broker waits for a message that is replayed."""
