"""A running mesh with two senders and two dispatchers, in which one campaign after another is sent and injured, or many
single texts at once.
"""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import nats
import psycopg
from psycopg.rows import dict_row

from deploy.local.errors import LocalMeshError
from deploy.local.members import MEMBERS, Member, Wiring
from deploy.local.mesh import Mesh
from kit import crash
from services.campaigns.dispatch import SUBJECTS
from tests.crash import oracle
from tests.crash.runs import TOO_DEAR, Run
from tests.crash.texts import COUNT, Texts
from tests.shop import Oracle, Shop

RECIPIENTS = 100
BATCH_SIZE, CHUNK_SIZE = 25, 15
LEASE_SECONDS = 2.5
# What is swept up comes again after 3 to 5 s, and is then taken over: a frozen sender wakes up after that.
FREEZE_SECONDS = {"sender": 6.5, "single": 6.5}
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
        "SINGLE_SWEEP_SECONDS": "1.5",
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
        members: list[Member] = [
            replace(each, settings=_both_senders) if each.name == "gateway" else each for each in MEMBERS
        ]
        members += second
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
        """What a fresh merchant sends, injured, to its end, and what the oracle says. Never raises."""
        verdict = Verdict(run)
        began = time.monotonic()
        shop: Shop | None = None
        try:
            self.mesh.wait_ready()
            self._disarm()
            self.provider.reset()
            shop = Shop(self.mesh)
            (self._singles if run.singles else self._campaign)(shop, verdict)
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

    def _campaign(self, shop: Shop, verdict: Verdict) -> None:
        shop.bring(RECIPIENTS)
        campaign = shop.campaign()
        self._prepare(verdict.run)
        shop.verb(campaign, "send")
        self._injure(verdict.run, shop)
        shop.closed(campaign, RUN_SECONDS_MAX)
        self.conclude(shop, partial(oracle.CampaignBooks, self, shop, campaign), verdict)

    def _singles(self, shop: Shop, verdict: Verdict) -> None:
        """All are asked for again when the injury is over, and again when their books are closed."""
        if verdict.run.outcome == TOO_DEAR:
            shop.call("PATCH", "/v1/billing/limits", json={"dailyCreditsMax": COUNT // 2})
        self._prepare(verdict.run)
        with Texts(shop) as texts:
            self._injure(verdict.run, shop)
        texts.ask_again()
        self._finished(shop, RUN_SECONDS_MAX)
        texts.ask_again()
        self.conclude(shop, partial(oracle.SingleBooks, self, shop, texts.answers), verdict)

    def conclude(self, shop: Shop, books: Callable[[], oracle.Books], verdict: Verdict) -> None:
        """Books may be final a moment before the last row is cleared away; what never ends is a violation."""
        verdict.violations += self._finished(shop, SETTLE_SECONDS_MAX)
        oracle.contradict(self, shop)
        closed = books()
        verdict.figures = closed.figures()
        verdict.violations += closed.violations(verdict.run)

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

    def _finished(self, shop: Shop, seconds: float) -> list[str]:
        """What is left when nothing is, or when so much time has passed."""
        deadline = time.monotonic() + seconds
        while (left := oracle.unfinished(self, shop)) and time.monotonic() < deadline:
            time.sleep(0.2)
        return left

    # Injuries

    def _prepare(self, run: Run) -> None:
        self.provider.behave(**run.behaviour)
        if run.plan:
            self._arm(run.plan)

    def _arm(self, plan: str) -> None:
        fresh = self._plan.with_name("crash-plan.new")
        fresh.write_text(plan)
        fresh.rename(self._plan)

    def _disarm(self) -> None:
        for file in [self._plan, *self._plan.parent.glob(f"{self._plan.name}.*")]:
            file.unlink(missing_ok=True)

    def _injure(self, run: Run, shop: Shop) -> None:
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
            self._double_work(run, shop)
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

    def _double_work(self, run: Run, shop: Shop) -> None:
        """Hands every batch of the merchant to the senders twice more, while they are at it."""
        service, table = ("sender", "singles") if run.singles else ("campaigns", "batches")
        batches = self.rows(service, f"SELECT payload FROM {table} WHERE merchant_id = %(id)s", id=shop.id)
        payloads = [batch["payload"] for batch in batches] * 2
        asyncio.run(_publish(self.mesh.wiring.nats_url, SUBJECTS[run.singles], payloads))


def _both_senders(wiring: Wiring) -> dict[str, str]:
    """The gateway's settings, as if it were one name: who asks again comes to another sender."""
    (gateway,) = (member for member in MEMBERS if member.name == "gateway")
    addresses = ",".join(wiring.address(name) for name in ("sender", "sender-2"))
    return {**gateway.settings(wiring), "SENDER_ADDRESS": f"ipv4:{addresses}"}


async def _publish(url: str, subject: str, payloads: list[bytes]) -> None:
    async with await nats.connect(url) as client:
        for payload in payloads:
            await client.jetstream().publish(subject, payload)


def _until(holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + FIRE_SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)
