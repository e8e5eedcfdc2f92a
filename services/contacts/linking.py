"""Giving the statements of consent their links in the merchants' chains, behind those who made them."""

from prometheus_client import Gauge

from kit.store import Database
from services.contacts.store import ContactsStore

OLDEST_SECONDS = Gauge("consents_unlinked_oldest_seconds", "How long the oldest consent waits for its link.")


class Linking:
    """The job. Of several processes each links other merchants; what one leaves behind, however it died, waits on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def step(self) -> bool:
        async with ContactsStore.open_pipeline(self._database) as store:
            seconds = await store.unlinked_seconds()
            OLDEST_SECONDS.set(max(seconds.values(), default=0))
            return await store.link(await store.try_lock_ledgers(seconds)) if seconds else False
