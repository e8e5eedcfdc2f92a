"""Statements over what moved in a stretch of time. They read one snapshot."""

from collections.abc import AsyncIterator
from datetime import datetime

from sqlalchemy import text

from kit.store import Store
from services.wallet.statements import Balances, DayLine, Line, Month

# So many lines are written in a few milliseconds of the loop.
PAGE_SIZE = 500
BALANCES = len(Balances._fields)

# Counted backwards from today's balances: statements are mostly of late, and end where the wallet stands.
BALANCES_AT = text("""
SELECT w.available - coalesce(since.available, 0), w.held - coalesce(since.held, 0),
       w.spent - coalesce(since.spent, 0), w.debt - coalesce(since.debt, 0)
FROM wallets w, (
    SELECT sum(e.amount) FILTER (WHERE e.account = 'available') AS available,
           sum(e.amount) FILTER (WHERE e.account = 'held') AS held,
           sum(e.amount) FILTER (WHERE e.account = 'spent') AS spent,
           -sum(e.amount) FILTER (WHERE e.account = 'debt') AS debt
    FROM journals j JOIN entries e ON e.merchant_id = j.merchant_id AND e.journal_id = j.id
    WHERE j.merchant_id = :merchant_id AND j.create_time >= :time
) since
WHERE w.merchant_id = :merchant_id
""")

# A debt is the other side of its account.
CHANGES = ", ".join(
    f"coalesce((SELECT {'-' if account == 'debt' else ''}e.amount FROM entries e"
    f" WHERE e.merchant_id = j.merchant_id AND e.journal_id = j.id AND e.account = '{account}'), 0) AS {account}"
    for account in Balances._fields
)
MONTH = """
FROM journals j WHERE j.merchant_id = :merchant_id AND j.create_time >= :start_time AND j.create_time < :end_time
"""
LINES = text(f"""
SELECT j.number, j.create_time, j.kind, j.id::text, coalesce(j.hold_id::text, ''), j.reason, {CHANGES}
{MONTH} AND (j.create_time, j.number) > (:after_time, :after_number)
ORDER BY j.create_time, j.number LIMIT :limit
""")
BY_DAY = text(f"""
SELECT to_char(create_time AT TIME ZONE :time_zone, 'YYYY-MM-DD') AS day, kind, count(*),
       sum(available), sum(held), sum(spent), sum(debt)
FROM (SELECT j.number, j.create_time, j.kind, {CHANGES} {MONTH}) AS line
GROUP BY day, kind ORDER BY day, min(number)
""")


class StatementStatements(Store):
    async def balances_at(self, time: datetime) -> Balances:
        """As they stood then; nothing where there is no wallet."""
        found = await self.connection.execute(BALANCES_AT, {"merchant_id": self.merchant_id, "time": time})
        row = found.one_or_none()
        return Balances(*map(int, row)) if row else Balances()

    async def lines_of(self, month: Month) -> AsyncIterator[list[Line]]:
        """In their order, in pages."""
        values = self._of(month) | {"limit": PAGE_SIZE, "after_time": month.start_time, "after_number": -1}
        while page := (await self.connection.execute(LINES, values)).all():
            yield [Line._make((*row[1:-BALANCES], Balances(*row[-BALANCES:]))) for row in page]
            if len(page) < PAGE_SIZE:
                return
            values |= {"after_time": page[-1].create_time, "after_number": page[-1].number}

    async def days_of(self, month: Month) -> list[DayLine]:
        """A line a day and kind, in their order."""
        found = await self.connection.execute(BY_DAY, self._of(month) | {"time_zone": month.time_zone})
        return [DayLine(day, kind, count, Balances(*map(int, changes))) for day, kind, count, *changes in found]

    def _of(self, month: Month) -> dict[str, object]:
        return {"merchant_id": self.merchant_id, "start_time": month.start_time, "end_time": month.end_time}
