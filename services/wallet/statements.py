"""A month of a wallet: when it begins and ends, and its lines as CSV."""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from services.wallet.errors import StatementMonthInvalid

CSV = "text/csv; charset=utf-8"
# Spreadsheets read a file without the mark in the code page of the machine, and Greek is lost.
BYTE_ORDER_MARK = "\ufeff"
HEADER = (
    *("time", "kind", "available_change", "held_change", "spent_change"),
    *("available", "held", "spent", "transaction_id", "hold_id", "reason"),
    # Behind what was there before them: some read a file by the places of its columns.
    *("debt_change", "debt"),
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
MONTH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")


class Balances(NamedTuple):
    """Credits that are free, set aside, used up, and owed: or how these change."""

    available: int = 0
    held: int = 0
    spent: int = 0
    debt: int = 0

    def after(self, change: "Balances") -> "Balances":
        return Balances(*map(sum, zip(self, change, strict=True)))


@dataclass(frozen=True, slots=True)
class Month:
    """From `start_time` up to `end_time`, which is not a part of it; both in the merchant's time zone."""

    start_time: datetime
    end_time: datetime
    time_zone: str


class Line(NamedTuple):
    """One transaction, its kind by name."""

    time: datetime
    kind: str
    id: str
    hold_id: str
    reason: str
    change: Balances


@dataclass(frozen=True, slots=True)
class DayLine:
    """What one kind of transactions changed on one day: `YYYY-MM-DD`."""

    day: str
    kind: str
    transactions: int
    change: Balances


def month(text: str, time_zone: str, now: datetime) -> Month:
    """The month as far as it has come. Refuses `StatementMonthInvalid`."""
    zone = ZoneInfo(time_zone)
    found = MONTH.fullmatch(text)
    if found is None:
        raise StatementMonthInvalid(field="month", rule="YYYY-MM")
    year, number = int(found[1]), int(found[2])
    start = datetime(year, number, 1, tzinfo=zone)
    if start > now:
        raise StatementMonthInvalid(field="month", rule="begun")
    end = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=zone)
    return Month(start, min(end, now.astimezone(zone)), time_zone)


class Sheet:
    """The lines of a month, gathered piece by piece; `taken` empties it."""

    def __init__(self, month: Month, opening: Balances) -> None:
        self._month, self.balances = month, opening
        self._text = io.StringIO()
        self._text.write(BYTE_ORDER_MARK)
        self._writer = csv.writer(self._text)
        self._writer.writerow(HEADER)
        self._stand(month.start_time, "OPENING")

    def write(self, lines: Iterable[Line]) -> None:
        zone = self._month.start_time.tzinfo
        for time, kind, id, hold_id, reason, change in lines:
            self.balances = self.balances.after(change)
            # A reason that begins with a sign would be a spreadsheet's formula.
            shown = f"'{reason}" if reason.startswith(FORMULA) else reason
            self._put(time.astimezone(zone), kind, change, id, hold_id, shown)

    def close(self) -> None:
        self._stand(self._month.end_time, "CLOSING")

    def taken(self) -> bytes:
        data = self._text.getvalue().encode()
        self._text.seek(0)
        self._text.truncate()
        return data

    def _stand(self, time: datetime, kind: str) -> None:
        self._put(time, kind, Balances(), "", "", "")

    def _put(self, time: datetime, kind: str, change: Balances, *about: str) -> None:
        (*changes, owed), (*stands, debt) = change, self.balances
        self._writer.writerow((time.isoformat(timespec="seconds"), kind, *changes, *stands, *about, owed, debt))
