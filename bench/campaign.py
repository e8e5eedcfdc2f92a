"""A campaign, from `:send` until the provider has accepted everybody, at growing sizes; reports come in meanwhile."""

import time
from collections.abc import Iterator, Mapping

from bench import floors, processes
from bench.arena import Arena
from bench.figures import Figure
from tests.shop import Shop

SIZES = (1_000, 10_000, 100_000, 1_000_000)
SECONDS_A_RECIPIENT_MAX = 0.002
# A look costs some ten milliseconds of all that is measured. The next one comes when so many a second could be done.
LOOKED_PAST_PER_SECOND = 50_000
PEAK_MB = 250.0
GROWTH_MB = 50.0


def run(arena: Arena, largest: int) -> Iterator[Figure]:
    peaks: dict[int, dict[str, float]] = {}
    for size in (size for size in SIZES if size <= largest):
        shop = arena.shop(size)
        arena.provider.reset()
        processes.forget_peaks(arena.mesh)
        before, cpu = _counters(arena), processes.cpu_seconds(arena.mesh)
        campaign, seconds, final_seconds = send(shop, size)
        peaks[size] = processes.peaks_mb(arena.mesh)
        assert arena.provider.summary()["doubled"] == 0
        copied = floors.copied_rows_per_second(arena, campaign)
        rate = size / seconds
        aim = 20_000.0 if size >= 100_000 else None
        yield Figure(
            f"campaign of {size:,}", rate, "recipients/s", aim, ratio=rate / copied, limit=f"COPY, {copied:,.0f} rows/s"
        )
        yield Figure(f"campaign of {size:,}, until final", size / final_seconds, "recipients/s")
        yield from _costs(arena, size, before, cpu)
    yield from _memory(peaks)


def send(shop: Shop, size: int) -> tuple[str, float, float]:
    """The campaign, the seconds until all were accepted, and until the report was final."""
    campaign = shop.campaign()
    began = time.perf_counter()
    shop.verb(campaign, "send")
    seconds = 0.0
    limit_seconds = 30 + size * SECONDS_A_RECIPIENT_MAX
    while True:
        report = shop.report(campaign)
        counts, passed_seconds = report["counts"], time.perf_counter() - began
        left = size - counts["targeted"] + counts["queued"]
        if not seconds and not left:
            assert not counts["unknown"], counts
            seconds = passed_seconds
        if report["final"]:
            # The stand-in says of some that they failed, as a provider does.
            assert counts["delivered"] + counts["failed"] == size, counts
            return campaign, seconds, passed_seconds
        assert passed_seconds < limit_seconds, report
        left = left or size - counts["delivered"] - counts["failed"]
        time.sleep(max(0.02, left / LOOKED_PAST_PER_SECOND))


def _counters(arena: Arena) -> dict[str, int]:
    """Of the whole cluster: transactions that committed, and bytes of WAL; and what the broker wrote."""
    with arena.owner("sender") as connection:
        wal = "pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
        found = connection.execute(f"SELECT sum(xact_commit)::bigint, {wal} FROM pg_stat_database".encode()).fetchone()
    assert found
    return {"transactions": found[0], "WAL": found[1], "JetStream": processes.written_bytes(arena.mesh, "nats")}


def _costs(arena: Arena, size: int, before: Mapping[str, int], cpu: Mapping[str, float]) -> Iterator[Figure]:
    after, thousands, name = _counters(arena), size / 1000, f"cost of {size:,}"
    transactions = (after["transactions"] - before["transactions"]) / size
    # Below that, what runs by the clock outweighs what runs by the recipient.
    aim = 0.01 if size >= 100_000 else None
    yield Figure(f"{name}: transactions", transactions, "a recipient", aim, more_is_better=False)
    for stored in ("WAL", "JetStream"):
        yield Figure(f"{name}: {stored}", (after[stored] - before[stored]) / size, "bytes a recipient")
    for process, seconds in processes.cpu_seconds(arena.mesh).items():
        yield Figure(f"{name}: CPU of {process}", (seconds - cpu[process]) * 1000 / thousands, "ms a thousand")


def _memory(peaks: Mapping[int, Mapping[str, float]]) -> Iterator[Figure]:
    smaller, largest = peaks.get(10_000, {}), peaks[max(peaks)]
    services = [name for name in largest if name not in ("postgres", "nats", "mitto", "stripe")]
    for name in services:
        yield Figure(f"peak of {name}", largest[name], "MB", PEAK_MB, more_is_better=False)
        if smaller and max(peaks) > 10_000:
            grown = largest[name] - smaller[name]
            yield Figure(f"growth of {name}, 10,000 to {max(peaks):,}", grown, "MB", GROWTH_MB, more_is_better=False)
