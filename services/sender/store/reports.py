"""Statements over delivery reports. They come late, doubled, in any order, and before our own commit."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Float, TextClause, cast, func, select, text, update

from astronote.sender.v1.events_pb2 import MessageOutcomes
from kit.rows import AnyRow, one_of
from services.sender.outcomes import Change
from services.sender.reports import RANKS, Applied, Report
from services.sender.store.tallies import TallyStatements
from services.sender.tables import attempts, messages, parked_reports

# Each array behind a SELECT, so that the planner can't count it and takes it for short. Whatever it believes of the
# messages (at a campaign's begin: that all are final), it looks each up by its index, and never compares all with all.
_REPORTED = """
    SELECT * FROM unnest(
        (SELECT CAST(:ids AS text[])), (SELECT CAST(:states AS text[])), (SELECT CAST(:times AS timestamptz[])),
        (SELECT CAST(:errors AS text[])), (SELECT CAST(:message_ids AS bigint[]))
    ) AS r(provider_message_id, state, time, error, message_id)
"""
# What changed, by merchant, campaign and states; and in a row of its own the ids of the reports that are left over.
_SUMS = """
    SELECT merchant_id, campaign_id, was, becomes, count(*)::int AS moved, max(time) AS time,
           string_agg(uuid_send(contact_id), CAST('' AS bytea)) AS contact_ids, CAST(NULL AS text[]) AS left_over
    FROM changed GROUP BY merchant_id, campaign_id, was, becomes
    UNION ALL
"""
# A message waits (ACCEPTED) until it is DELIVERED or FAILED; DELIVERED beats FAILED; nothing else ever moves. This is
# what nearly all reports do, without a lock before the change, which costs a third more; `_APPLY` takes what it left.
_FINISH = text(f"""
    WITH reported AS ({_REPORTED}), changed AS (
        UPDATE messages m SET state = r.state, finish_time = r.time, error = r.error
        -- In one order, so that two rounds hardly ever wait in a circle.
        FROM (SELECT * FROM reported WHERE state <> 'ACCEPTED' ORDER BY message_id, provider_message_id) r
        WHERE m.provider_message_id = r.provider_message_id AND m.state = 'ACCEPTED'
        RETURNING m.merchant_id, m.campaign_id, m.contact_id, 'ACCEPTED' AS was, r.state AS becomes, r.time,
                  r.provider_message_id
    )
    {_SUMS}
    SELECT NULL, NULL, NULL, NULL, 0, NULL, NULL, ARRAY(
        SELECT provider_message_id FROM reported EXCEPT SELECT provider_message_id FROM changed
    )
""")
_APPLY = text(f"""
    WITH reported AS ({_REPORTED}), current AS (
        SELECT m.id, m.merchant_id, m.campaign_id, m.contact_id, m.state AS was, r.state AS becomes, r.time, r.error
        FROM reported r JOIN messages m USING (provider_message_id)
        WHERE (m.state = 'ACCEPTED' AND r.state <> 'ACCEPTED') OR (m.state = 'FAILED' AND r.state = 'DELIVERED')
        ORDER BY m.id
        FOR UPDATE OF m
    ), changed AS (
        UPDATE messages m SET state = c.becomes, finish_time = c.time, error = c.error
        FROM current c WHERE m.id = c.id
        RETURNING c.merchant_id, c.campaign_id, c.contact_id, c.was, c.becomes, c.time
    )
    {_SUMS}
    -- In the same snapshot: a message that is committed a moment later must find its report parked.
    SELECT NULL, NULL, NULL, NULL, 0, NULL, NULL, ARRAY(
        SELECT r.provider_message_id FROM reported r LEFT JOIN messages m USING (provider_message_id) WHERE m.id IS NULL
    )
""")
# What says which message of ours it means is evidence, where that message is unknown, and tells the id of one that is
# accepted because its link was opened.
_PROVE = text(f"""
    WITH reported AS ({_REPORTED}), current AS (
        SELECT m.id, m.provider_message_id AS known_as, m.merchant_id, m.campaign_id, m.contact_id, m.attempt_id,
               m.credits, m.state AS was, r.state AS becomes, r.time, r.error, r.provider_message_id
        FROM reported r JOIN messages m ON m.id = r.message_id
        ORDER BY m.id
        -- The round has locked others by now: what somebody else has in hand waits for the next try.
        FOR UPDATE OF m SKIP LOCKED
    ), proven AS (
        UPDATE messages m SET state = c.becomes, provider_message_id = c.provider_message_id, error = c.error,
                              finish_time = CASE WHEN c.becomes <> 'ACCEPTED' THEN c.time END
        FROM current c WHERE m.id = c.id AND c.known_as IS NULL AND c.was IN ('UNKNOWN', 'ACCEPTED')
    )
    SELECT c.id, c.provider_message_id, c.known_as, c.merchant_id, c.campaign_id, c.attempt_id, c.credits, c.was,
           c.becomes, c.time, uuid_send(c.contact_id) AS contact_id, a.hold_id, a.create_time AS attempt_time
    FROM current c LEFT JOIN attempts a ON a.id = c.attempt_id
    ORDER BY c.id
""")
# A message whose link was opened was accepted, under an id that we do not know yet.
_OPENED = text("""
    WITH current AS (
        SELECT id, state, campaign_id, contact_id, attempt_id, credits FROM messages
        WHERE id = :id AND merchant_id = :merchant_id
        FOR UPDATE
    ), proven AS (
        UPDATE messages m SET state = 'ACCEPTED', link_open_time = :time
        FROM current c WHERE m.id = c.id AND c.state = 'UNKNOWN'
    )
    SELECT c.id, c.state, c.campaign_id, uuid_send(c.contact_id) AS contact_id, c.attempt_id, c.credits, a.hold_id,
           a.create_time AS attempt_time
    FROM current c LEFT JOIN attempts a ON a.id = c.attempt_id
""")
# Of two reports of one message the better stays, and what either knows of our own id.
_RANKED = f"ARRAY[{', '.join(repr(state) for state in RANKS)}]"
_PARK = text(f"""
    INSERT INTO parked_reports AS p (provider_message_id, state, time, error, message_id, lookup_time)
    SELECT r.*, CASE WHEN r.message_id IS NULL THEN now() + make_interval(secs => :lookup_after_seconds) END
    FROM ({_REPORTED}) r ORDER BY r.provider_message_id
    ON CONFLICT (provider_message_id) DO UPDATE SET
        (state, time, error) = (
            SELECT b.state, b.time, b.error
            FROM (VALUES (p.state, p.time, p.error), (excluded.state, excluded.time, excluded.error))
                AS b(state, time, error)
            ORDER BY array_position({_RANKED}, b.state) DESC LIMIT 1
        ),
        message_id = coalesce(p.message_id, excluded.message_id),
        lookup_time = CASE WHEN coalesce(p.message_id, excluded.message_id) IS NULL THEN p.lookup_time END,
        try_time = now()
    WHERE array_position({_RANKED}, excluded.state) > array_position({_RANKED}, p.state)
       OR (p.message_id IS NULL AND excluded.message_id IS NOT NULL)
""")
# One that was given a better word meanwhile stays, since that word was not applied.
_UNPARK = text("""
    WITH tried AS (
        SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:states AS text[]), CAST(:done AS boolean[]))
            AS t(provider_message_id, state, done)
    ), ended AS (
        SELECT p.provider_message_id, t.done
        FROM tried t JOIN parked_reports p USING (provider_message_id)
        WHERE (t.done AND p.state = t.state) OR p.create_time < :before
        ORDER BY p.provider_message_id
        FOR UPDATE OF p
    )
    DELETE FROM parked_reports p USING ended e WHERE p.provider_message_id = e.provider_message_id
    RETURNING e.done
""")
Changes = defaultdict[tuple[str, str], Change]


class ReportStatements(TallyStatements):
    async def apply_reports(self, reports: Sequence[Report]) -> Applied:
        """Moves messages, tallies, and the credits of unknown messages that were accepted after all."""
        applied, changes = Applied(), Changes(Change)
        left = await self._move(_FINISH, reports, applied, changes)
        left = await self._move(_APPLY, left, applied, changes)
        applied.absent = await self._prove(left, applied, changes)
        for (merchant_id, campaign_id), change in sorted(changes.items(), key=lambda item: item[0]):
            await self.add_to_tally(merchant_id, campaign_id, change)
        return applied

    async def _move(
        self, statement: TextClause, reports: Sequence[Report], applied: Applied, changes: Changes
    ) -> list[Report]:
        """Answers with the reports that the statement left over."""
        left_over = set[str]()
        for row in await self.connection.execute(statement, _columns(reports)) if reports else ():
            if row.left_over is not None:
                left_over = set(row.left_over)
                continue
            applied.moved[row.was, row.becomes] += row.moved
            change = changes[str(row.merchant_id), str(row.campaign_id or "")]
            change.add(row.was.lower(), -row.moved)
            change.add(row.becomes.lower(), row.moved)
            if row.becomes == "DELIVERED":
                await self.say_outcomes(row.merchant_id, MessageOutcomes.DELIVERED, row.time, row.contact_ids or b"")
        return [report for report in reports if report.provider_message_id in left_over]

    async def _prove(self, reports: Sequence[Report], applied: Applied, changes: Changes) -> list[Report]:
        """Takes reports of ids that we do not know as evidence; answers with those whose message is not there yet."""
        # Of two that mean one message the other's turn comes when it has been parked.
        evidence = {report.message_id: report for report in reports if report.message_id is not None}
        if not evidence:
            return list(reports)
        done = set[str]()
        proven = defaultdict[str, list[AnyRow]](list)
        for row in await self.connection.execute(_PROVE, _columns(list(evidence.values()))):
            # Recorded under this very id a moment ago, or a single text that is not recorded yet: the next try tells.
            if row.known_as == row.provider_message_id or row.was == "QUEUED":
                continue
            done.add(row.provider_message_id)
            if row.known_as is not None or row.was not in ("UNKNOWN", "ACCEPTED", "EXPIRED"):
                applied.contradicting += 1
            elif row.was == "EXPIRED":
                applied.late += 1
            elif row.was != row.becomes:
                applied.moved[row.was, row.becomes] += 1
                change = changes[str(row.merchant_id), str(row.campaign_id or "")]
                change.add(row.was.lower(), -1)
                change.add(row.becomes.lower(), 1)
                change.captured += row.credits if row.was == "UNKNOWN" else 0
                proven[str(row.attempt_id)].append(row)
        for rows in proven.values():
            await self._settle_proven(rows)
        return [report for report in reports if report.provider_message_id not in done]

    async def _settle_proven(self, rows: Sequence[AnyRow]) -> None:
        """What a round of evidence moved of an attempt, in the order of its messages: paid for, told to contacts."""
        unknown = [row for row in rows if row.was == "UNKNOWN"]
        if unknown:
            first, change = unknown[0], Change(captured=sum(row.credits for row in unknown))
            # A message is unknown once and proven once, so no two rounds of an attempt begin with the same one.
            key = f"{first.attempt_id}:evidence:{first.id}"
            await self.settle(key, str(first.merchant_id), str(first.hold_id), change)
            accepted = b"".join(row.contact_id or b"" for row in unknown)
            await self.say_outcomes(first.merchant_id, MessageOutcomes.ACCEPTED, first.attempt_time, accepted)
        if delivered := [row for row in rows if row.becomes == "DELIVERED"]:
            time, contact_ids = max(row.time for row in delivered), b"".join(row.contact_id or b"" for row in delivered)
            await self.say_outcomes(delivered[0].merchant_id, MessageOutcomes.DELIVERED, time, contact_ids)

    async def apply_open(self, merchant_id: str, message_id: int, time: datetime) -> str:
        """Takes the opening of its link as evidence for a message; answers with the state that it had, empty where it
        is not there (yet).
        """
        found = await self.connection.execute(_OPENED, {"id": message_id, "merchant_id": merchant_id, "time": time})
        row = found.one_or_none()
        if row is None:
            return ""
        if row.state == "UNKNOWN":
            change = Change({"unknown": -1, "accepted": 1}, captured=row.credits)
            await self.settle(f"{row.attempt_id}:evidence:{row.id}", merchant_id, str(row.hold_id), change)
            accepted = row.contact_id or b""
            await self.say_outcomes(merchant_id, MessageOutcomes.ACCEPTED, row.attempt_time, accepted)
            await self.add_to_tally(merchant_id, str(row.campaign_id or ""), change)
        return str(row.state)

    async def park(self, reports: Sequence[Report], lookup_after_seconds: float) -> None:
        """Keeps reports until their message comes."""
        if reports:
            await self.connection.execute(_PARK, _columns(reports) | {"lookup_after_seconds": lookup_after_seconds})

    async def take_parked(self, limit: int) -> list[Report]:
        """Parked reports that are due for another try; their next one waits half as long again as they are old."""
        due = (
            select(parked_reports.c.provider_message_id)
            .where(parked_reports.c.try_time < func.now())
            .order_by(parked_reports.c.try_time)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        half_its_age = text("(now() - parked_reports.create_time) / 2")
        again = func.now() + func.greatest(text("interval '0.3 seconds'"), half_its_age)
        taken = update(parked_reports).where(one_of(parked_reports.c.provider_message_id, due))
        found = await self.connection.execute(taken.values(try_time=again).returning(parked_reports))
        return [Report(row.provider_message_id, row.state, row.time, row.error, row.message_id) for row in found]

    async def parked_seconds(self) -> float | None:
        """Until the next parked report is due for another try; none where nothing is parked."""
        next_time = func.min(parked_reports.c.try_time) - func.now()
        seconds: float | None = await self.connection.scalar(select(cast(func.extract("epoch", next_time), Float)))
        return seconds

    async def unpark(self, tried: Sequence[Report], absent: Sequence[Report], before: datetime) -> int:
        """Drops those that were tried and applied, and gives up those that came before this time and that no message
        of ours has asked for; answers with how many these were.
        """
        left = {report.provider_message_id for report in absent}
        ended = await self.connection.execute(
            _UNPARK,
            {
                "ids": [report.provider_message_id for report in tried],
                "states": [report.state for report in tried],
                "done": [report.provider_message_id not in left for report in tried],
                "before": before,
            },
        )
        return sum(not done for done in ended.scalars())

    async def take_orphans(self, tries_max: int, backoff_seconds: float, limit: int) -> list[str]:
        """Provider's ids that nobody of ours claims and that are due for a look-up, while any attempt is unknown: only
        then can one be evidence. Their next look-up waits twice as long as the one before.
        """
        unknown = select(attempts.c.id).where(attempts.c.close_time.is_(None), attempts.c.state == "UNKNOWN").exists()
        due = (
            select(parked_reports.c.provider_message_id)
            .where(parked_reports.c.lookup_time < func.now(), unknown)
            .order_by(parked_reports.c.lookup_time)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        tries = parked_reports.c.lookup_tries
        wait = func.make_interval(0, 0, 0, 0, 0, 0, backoff_seconds * func.power(2, tries))
        taken = (
            update(parked_reports)
            .where(one_of(parked_reports.c.provider_message_id, due))
            .values(lookup_tries=tries + 1, lookup_time=func.now() + wait)
            .returning(parked_reports.c.provider_message_id, tries)
        )
        found = (await self.connection.execute(taken)).all()
        await self.end_lookups([row.provider_message_id for row in found if row.lookup_tries >= tries_max])
        return [row.provider_message_id for row in found]

    async def end_lookups(self, provider_message_ids: Sequence[str]) -> None:
        """Nothing more is asked about these."""
        these = update(parked_reports).where(parked_reports.c.provider_message_id.in_(provider_message_ids))
        await self.connection.execute(these.values(lookup_time=None))

    async def claim_orphan(self, provider_message_id: str, message_id: int, sent: str) -> bool:
        """Says which message an orphan means, where that one has this very text. It is applied at its next try."""
        mine = (messages.c.id == message_id, messages.c.text == sent)
        is_mine = select(messages.c.id).where(*mine).exists()
        this = update(parked_reports).where(parked_reports.c.provider_message_id == provider_message_id, is_mine)
        values = {"message_id": message_id, "lookup_time": None, "try_time": func.now()}
        return bool((await self.connection.execute(this.values(values))).rowcount)


def _columns(reports: Sequence[Report]) -> dict[str, str]:
    """As literals of arrays, which psycopg's own dumper takes ten times as long to write."""
    return {
        "ids": _array(report.provider_message_id for report in reports),
        "states": _array(report.state for report in reports),
        "times": _array(report.time.isoformat() for report in reports),
        "errors": _array(report.error for report in reports),
        "message_ids": f"{{{','.join(str(report.message_id or 'NULL') for report in reports)}}}",
    }


def _array(texts: Iterable[str]) -> str:
    """No text of ours has a NUL in it."""
    escaped = "\0".join(texts).replace("\\", "\\\\").replace('"', '\\"').replace("\0", '","')
    return f'{{"{escaped}"}}'
