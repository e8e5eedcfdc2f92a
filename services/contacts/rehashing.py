"""After a rotation of the suppression key: the whole book is brought under the new one, once, page by page."""

from itertools import groupby

import structlog

from kit.store import Database
from services.contacts.store import ContactsStore
from services.contacts.store.suppressions import Hashed
from services.contacts.suppression import PhoneHash

PAGE_SIZE = 5_000
log = structlog.get_logger()


class Rehashing:
    """The job. It begins at the start of the process and ends for good behind the last contact; what is written
    meanwhile is under the new key anyway.
    """

    def __init__(self, database: Database, hashed: PhoneHash) -> None:
        self._database, self._hashed = database, hashed
        self._after: Hashed | None = None
        self._is_over = hashed.is_one

    async def step(self) -> bool:
        if self._is_over:
            return False
        async with ContactsStore.open_pipeline(self._database) as store:
            page = await store.hashes_after(self._after, PAGE_SIZE)
            old = [each for each in page if each.phone_hash != self._hashed(each.phone)]
            for merchant_id, those in groupby(old, lambda each: each.merchant_id):
                await store.rehash([each.phone for each in those], self._hashed, merchant_id)
        if page:
            self._after = page[-1]
        else:
            self._is_over = True
            log.info("every contact is under the newest suppression key")
        return bool(page)
