"""Delivery reports against the database: monotonic in every order, evidence for what is unknown, closed books."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from kit.store import Database
from services.sender.outcomes import Accepted, Unknown
from services.sender.reports import RANKS, Report, is_id
from tests.conftest import TestMesh
from tests.sender import books
from tests.sender.books import Books

NOW = datetime.now(UTC)
COUNT = 4


@pytest.fixture(scope="module")
async def database(mesh: TestMesh) -> AsyncIterator[Database]:
    database = books.database(mesh)
    yield database
    await database.close()


@pytest.fixture
async def shop(database: Database) -> AsyncIterator[Books]:
    async with books.rolled_back(database) as shop:
        yield shop


def report(id: str, state: str, message_id: int | None = None) -> Report:
    return Report(id, state, NOW, "", message_id)


@st.composite
def histories(draw: Any) -> list[tuple[Any, ...]]:
    """Reports of four accepted messages (a0…) and four unknown ones (u0…), doubled and in any order, in bodies of any
    size, with the moments at which the attempts are recorded, parked reports tried, and links opened anywhere among
    them.
    """
    item = st.tuples(
        st.sampled_from(["a", "u"]), st.integers(0, COUNT - 1), st.sampled_from(list(RANKS)), st.booleans()
    )
    items = draw(st.lists(item, min_size=1, max_size=14))
    items = draw(st.permutations(items + draw(st.lists(st.sampled_from(items), max_size=6))))
    cuts = draw(st.lists(st.booleans(), min_size=len(items), max_size=len(items)))
    steps: list[tuple[Any, ...]] = []
    for each, cut in zip(items, cuts, strict=True):
        if cut and steps and steps[-1][0] == "body":
            steps[-1][1].append(each)
        else:
            steps.append(("body", [each]))
    for moment in ("accept", "lose", "retry", "retry"):
        steps.insert(draw(st.integers(0, len(steps))), (moment,))
    for message in draw(st.lists(st.tuples(st.sampled_from(["a", "u"]), st.integers(0, COUNT - 1)), max_size=4)):
        steps.insert(draw(st.integers(0, len(steps))), ("open", *message))
    return steps


@settings(max_examples=60, deadline=None, derandomize=True)
@given(histories())
async def test_every_order_and_repetition_ends_in_the_same_states_and_tallies(
    database: Database, steps: list[tuple[Any, ...]]
) -> None:
    said = [item for kind, *rest in steps if kind == "body" for item in rest[0]]
    opened = [(rest[0], rest[1]) for kind, *rest in steps if kind == "open"]
    async with books.rolled_back(database) as shop:
        known, lost = shop.batch(COUNT), shop.batch(COUNT)
        attempts = await shop.attempt(known, 0, COUNT), await shop.attempt(lost, 0, COUNT)
        for kind, *rest in steps:
            if kind == "body":
                await shop.apply(*once(rest[0], known.first_message_id, lost.first_message_id))
            elif kind == "accept":
                await shop.record(known, attempts[0], Accepted([f"a{index}" for index in range(COUNT)]))
            elif kind == "lose":
                await shop.record(lost, attempts[1], Unknown("no answer"))
            elif kind == "open":
                await shop.open(lost if rest[0] == "u" else known, rest[1])
            else:
                await shop.apply_parked()
        for kind, index in opened:
            await shop.open(lost if kind == "u" else known, index)
        await shop.apply_parked()
        assert await shop.states(known) == [expected("a", index, said, opened) for index in range(COUNT)]
        assert await shop.states(lost) == [expected("u", index, said, opened) for index in range(COUNT)]
        await shop.check()
        # Once more, all of it: nothing changes.
        tally = await shop.tally()
        applied = await shop.apply(*once(said, known.first_message_id, lost.first_message_id))
        assert not applied.moved
        assert (await shop.tally()).version == tally.version
        assert applied.contradicting == applied.late == 0


def once(items: list[Any], first_known: int, first_lost: int) -> list[Report]:
    """As `reports.read` gives them: one report an id, the best."""
    found: dict[str, Report] = {}
    for kind, index, state, has_reference in items:
        first = first_known if kind == "a" else first_lost
        id, known = f"{kind}{index}", found.get(f"{kind}{index}")
        best = state if known is None or RANKS[state] > RANKS[known.state] else known.state
        reference = first + index if has_reference else (known.message_id if known else None)
        found[id] = report(id, best, reference)
    return list(found.values())


def expected(kind: str, index: int, said: list[Any], opened: list[tuple[str, int]]) -> str:
    mine = [(state, reference) for its, at, state, reference in said if (its, at) == (kind, index)]
    if kind == "u" and not any(reference for _, reference in mine):
        return "ACCEPTED" if (kind, index) in opened else "UNKNOWN"
    return max((state for state, _ in mine), key=RANKS.__getitem__, default="ACCEPTED")


async def test_evidence_captures_each_message_once_and_never_meets_a_late_success(shop: Books) -> None:
    batch = shop.batch(5)
    attempt_id = await shop.attempt(batch, 0, 5)
    await shop.record(batch, attempt_id, Unknown("no answer"))
    assert await shop.settled() == (0, 0)
    first = batch.first_message_id
    await shop.apply(report("x1", "DELIVERED", first + 1), report("x2", "FAILED", first + 2))
    assert await shop.settled() == (2 + 3, 0)
    await shop.apply(report("x1", "DELIVERED", first + 1), report("x0", "ACCEPTED", first))
    assert await shop.settled() == (1 + 2 + 3, 0)
    # The answer was only slow: what is still unknown is accepted, and what was proven stays.
    await shop.accept_late(batch, attempt_id, ["x0", "x1", "x2", "x3", "x4"])
    assert await shop.settled() == (1 + 2 + 3 + 4 + 5, 0)
    assert await shop.states(batch) == ["ACCEPTED", "DELIVERED", "FAILED", "ACCEPTED", "ACCEPTED"]
    await shop.accept_late(batch, attempt_id, ["x0", "x1", "x2", "x3", "x4"])
    await shop.expire(attempt_id)
    assert await shop.states(batch) == ["EXPIRED", "DELIVERED", "FAILED", "EXPIRED", "EXPIRED"]
    assert await shop.settled() == (15, 0)
    await shop.check()


async def test_an_opened_link_captures_once_whatever_comes_after_it(shop: Books) -> None:
    batch = shop.batch(4)
    attempt_id = await shop.attempt(batch, 0, 4)
    assert await shop.open(batch, 0) == ""
    await shop.record(batch, attempt_id, Unknown("no answer"))
    assert [await shop.open(batch, index) for index in (0, 1, 2, 0)] == ["UNKNOWN"] * 3 + ["ACCEPTED"]
    assert await shop.settled() == (1 + 2 + 3, 0)
    # Its id is told by a report, by the late answer, or never.
    await shop.apply(report("x0", "FAILED", batch.first_message_id))
    await shop.accept_late(batch, attempt_id, ["x0", "x1", None, None])
    assert await shop.states(batch) == ["FAILED", "ACCEPTED", "ACCEPTED", "REJECTED"]
    assert await shop.settled() == (1 + 2 + 3, 4)
    await shop.apply(report("x1", "DELIVERED"))
    await shop.expire(attempt_id)
    assert await shop.open(batch, 2) == "EXPIRED"
    assert await shop.states(batch) == ["FAILED", "DELIVERED", "EXPIRED", "REJECTED"]
    assert await shop.settled() == (1 + 2 + 3, 4)
    await shop.check()


async def test_evidence_after_the_expiry_changes_nothing_and_is_counted(shop: Books) -> None:
    batch = shop.batch(3)
    attempt_id = await shop.attempt(batch, 0, 3)
    await shop.record(batch, attempt_id, Unknown("no answer"))
    first = batch.first_message_id
    await shop.apply(report("x0", "ACCEPTED", first))
    await shop.expire(attempt_id)
    assert await shop.states(batch) == ["EXPIRED"] * 3
    assert await shop.settled() == (1, 2 + 3)
    before = await shop.tally()
    applied = await shop.apply(report("x0", "DELIVERED", first), report("x1", "DELIVERED", first + 1))
    assert (applied.late, applied.contradicting, applied.absent) == (1, 0, [])
    await shop.accept_late(batch, attempt_id, ["x0", "x1", "x2"])
    assert await shop.states(batch) == ["EXPIRED"] * 3
    assert (await shop.tally()).credits_captured == before.credits_captured
    await shop.check()


async def test_a_second_id_for_one_message_is_counted_and_changes_nothing(shop: Books) -> None:
    batch = shop.batch(2)
    attempt_id = await shop.attempt(batch, 0, 2)
    await shop.record(batch, attempt_id, Accepted(["x0", None]))
    first = batch.first_message_id
    applied = await shop.apply(report("y0", "DELIVERED", first), report("y1", "DELIVERED", first + 1))
    assert (applied.contradicting, applied.absent) == (2, [])
    assert await shop.states(batch) == ["ACCEPTED", "REJECTED"]
    # Two for one that is unknown: the first is taken, the other waits for its turn and is counted then.
    batch = shop.batch(1)
    attempt_id = await shop.attempt(batch, 0, 1)
    await shop.record(batch, attempt_id, Unknown("no answer"))
    both = report("z0", "ACCEPTED", batch.first_message_id), report("z1", "ACCEPTED", batch.first_message_id)
    applied = await shop.apply(*both)
    assert (sum(applied.moved.values()), len(applied.absent)) == (1, 1)
    assert (await shop.apply(*both)).contradicting == 1
    await shop.check()


async def test_a_single_text_is_reported_and_proven_without_a_tally(shop: Books) -> None:
    shop.campaign_id, hold_id = "", shop.campaign_id
    known, lost = shop.batch(1), shop.batch(1)
    queued = text("""
        INSERT INTO messages (id, merchant_id, "to", text, segments, credits, state, error)
        VALUES (:id, :merchant_id, '', '', 1, 1, 'QUEUED', '')
    """)
    row = {"id": lost.first_message_id, "merchant_id": shop.merchant_id}
    await shop.store.connection.execute(queued, row)
    # Faster than our own commit.
    early = await shop.apply(report("x1", "FAILED", lost.first_message_id))
    assert (early.contradicting, len(early.absent)) == (0, 1)
    for batch, outcome in ((known, Accepted(["x0"])), (lost, Unknown("no answer"))):
        batch.hold_id = hold_id
        await shop.record(batch, await shop.attempt(batch, 0, 1), outcome)
    await shop.apply(report("x0", "DELIVERED"))
    await shop.apply_parked()
    assert await shop.states(known) + await shop.states(lost) == ["DELIVERED", "FAILED"]
    before = str(books.uuid.UUID(int=books.uuid.UUID(shop.merchant_id).int - 1))
    recounted = await shop.store.recount_after(before)
    assert recounted is not None
    assert (recounted.merchant_id, recounted.wrong) == (shop.merchant_id, [])
    shop.campaign_id = hold_id
    assert await shop.settled() == (2, 0)


async def test_an_unknown_message_expires_after_the_grace_counted_from_when_it_became_unknown(shop: Books) -> None:
    known, lost = shop.batch(1), shop.batch(1)
    ids = await shop.attempt(known, 0, 1), await shop.attempt(lost, 0, 1)
    # The attempts were made long before their outcome.
    age = text("UPDATE attempts SET create_time = now() - interval '10 days' WHERE id = ANY(:ids)")
    await shop.store.connection.execute(age, {"ids": list(ids)})
    await shop.record(known, ids[0], Accepted(["x0"]))
    await shop.record(lost, ids[1], Unknown("no answer"))

    async def due(seconds: float) -> list[str]:
        older = text("UPDATE attempts SET finish_time = now() - make_interval(secs => :s) WHERE id = ANY(:ids)")
        await shop.store.connection.execute(older, {"ids": list(ids), "s": seconds})
        savepoint, found = await shop.store.connection.begin_nested(), set[str]()
        while attempt := await shop.store.take_expired(100, 50):
            await shop.store.close_attempt(attempt)
            found.add(attempt.id)
        await savepoint.rollback()
        return sorted(found & set(ids))

    assert await due(0) == []
    assert await due(99) == []
    assert await due(101) == [ids[0]]
    assert await due(149) == [ids[0]]
    assert await due(151) == sorted(ids)
    # What came within the wait is heard before it ends: looked up for the unknown one, applied for both.
    execute = shop.store.connection.execute
    await shop.store.park([report("x9", "DELIVERED")], 60)
    assert await due(151) == sorted(ids)
    await execute(text("UPDATE parked_reports SET create_time = now() - interval '10 days'"))
    assert await due(151) == [ids[0]]
    await execute(text("UPDATE parked_reports SET create_time = now() - interval '2 seconds', lookup_time = NULL"))
    assert await due(151) == sorted(ids)
    await execute(text(f"UPDATE parked_reports SET message_id = {lost.first_message_id}"))
    assert await due(151) == [ids[0]]
    await shop.forget_parked()
    await shop.store.keep_webhooks("reports", [b"[]"])
    assert await due(151) == sorted(ids)
    await execute(text("UPDATE webhooks SET create_time = now() - interval '10 days'"))
    assert await due(151) == []


async def test_the_recount_sees_every_kind_of_drift(shop: Books) -> None:
    batch = shop.batch(3)
    attempt_id = await shop.attempt(batch, 0, 3)
    await shop.record(batch, attempt_id, Accepted(["x0", "x1", None]))
    await shop.check()
    before = str(books.uuid.UUID(int=books.uuid.UUID(shop.merchant_id).int - 1))
    for drift in (
        "UPDATE messages SET state = 'DELIVERED' WHERE merchant_id = :m AND state = 'ACCEPTED'",
        "UPDATE messages SET credits = credits + 1 WHERE merchant_id = :m AND state = 'REJECTED'",
        "UPDATE tallies SET credits_captured = credits_captured + 1 WHERE merchant_id = :m",
        "UPDATE tallies SET skipped = '{\"opted_out\": 1}' WHERE merchant_id = :m",
        "DELETE FROM tallies WHERE merchant_id = :m",
        "DELETE FROM messages WHERE merchant_id = :m",
    ):
        savepoint = await shop.store.connection.begin_nested()
        await shop.store.connection.execute(text(drift), {"m": shop.merchant_id})
        recounted = await shop.store.recount_after(before)
        assert recounted is not None
        assert (recounted.merchant_id, recounted.wrong) == (shop.merchant_id, [shop.campaign_id]), drift
        await savepoint.rollback()
    await shop.check()


WRITTEN = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
AWKWARD = st.sampled_from(["\\N", "\\", "a\tb\r\nc\\.", 'say "no", {NULL}', "NULL", "Ώρα 🎉"])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(WRITTEN | AWKWARD, (WRITTEN | AWKWARD).filter(is_id), WRITTEN | AWKWARD), min_size=1, max_size=5)
)
async def test_what_is_written_in_bulk_is_kept_to_the_letter(
    database: Database, said: list[tuple[str, str, str]]
) -> None:
    """Texts, the provider's ids and its errors go to PostgreSQL in formats of our own making."""
    said = list({id: (sent, id, error) for sent, id, error in said}.values())
    async with books.rolled_back(database) as shop:
        batch = shop.batch(len(said))
        for person, (sent, _, _) in zip(batch.recipients, said, strict=True):
            person.text = sent
        await shop.record(batch, await shop.attempt(batch, 0, len(said)), Accepted([id for _, id, _ in said]))
        applied = await shop.apply(*(Report(id, "FAILED", NOW, error) for _, id, error in said))
        assert applied.moved == {("ACCEPTED", "FAILED"): len(said)}
        query = text("SELECT text, provider_message_id, error FROM messages WHERE merchant_id = :id ORDER BY id")
        found = await shop.store.connection.execute(query, {"id": shop.merchant_id})
        assert [tuple(row) for row in found] == said
