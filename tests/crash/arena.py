"""A running mesh with two senders and two dispatchers, in which one campaign after another is sent and injured."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import nats
import psycopg
from psycopg.rows import dict_row

from deploy.local.errors import LocalMeshError
from deploy.local.members import MEMBERS, Member
from deploy.local.mesh import Mesh
from kit import crash
from services.campaigns.dispatch import SUBJECTS
from tests.crash import oracle
from tests.crash.runs import Run
from tests.shop import Oracle, Shop

RECIPIENTS = 100
BATCH_SIZE, CHUNK_SIZE = 25, 15
LEASE_SECONDS = 2.5
# What is swept up comes again after 3 to 5 s, and is then taken over: a frozen sender wakes up after that.
FREEZE_SECONDS = {"sender": 6.5}
FREEZE_SECONDS_ELSEWHERE = 3.0
# A campaign whose reports never come is closed when its messages have expired, and not before.
FIRE_SECONDS_MAX = 45.0
RUN_SECONDS_MAX = 60.0
SETTLE_SECONDS_MAX = 15.0
SETTINGS = {
    "campaigns": {"BATCH_SIZE": str(BATCH_SIZE), "REPUBLISH_AFTER_SECONDS": "3", "SILENCE_SECONDS": "3"},
    "sender": {
        "CHUNK_SIZE": str(CHUNK_SIZE),
        "LEASE_SECONDS": str(LEASE_SECONDS),
        "PROVIDER_TIMEOUT_SECONDS": "1.5",
        "RETRY_SECONDS": "0.3",
        "VALIDITY_SECONDS": "10",
        "UNKNOWN_GRACE_SECONDS": "2",
        "LOOKUP_AFTER_SECONDS": "2",
        "LOOKUP_RETRY_SECONDS": "1",
        "LOOKUP_TRIES_MAX": "5",
        "BREAKER_SECONDS": "1",
        "CAUTIOUS_SIZE": "5",
    },
}
# Leases too long to wait for, of processes that are dead or frozen: time is made to pass.
PASS_TIME = {
    "campaigns": [
        "UPDATE campaigns SET lease_expire_time = 'epoch' WHERE lease_expire_time > now()",
        "UPDATE outbox SET claim_expire_time = 'epoch'",
    ],
    "sender": [
        "UPDATE settlements SET claim_expire_time = 'epoch'",
        "UPDATE outbox SET claim_expire_time = 'epoch'",
    ],
}
# Alembic's context is one a process: meshes migrate in turn.
_one_at_a_time = threading.Lock()


@dataclass
class Verdict:
    """What became of a run. It holds when there are no violations."""

    run: Run
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)


class Arena:
    def __init__(self, mesh: Mesh, plan: Path) -> None:
        self.mesh, self.provider, self._plan = mesh, Oracle(mesh), plan

    @classmethod
    @contextlib.contextmanager
    def open(cls) -> Iterator["Arena"]:
        second = [
            replace(member, name=f"{member.name}-2", service=member.name)
            for member in MEMBERS
            if member.name in SETTINGS
        ]
        members: list[Member] = [*MEMBERS, *second]
        overrides: dict[str, dict[str, str]] = {"wallet": {"RECOUNT_INTERVAL_SECONDS": "5"}}
        mesh = Mesh.temporary(members=members, overrides=overrides)
        plan = mesh.data / "crash"
        for name, settings in SETTINGS.items():
            overrides[name] = overrides[f"{name}-2"] = {**settings, crash.SETTING: str(plan)}
        with contextlib.ExitStack() as stack:
            with _one_at_a_time:
                stack.enter_context(mesh)
            yield cls(mesh, plan)

    def perform(self, run: Run) -> Verdict:
        """One campaign of a fresh merchant, injured, to its end, and what the oracle says. Never raises."""
        verdict = Verdict(run)
        began = time.monotonic()
        shop: Shop | None = None
        try:
            self.mesh.wait_ready()
            self._disarm()
            self.provider.reset()
            shop = Shop(self.mesh)
            shop.bring(RECIPIENTS)
            campaign = shop.campaign()
            self.provider.behave(**run.behaviour)
            if run.plan:
                self._arm(run.plan)
            shop.verb(campaign, "send")
            self._injure(run, campaign)
            shop.closed(campaign, RUN_SECONDS_MAX)
            self._ask(shop, campaign, run, verdict)
        except AssertionError as error:
            verdict.violations.append(str(error)[:1000])
        except (LocalMeshError, psycopg.Error, httpx.HTTPError) as error:
            verdict.violations.append(f"{type(error).__name__}: {str(error)[:1000]}")
        finally:
            self._disarm()
            if shop:
                shop.http.close()
        verdict.seconds = time.monotonic() - began
        return verdict

    @contextlib.contextmanager
    def frozen(self, point: str) -> Iterator[None]:
        """Whoever passes the point next stands still until the block ends."""
        self._arm(f"{point} freeze 1")
        try:
            pid = self._fired()
            try:
                yield
            finally:
                os.kill(pid, signal.SIGCONT)
        finally:
            self._disarm()

    def rows(self, service: str, query: str, **values: Any) -> list[dict[str, Any]]:
        """What stands in a service's database, across merchants."""
        url = self.mesh.databases[service].pipeline_url.replace("+psycopg", "")
        with psycopg.connect(url, row_factory=dict_row) as connection:
            found = connection.execute(query.encode(), values)
            # An empty description is a query without columns, and would look like one that found nothing.
            assert found.description != [], query
            return found.fetchall() if found.description else []

    def report(self, items: list[dict[str, str]]) -> None:
        """A delivery report, as the provider posts it: again, until it is taken."""
        headers = {"X-Webhook-Secret": self.mesh.wiring.webhook_secret()}
        url = f"{self.mesh.url}/webhooks/mitto/dlr"
        _until(lambda: httpx.post(url, json=items, headers=headers, timeout=30).is_success, "a report is refused")

    def _ask(self, shop: Shop, campaign: str, run: Run, verdict: Verdict) -> None:
        """Books may be final a moment before the last row is cleared away; what never ends is a violation."""
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while (left := oracle.unfinished(self, campaign)) and time.monotonic() < deadline:
            time.sleep(0.2)
        verdict.violations += left
        oracle.contradict(self, campaign)
        books = oracle.Books(self, shop, campaign)
        verdict.figures = books.figures()
        verdict.violations += books.violations(run)

    # Injuries

    def _arm(self, plan: str) -> None:
        fresh = self._plan.with_name("crash-plan.new")
        fresh.write_text(plan)
        fresh.rename(self._plan)

    def _disarm(self) -> None:
        for file in [self._plan, *self._plan.parent.glob(f"{self._plan.name}.*")]:
            file.unlink(missing_ok=True)

    def _injure(self, run: Run, campaign: str) -> None:
        if run.plan:
            pid = self._fired()
            if "freeze" in run.plan:
                self._thaw_later(run, pid)
            # What was not settled by a process that lives on comes again in 15 s. The close has to wait for it.
            if run.plan.split()[:2] not in (["settle.taken", "error"], ["settle.answered", "error"]):
                time.sleep(0.3)
                self._pass_time()
            return
        if run.injury == "none":
            return
        _until(lambda: self.provider.summary()["accepted"] > 0, "nothing was accepted")
        if run.injury == "nats wipe":
            self.mesh.wipe_stream()
        elif run.injury == "work doubled":
            self._double_work(campaign)
        else:
            victim = run.injury.split()[0]
            # What PostgreSQL calls an immediate shutdown: no checkpoint, recovery at the next start.
            self.mesh.kill(victim, signal.SIGQUIT if victim == "postgres" else signal.SIGKILL)
            time.sleep(0.5)
            if victim == "postgres":
                _until(self._answers, "PostgreSQL is away")
        self._pass_time()

    def _fired(self) -> int:
        """The process that the plan has injured."""
        deadline = time.monotonic() + FIRE_SECONDS_MAX
        while not (found := list(self._plan.parent.glob(f"{self._plan.name}.*"))):
            assert time.monotonic() < deadline, "the crash point was not reached"
            time.sleep(0.02)
        return int(found[0].suffix[1:])

    def _thaw_later(self, run: Run, pid: int) -> None:
        try:
            time.sleep(0.3)
            self._pass_time()
            time.sleep(FREEZE_SECONDS.get(run.plan.split(".")[0], FREEZE_SECONDS_ELSEWHERE))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _pass_time(self) -> None:
        for service, statements in PASS_TIME.items():
            for statement in statements:
                self.rows(service, statement)

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            return all(self.rows(service, "SELECT 1 AS one") for service in PASS_TIME)
        return False

    def _double_work(self, campaign: str) -> None:
        """Hands every batch of the campaign to the senders twice more, while they are at it."""
        batches = self.rows("campaigns", "SELECT payload FROM batches WHERE campaign_id = %(id)s", id=campaign)
        asyncio.run(_publish(self.mesh.wiring.nats_url, [batch["payload"] for batch in batches] * 2))


async def _publish(url: str, payloads: list[bytes]) -> None:
    async with await nats.connect(url) as client:
        for payload in payloads:
            await client.jetstream().publish(SUBJECTS[False], payload)


def _until(holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + FIRE_SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)
