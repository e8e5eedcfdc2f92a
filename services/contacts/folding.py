"""Taking what was said of texts into the contacts' activities, at a pace that no campaign feels."""

import itertools

from kit.boundary import fitting
from kit.store import Database
from services.contacts.store import ContactsStore

EVENTS_A_ROUND = 2_500
CONTACTS_A_ROUND = 100_000
CONTACTS_AT_ONCE = 5_000
SECONDS_A_LARGE_ROUND = 5


class Folding:
    """The job, each second: a little is taken at once, much only each `SECONDS_A_LARGE_ROUND`, when most of a
    campaign's texts were accepted and delivered since the last time, so that a contact is written once for both. A
    campaign of a million is told in under two minutes. A rule that asks for activity may be that far behind.
    """

    def __init__(self, database: Database) -> None:
        self._database, self._seconds = database, itertools.cycle(range(SECONDS_A_LARGE_ROUND))

    async def step(self) -> bool:
        """False, whatever was found: the next round is in a second."""
        is_large_round = next(self._seconds) == 0
        async with ContactsStore.open_pipeline(self._database) as store:
            waiting = await store.take_activity(EVENTS_A_ROUND)
            taken = waiting[: fitting((event.contacts for event in waiting), CONTACTS_A_ROUND)]
            if is_large_round or sum(event.contacts for event in taken) < CONTACTS_AT_ONCE:
                await store.fold_activity([event.id for event in taken])
        return False
