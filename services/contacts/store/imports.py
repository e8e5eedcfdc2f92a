"""Statements over the imports: uploads, pages, rejects.

Locks are taken in one order, contacts by phone and then suppressions, so that an import and a STOP never wait for
each other in a circle.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import RowMapping, delete, func, insert, select, text, tuple_, update

from astronote.contacts.v1.contacts_pb2 import Import, ImportReject
from kit import rows
from kit.store import Store
from services.contacts.errors import ImportNotFound, ImportOver
from services.contacts.sheet import Page, Reject
from services.contacts.store.linking import Person
from services.contacts.tables import import_chunks, import_rejects, imports

SHOWN = [
    *(column for column in rows.columns(Import, imports) if column.name != "columns"),
    imports.c.headers,
    imports.c.columns,
    imports.c.cursor_bytes.label("read_bytes"),
]
SHOWN_REJECT = rows.columns(ImportReject, import_rejects)
REJECT = [column.name for column in SHOWN_REJECT]
# The same array that the index `imports_open_idx` names, so that the planner sees that it fits.
OPEN = text("state = ANY (ARRAY['PENDING'::text, 'RUNNING'::text])")

STAGED = """
CREATE TEMPORARY TABLE IF NOT EXISTS staged (
    phone text, phone_hash bytea, email text, first_name text, last_name text, gender text, birthday text,
    language text, time_zone text, tags text, attributes jsonb, search text, unsubscribed boolean
) ON COMMIT DELETE ROWS
"""
KEEP = "NOTHING"
# Where the file has opt-outs, they count for those whom the book had, too.
KEEP_BUT_UNSUBSCRIBE = """UPDATE SET subscription = excluded.subscription, update_time = now()
    WHERE excluded.subscription = 'UNSUBSCRIBED' AND contacts.subscription <> 'UNSUBSCRIBED'
"""
# Filled cells overwrite; the search text is put together part by part (search.py).
OVERWRITE = """UPDATE SET
    email = coalesce(nullif(excluded.email, ''), contacts.email),
    first_name = coalesce(nullif(excluded.first_name, ''), contacts.first_name),
    last_name = coalesce(nullif(excluded.last_name, ''), contacts.last_name),
    gender = coalesce(nullif(excluded.gender, 'GENDER_UNSPECIFIED'), contacts.gender),
    birthday = coalesce(excluded.birthday, contacts.birthday),
    language = coalesce(nullif(excluded.language, ''), contacts.language),
    time_zone = coalesce(nullif(excluded.time_zone, ''), contacts.time_zone),
    tags = CASE WHEN cardinality(excluded.tags) > 0 THEN excluded.tags ELSE contacts.tags END,
    attributes = contacts.attributes || excluded.attributes,
    subscription = CASE excluded.subscription WHEN 'UNSUBSCRIBED' THEN 'UNSUBSCRIBED' ELSE contacts.subscription END,
    search = concat_ws(E'\\x1f',
        coalesce(nullif(split_part(excluded.search, E'\\x1f', 1), ''), split_part(contacts.search, E'\\x1f', 1)),
        coalesce(nullif(split_part(excluded.search, E'\\x1f', 2), ''), split_part(contacts.search, E'\\x1f', 2)),
        split_part(contacts.search, E'\\x1f', 3),
        coalesce(nullif(split_part(excluded.search, E'\\x1f', 4), ''), split_part(contacts.search, E'\\x1f', 4))),
    update_time = now()
"""
WRITE = """
WITH written AS (
    INSERT INTO contacts (merchant_id, phone, phone_hash, email, first_name, last_name, gender, birthday, language,
                          time_zone, tags, attributes, subscription, search)
    SELECT cast(:merchant_id AS uuid), staged.phone, staged.phone_hash, email, first_name, last_name,
           coalesce(nullif(gender, ''), 'GENDER_UNSPECIFIED'), cast(nullif(birthday, '') AS date), language, time_zone,
           string_to_array(tags, E'\\x1f'), attributes,
           CASE WHEN unsubscribed OR (
               SELECT true FROM suppressions
               WHERE merchant_id = cast(:merchant_id AS uuid) AND suppressions.phone_hash = staged.phone_hash
           ) THEN 'UNSUBSCRIBED' ELSE 'SUBSCRIBED' END,
           search
    FROM staged ORDER BY phone
    ON CONFLICT (merchant_id, phone) DO {on_conflict}
    RETURNING id, phone_hash, subscription, xmax = 0 AS is_new
)
SELECT cast(id AS text), phone_hash, subscription = 'SUBSCRIBED', is_new FROM written
"""
# The opt-outs that a file brings along, after the contacts are written.
SUPPRESS = """
WITH suppressed AS (
    INSERT INTO suppressions (merchant_id, phone_hash, source)
    SELECT cast(:merchant_id AS uuid), phone_hash, 'import' FROM staged WHERE unsubscribed ORDER BY phone
    ON CONFLICT (merchant_id, phone_hash) DO UPDATE SET source = excluded.source WHERE suppressions.source = 'STOP'
    RETURNING phone_hash
)
SELECT (SELECT cast(id AS text) FROM contacts
        WHERE merchant_id = cast(:merchant_id AS uuid) AND contacts.phone = staged.phone), phone_hash
FROM suppressed JOIN staged USING (phone_hash)
"""
# Everybody of the page, in the order in which contacts are locked. A list that was removed meanwhile is left alone.
ENLIST = """
INSERT INTO list_contacts (list_id, contact_id, merchant_id)
SELECT lists.id, contacts.id, contacts.merchant_id
FROM (SELECT id FROM lists WHERE merchant_id = cast(:merchant_id AS uuid) AND id = cast(:list_id AS uuid)
      FOR KEY SHARE) lists
CROSS JOIN staged CROSS JOIN LATERAL (
    SELECT id, merchant_id FROM contacts
    WHERE merchant_id = cast(:merchant_id AS uuid) AND contacts.phone = staged.phone
    FOR KEY SHARE
) contacts
ORDER BY contacts.id
ON CONFLICT DO NOTHING
"""


# An import in hand: its row.
Work: TypeAlias = RowMapping


class LeaseLost(Exception):
    """Another worker has the import now."""


@dataclass(frozen=True)
class Counts:
    """What a page came to."""

    received: int
    created: int
    updated: int
    skipped: int
    rejected: int


@dataclass(frozen=True)
class Written:
    """What a page of people did to the book: how many are new, and whose consent began or ended."""

    created: int = 0
    granted: Sequence[Person] = ()
    withdrawn: Sequence[Person] = ()


class ImportStatements(Store):
    async def add_chunk(self, import_id: str, number: int, data: bytes) -> None:
        row = {"import_id": import_id, "number": number, "data": data, "merchant_id": self.merchant_id}
        await self.connection.execute(insert(import_chunks).values(row))

    async def add_import(self, values: dict[str, Any]) -> Import:
        """Makes the import of an upload that is complete; from now on a worker may take it."""
        row = values | {"merchant_id": self.merchant_id, "state": Import.PENDING}
        result = await self.connection.execute(insert(imports).values(row).returning(*SHOWN))
        return _shown(result.one())

    async def discard_chunks(self, import_id: str) -> None:
        """Drops the chunks of an upload or of a file that was read."""
        await self.connection.execute(delete(import_chunks).where(import_chunks.c.import_id == import_id))

    async def discard_stale_chunks(self, age_seconds: int) -> int:
        """Drops the chunks of uploads that never became an import."""
        old = func.now() - text(f"interval '{age_seconds} seconds'")
        known = select(imports.c.id).where(imports.c.id == import_chunks.c.import_id).exists()
        result = await self.connection.execute(
            delete(import_chunks).where(import_chunks.c.create_time < old).where(~known)
        )
        return result.rowcount

    async def import_by_id(self, id: str) -> Import:
        """Refuses `ImportNotFound`."""
        query = select(*SHOWN).where(
            imports.c.id == rows.uuid(id, ImportNotFound), imports.c.merchant_id == self.merchant_id
        )
        row = (await self.connection.execute(query)).one_or_none()
        if row is None:
            raise ImportNotFound(id=id)
        return _shown(row)

    async def imports_before(self, before: tuple[datetime, str] | None, limit: int) -> list[Import]:
        """The latest first; `before` is when one was made, and its id."""
        place = tuple_(imports.c.create_time, imports.c.id)
        query = select(*SHOWN).where(imports.c.merchant_id == self.merchant_id).limit(limit)
        query = query.order_by(imports.c.create_time.desc(), imports.c.id.desc())
        if before:
            query = query.where(place < before)
        return [_shown(row) for row in await self.connection.execute(query)]

    async def cancel_import(self, id: str) -> Import:
        """Takes an open import from its worker, whose page in hand does not come in. Refuses `ImportNotFound`,
        `ImportOver`.
        """
        cancelled = (
            update(imports)
            .where(imports.c.id == rows.uuid(id, ImportNotFound), imports.c.merchant_id == self.merchant_id, OPEN)
            .values(state=Import.CANCELLED, lease_id=None, finish_time=func.now())
            .returning(*SHOWN)
        )
        row = (await self.connection.execute(cancelled)).one_or_none()
        found = _shown(row) if row is not None else await self.import_by_id(id)
        if found.state != Import.CANCELLED:
            raise ImportOver(id=found.id, state=Import.State.Name(found.state))
        return found

    async def rejects_after(self, id: str, after: int, limit: int) -> list[ImportReject]:
        """In the order of the file."""
        query = (
            select(*SHOWN_REJECT)
            .where(import_rejects.c.import_id == id, import_rejects.c.merchant_id == self.merchant_id)
            .where(import_rejects.c.row > after)
            .order_by(import_rejects.c.row)
            .limit(limit)
        )
        return [rows.message(ImportReject, row) for row in await self.connection.execute(query)]

    async def rejected_rows(self, id: str, page_size: int) -> AsyncIterator[list[tuple[ImportReject, list[str]]]]:
        """Every reject with the cells of its row, in the order of the file."""
        query = (
            select(import_rejects.c.cells, *SHOWN_REJECT)
            .where(import_rejects.c.import_id == id, import_rejects.c.merchant_id == self.merchant_id)
            .order_by(import_rejects.c.row)
        )
        result = await self.connection.stream(query.execution_options(yield_per=page_size))
        async for page in result.partitions():
            yield [(ImportReject(**dict(zip(REJECT, row[1:], strict=True))), row[0]) for row in page]

    async def claim_import(self, lease_id: str, lease_seconds: int) -> Work | None:
        """The open import that waited longest, for this worker alone until the lease runs out."""
        free = (
            select(imports.c.id)
            .where(OPEN, imports.c.lease_expire_time <= func.now())
            .order_by(imports.c.lease_expire_time)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        claimed = (
            update(imports)
            .where(imports.c.id == free.scalar_subquery())
            .values(
                state=Import.RUNNING,
                lease_id=lease_id,
                lease_expire_time=_in(lease_seconds),
                attempts=imports.c.attempts + 1,
            )
            .returning(*imports.c)
        )
        return (await self.connection.execute(claimed)).mappings().one_or_none()

    async def hold_import(self, id: str, lease_id: str) -> None:
        """Keeps others from the import until this transaction ends. Raises `LeaseLost`."""
        query = select(imports.c.id).where(imports.c.id == id, imports.c.lease_id == lease_id).with_for_update()
        if (await self.connection.execute(query)).one_or_none() is None:
            raise LeaseLost

    async def chunks(self, id: str, first: int, count: int) -> bytes:
        """The data of `count` chunks from the first on, as far as there are that many."""
        query = (
            select(import_chunks.c.data)
            .where(import_chunks.c.import_id == id, import_chunks.c.number.between(first, first + count - 1))
            .order_by(import_chunks.c.number)
        )
        return b"".join((await self.connection.execute(query)).scalars())

    async def write_people(self, work: Work, staged: bytes, *, is_update: bool) -> Written:
        """Brings a page of people into the merchant's book."""
        await self.connection.execute(text(STAGED))
        await self._copy("COPY staged FROM STDIN", staged)
        merchant = {"merchant_id": work["merchant_id"]}
        has_opt_outs = "subscription" in work["columns"]
        on_conflict = OVERWRITE if is_update else KEEP_BUT_UNSUBSCRIBE if has_opt_outs else KEEP
        statement = text(WRITE.format(on_conflict=on_conflict))
        people = (await self.connection.execute(statement, merchant)).all()
        withdrawn = (await self.connection.execute(text(SUPPRESS), merchant)).all() if has_opt_outs else ()
        if work["list_id"]:
            await self.connection.execute(text(ENLIST), merchant | {"list_id": work["list_id"]})
        granted = [(id, phone_hash) for id, phone_hash, is_subscribed, _ in people if is_subscribed]
        created = sum(is_new for *_, is_new in people)
        return Written(created, granted, [(id, phone_hash) for id, phone_hash in withdrawn])

    async def add_rejects(self, work: Work, rejects: list[Reject]) -> None:
        statement = 'COPY import_rejects (import_id, merchant_id, "row", "column", value, reason, cells) FROM STDIN'
        async with self.driver.cursor() as cursor, cursor.copy(statement) as copy:
            for found in rejects:
                where = work["id"], work["merchant_id"], found.row
                await copy.write_row((*where, found.column, found.value, found.reason, found.cells))

    async def advance_import(self, id: str, counts: Counts, page: Page, lease_seconds: int, *, is_last: bool) -> None:
        """Counts a page and moves the cursor behind it. The last one ends the import."""
        changes: dict[str, Any] = {name: imports.c[name] + number for name, number in vars(counts).items()}
        changes |= {"cursor_bytes": imports.c.cursor_bytes + page.size_bytes}
        changes |= {"cursor_row": imports.c.cursor_row + page.rows, "attempts": 0}
        changes |= {"lease_expire_time": _in(lease_seconds)}
        if is_last:
            changes |= {"state": Import.DONE, "finish_time": func.now(), "lease_id": None}
        await self.connection.execute(update(imports).where(imports.c.id == id).values(changes))

    async def fail_import(self, id: str, failure: str) -> None:
        changes = {"state": Import.FAILED, "failure": failure, "finish_time": func.now(), "lease_id": None}
        await self.connection.execute(update(imports).where(imports.c.id == id).values(changes))

    async def release_import(self, id: str, lease_id: str, pause_seconds: int = 0, *, is_excused: bool = False) -> None:
        """Ends a turn; the import is at the end of the queue again. An excused turn does not count as an attempt."""
        changes: dict[str, Any] = {"lease_id": None, "lease_expire_time": _in(pause_seconds)}
        if is_excused:
            changes["attempts"] = 0
        mine = imports.c.id == id, imports.c.lease_id == lease_id
        await self.connection.execute(update(imports).where(*mine).values(changes))

    async def _copy(self, statement: str, data: bytes) -> None:
        async with self.driver.cursor() as cursor, cursor.copy(statement) as copy:
            await copy.write(data)


def _shown(row: rows.AnyRow) -> Import:
    values = dict(row._mapping)
    columns = zip(values.pop("headers"), values.pop("columns"), strict=True)
    return Import(**values, columns=[Import.Column(header=header, field=field) for header, field in columns])


def _in(seconds: int) -> Any:
    return func.now() + text(f"interval '{seconds} seconds'")
