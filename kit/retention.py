"""Bounded storage: what was remembered only to know a repeat is forgotten once no repeat can come any more."""

import structlog
from sqlalchemy import ColumnElement, Delete, Table, delete, func, literal_column, select, text

from kit.store import Database, Store

# The broker keeps events for 7 days, and nobody sends a request again after that.
KEPT = text("interval '14 days'")
ROWS_A_ROUND = 10_000
TABLES = ("inbox", "requests")
CTID: ColumnElement[str] = literal_column("ctid")
log = structlog.get_logger()


class Retention:
    """Deletes old rows of a service's inbox and answered requests, so many a transaction."""

    def __init__(self, database: Database, store: type[Store], rows_a_round: int = ROWS_A_ROUND) -> None:
        self._database, self._store, self._rows_a_round = database, store, rows_a_round

    async def step(self) -> bool:
        full = False
        for table in (self._store.metadata.tables[name] for name in TABLES):
            async with self._store.open_pipeline(self._database) as store:
                dropped = (await store.connection.execute(self._old(table))).rowcount
            full = full or dropped == self._rows_a_round
            if dropped:
                log.info("forgotten", table=table.name, rows=dropped)
        return full

    def _old(self, table: Table) -> Delete:
        due = select(CTID).select_from(table).where(table.c.create_time < func.now() - KEPT).limit(self._rows_a_round)
        return delete(table).where(CTID.in_(due.scalar_subquery()))
