"""The quick subset of `make crash`, and what nobody has to die for. Every guard's mutant fails one of these."""

import time
from collections.abc import Iterator

import httpx
import pytest

from astronote.sender.v1.batches_pb2 import BatchRecipient, SendBatch
from tests.crash.arena import Arena
from tests.crash.runs import QUICK, Run
from tests.shop import Shop

pytestmark = [pytest.mark.xdist_group("crash"), pytest.mark.timeout(180)]


@pytest.mark.parametrize("run", QUICK, ids=lambda run: run.name)
def test_nothing_is_sent_twice_and_nothing_is_lost(run: Run, arena: Arena) -> None:
    violations = arena.perform(run).violations
    assert not violations, "; ".join(violations)


@pytest.fixture
def refused(arena: Arena) -> Iterator[tuple[Shop, str]]:
    """A shop whose campaign of ten is on its way: frozen, claimed, and refused (429) again and again."""
    arena.mesh.wait_ready()
    arena.provider.reset()
    arena.provider.behave(outcomes={"ok": 0, "tooMany": 1})
    shop = Shop(arena.mesh)
    shop.bring(10)
    campaign = shop.campaign()
    shop.verb(campaign, "send")
    deadline = time.monotonic() + 20
    while not arena.provider.summary()["requests"]:
        assert time.monotonic() < deadline, "nothing was submitted"
        time.sleep(0.02)
    yield shop, campaign
    shop.http.close()


def test_whoever_opts_out_after_the_freeze_and_before_the_attempt_is_not_texted(
    arena: Arena, refused: tuple[Shop, str]
) -> None:
    shop, campaign = refused
    leaver = opted_out(arena, campaign)
    arena.provider.behave(outcomes={"ok": 1, "tooMany": 0})
    assert_left_out(arena, shop, campaign, leaver)


def test_whoever_opts_out_while_the_attempt_is_committed_is_not_texted(arena: Arena, refused: tuple[Shop, str]) -> None:
    shop, campaign = refused
    with arena.frozen("sender.intent"):
        leaver = opted_out(arena, campaign)
        arena.provider.behave(outcomes={"ok": 1, "tooMany": 0})
    assert_left_out(arena, shop, campaign, leaver)


def opted_out(arena: Arena, campaign: str) -> BatchRecipient:
    """One of the campaign's people, who has followed the link in a text."""
    (frozen,) = arena.rows("campaigns", "SELECT payload FROM batches WHERE campaign_id = %(id)s", id=campaign)
    leaver = SendBatch.FromString(frozen["payload"]).recipients[3]
    assert httpx.post(leaver.text.split()[-1]).is_success
    return leaver


def assert_left_out(arena: Arena, shop: Shop, campaign: str, leaver: BatchRecipient) -> None:
    report = shop.closed(campaign)
    assert report["counts"]["skipped"] == {"opted_out": 1}
    assert arena.provider.summary()["accepted"] == 9
    states = 'SELECT state FROM messages WHERE campaign_id = %(id)s AND "to" = %(to)s'
    assert arena.rows("sender", states, id=campaign, to=leaver.phone) == [{"state": "SKIPPED"}]
    assert report["credits"]["released"] == leaver.credits


def test_a_batch_that_was_refused_is_not_submitted_again_while_its_campaign_is_paused(
    arena: Arena, refused: tuple[Shop, str]
) -> None:
    shop, campaign = refused
    shop.verb(campaign, "pause")
    arena.provider.behave(outcomes={"ok": 1, "tooMany": 0})
    time.sleep(4)  # Retry-After is a second
    accepted = arena.provider.summary()["accepted"]
    assert not accepted, f"went out while paused: {accepted}"
    shop.verb(campaign, "resume")
    report = shop.closed(campaign)
    assert (report["counts"]["targeted"], arena.provider.summary()["accepted"]) == (10, 10)
