"""How much may leave, and whose turn it is."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from kit.inbox import RetryLater
from services.sender.limits import Bucket, Hands, NoPlace, Place, Rates, reserve

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FREE = Rates(1000, 0)


class Line:
    """Merchants who submit as fast as they may, before one account."""

    def __init__(self, account: Rates, merchant: Rates, wait_seconds_max: float = 1) -> None:
        self.account, self.merchant, self.wait_seconds_max = account, merchant, wait_seconds_max
        self.buckets: dict[str, Bucket] = {}
        self.sent: list[tuple[datetime, str, int]] = []

    def ask(self, who: str, messages: int, now: datetime) -> Place | NoPlace:
        pair = [self.buckets.get(key, Bucket(key)) for key in ("account", who)]
        place = reserve(pair[0], pair[1], (self.account, self.merchant), messages, now, self.wait_seconds_max)
        if isinstance(place, Place):
            self.buckets |= {bucket.key: bucket for bucket in place.buckets}
            self.sent.append((now + timedelta(seconds=place.wait_seconds), who, messages))
        return place

    def run(self, asks: dict[str, int], seconds: float, step_seconds: float = 0.02) -> None:
        for turn in range(int(seconds / step_seconds)):
            for who, messages in asks.items():
                self.ask(who, messages, NOW + timedelta(seconds=turn * step_seconds))

    def most_in_a_second(self) -> int:
        times = sorted(time for time, _, _ in self.sent)
        second = timedelta(seconds=1)
        return max(sum(start <= time < start + second for time in times) for start in times)


def test_requests_keep_to_their_rate_in_every_second() -> None:
    line = Line(FREE, Rates(20, 0))
    line.run({"a": 1}, 4)
    assert 76 <= len(line.sent) <= 84
    assert line.most_in_a_second() <= 20 * 1.1 + 1


def test_messages_keep_to_their_rate() -> None:
    line = Line(Rates(1000, 1000), FREE)
    assert line.account.count_max(5000) == 250
    line.run({"a": 250, "b": 250}, 4)
    assert 4000 <= sum(messages for _, _, messages in line.sent) <= 4000 + 2 * 1000 + 250


def test_the_account_is_kept_to_its_rate_by_all_merchants_together() -> None:
    line = Line(Rates(20, 0), FREE)
    line.run({f"m{number}": 1 for number in range(8)}, 4)
    assert line.most_in_a_second() <= 20 * 1.1 + 1


def test_merchants_take_turns_however_much_one_of_them_brings() -> None:
    line = Line(Rates(10, 0), FREE)
    for turn in range(400):
        now = NOW + timedelta(seconds=turn * 0.01)
        # Ten hands of the one ask for each of the other.
        for who in ("million",) * 10 + ("ten",):
            line.ask(who, 1, now)
    sent = Counter(who for _, who, _ in line.sent)
    assert sent["ten"] >= 0.8 * sent["million"]


def test_nobody_waits_in_the_line_for_his_own_limit() -> None:
    line = Line(Rates(10, 0), Rates(1, 0))
    assert isinstance(line.ask("a", 1, NOW), Place)
    assert isinstance(line.ask("a", 1, NOW), NoPlace)
    place = line.ask("b", 1, NOW)
    assert isinstance(place, Place)
    assert place.wait_seconds <= 0.2


def test_a_line_that_is_too_long_takes_nobody_in() -> None:
    line = Line(Rates(1, 0), FREE, wait_seconds_max=2)
    places = [line.ask(f"m{number}", 1, NOW) for number in range(6)]
    assert [isinstance(place, Place) for place in places] == [True, True, True, False, False, False]
    assert len({place.wait_seconds for place in places[3:]}) == 1


def test_a_merchant_never_fills_every_hand() -> None:
    hands = Hands(2)
    with hands.taking("a"), hands.taking("a"), hands.taking("b"), pytest.raises(RetryLater):
        hands.taking("a").__enter__()
    with hands.taking("a"):
        pass
