"""Evidence for unknown messages: a report of an id that we do not know is looked up at the provider, whose answer says
what was sent. It means a message of ours where it carries our reference or the code of our link, and our text; never
because of its place in anything. See docs/architecture.md, "What can't be known".
"""

import asyncio
import re
from uuid import UUID

import grpc
import structlog
from prometheus_client import Counter

from astronote.campaigns.v1 import campaigns_pb2 as campaigns
from astronote.campaigns.v1.campaigns_pb2_grpc import LinksServiceStub
from kit.channel import Peer
from kit.store import Database
from services.sender.providers import LookupFailedError, Lookups
from services.sender.reports import message_id
from services.sender.settings import Settings
from services.sender.store import SenderStore

AT_ONCE = 4
TIMEOUT_SECONDS = 10
# A name may hold what looks like a link of ours: so many are tried, from the end, where ours is.
CODES_MAX = 4
CODE = re.compile(r"/u/([0-9A-Za-z]{11})(?![0-9A-Za-z])")
# Only the code says whose text it is; the contract wants a merchant all the same.
NOBODY = str(UUID(int=0))
LOOKED_UP = Counter("orphans_looked_up", "Reports of unknown ids that were looked up, by what came of it.", ["outcome"])
log = structlog.get_logger()


class Detective:
    """Looks orphans up, so many a round, while any message is unknown. A round a second bounds the rate."""

    def __init__(self, database: Database, provider: Lookups, campaigns: Peer, settings: Settings) -> None:
        self._database, self._provider, self._campaigns = database, provider, campaigns
        self._links = LinksServiceStub(campaigns.channel)
        self._settings = settings

    async def step(self) -> bool:
        settings = self._settings
        async with SenderStore.open_pipeline(self._database) as store:
            orphans = await store.take_orphans(
                settings.lookup_tries_max, settings.lookup_retry_seconds, settings.lookups_per_second
            )
        places = asyncio.Semaphore(AT_ONCE)

        async def look(orphan: str) -> None:
            async with places:
                LOOKED_UP.labels(await self._look_up(orphan)).inc()

        async with asyncio.TaskGroup() as group:
            for orphan in orphans:
                group.create_task(look(orphan))
        return False

    async def _look_up(self, orphan: str) -> str:
        """What came of it: `claimed`, `not ours`, or `again`, where nobody could say."""
        try:
            found = await self._provider.look_up(orphan)
            ids = await self._message_ids(found.reference, found.text) if found else []
        except (LookupFailedError, grpc.aio.AioRpcError) as error:
            log.warning("look-up failed", error=str(error)[:200])
            return "again"
        async with SenderStore.open_pipeline(self._database) as store:
            if found is None or not ids:
                await store.end_lookups([orphan])
                return "not ours"
            for id in ids:
                if await store.claim_orphan(orphan, id, found.text):
                    return "claimed"
        # A message that is not recorded yet is looked for again.
        return "again"

    async def _message_ids(self, reference: str, text: str) -> list[int]:
        """The messages of ours that the provider's words may mean. Raises `AioRpcError` where nobody answers."""
        if (id := message_id(reference)) is not None:
            return [id]
        codes = list(dict.fromkeys(CODE.findall(text)))[-CODES_MAX:]
        resolved = [await self._resolved(code) for code in reversed(codes)]
        return [id for id in resolved if id is not None]

    async def _resolved(self, code: str) -> int | None:
        try:
            answer = await self._links.ResolveCode(
                campaigns.ResolveCodeRequest(code=code),
                metadata=self._campaigns.metadata(NOBODY),
                timeout=TIMEOUT_SECONDS,
            )
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return None
            raise
        return answer.message_id
