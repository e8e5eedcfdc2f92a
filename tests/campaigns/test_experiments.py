"""Experiments: several texts side by side, each to its share, and people who get none, to see what a text does."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1.experiments_pb2 import Experiment, RecordConversionsRequest, RecordConversionsResponse
from astronote.campaigns.v1.experiments_pb2_grpc import ExperimentsServiceStub
from astronote.campaigns.v1.links_pb2 import FollowLinkRequest
from astronote.campaigns.v1.links_pb2_grpc import ShortLinksServiceStub
from astronote.campaigns.v1.reports_pb2 import ExplainRecipientRequest, Step
from astronote.campaigns.v1.reports_pb2_grpc import ResultsServiceStub
from astronote.contacts.v1 import contacts_pb2 as contacts
from astronote.contacts.v1.contacts_pb2_grpc import ContactsServiceStub
from services.campaigns import experiments
from services.campaigns.rendering import experiment_text
from tests.campaigns.shop import Shop, age, opened, refusal, registered, sending
from tests.conftest import TestMesh

START = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = 12


def row(**values: Any) -> Any:
    usual = {"experiment": Experiment(texts=["B"]), "start_time": START, "skipped": {}, "targeted": 0}
    return SimpleNamespace(**usual | {"variant_recipients": {"0": 1000, "1": 1000}} | values)


def counted(**counts: int) -> Any:
    return SimpleNamespace(**{"viewers": 0, "clickers": 0, "redemptions": 0, "unsubscribes": 0, **counts})


def test_each_text_goes_to_an_equal_share_and_always_to_the_same() -> None:
    campaign_id, ids = str(uuid.UUID(int=7)), [uuid.UUID(int=number).bytes for number in range(4000)]
    drawn = [experiments.variant(campaign_id, id, 4) for id in ids]
    assert drawn == [experiments.variant(campaign_id, id, 4) for id in ids]
    assert all(900 < count < 1100 for count in Counter(drawn).values())
    other = [experiments.variant(str(uuid.UUID(int=8)), id, 4) for id in ids]
    assert sum(one == another for one, another in zip(drawn, other, strict=True)) < 1200
    held = [experiments.is_held_out(campaign_id, id, 10) for id in ids]
    assert 320 < sum(held) < 480
    # Who is held out says nothing of the text that somebody would have got.
    assert 50 < sum(drawn[at] == 0 for at in range(len(ids)) if held[at]) < 150
    assert (experiments.variant(campaign_id, b"", 4), experiments.is_held_out(campaign_id, b"", 50)) == (0, False)


@pytest.mark.parametrize(
    ("responses", "hours", "winner"),
    [
        ({0: counted(clickers=50), 1: counted(clickers=100)}, 25, "B"),
        ({0: counted(clickers=50), 1: counted(clickers=100)}, 23, ""),
        ({0: counted(clickers=50), 1: counted(clickers=55)}, 25, ""),
        ({0: counted(clickers=50, redemptions=99)}, 25, "A"),
        ({}, 25, ""),
    ],
)
def test_a_text_wins_when_it_leads_beyond_chance(responses: dict[int, Any], hours: int, winner: str) -> None:
    shown = experiments.result(row(), responses, {}, START + timedelta(hours=hours))
    assert shown.winner == winner
    assert [each.name for each in shown.variants] == ["A", "B"]
    assert not shown.HasField("hold_out")


def test_lift_is_what_the_text_adds() -> None:
    held = row(experiment=Experiment(hold_out_percent=10), skipped={"held_out": 1000}, targeted=10_000)
    shown = experiments.result(held, {}, {False: 540, True: 40}, START)
    assert (shown.hold_out.texted, shown.hold_out.held_out, shown.hold_out.significant) == (9000, 1000, True)
    assert shown.hold_out.lift == pytest.approx(0.5)
    assert not experiments.result(held, {}, {False: 5}, START).hold_out.HasField("lift")


@given(st.tuples(*[st.integers(min_value=0, max_value=10**6)] * 4))
def test_no_figures_break_the_verdict(figures: tuple[int, int, int, int]) -> None:
    count, _, other, other_more = figures
    skipped = {"held_out": other + other_more}
    held = row(experiment=Experiment(hold_out_percent=1), skipped=skipped, targeted=sum(figures))
    experiments.result(held, {}, {False: count, True: other}, START)


def test_several_texts_share_their_fields() -> None:
    campaign = pb.Campaign(id=str(uuid.UUID(int=1)), text="Hi {{first_name}}", track_links=True)
    campaign.experiment.texts[:] = ["{{last_name}}: https://a.gr", "Γεια {{first_name}}"]
    text = experiment_text(campaign, "http://s")
    assert set(text.fields) == {"first_name", "last_name", "language"}
    values = [{"first_name": "Eleni", "last_name": "Papa", "language": ""}[name] for name in text.fields]
    first, second, third = (render(values, "c" * 11).split("\n")[0] for render in text.variants)
    assert (first, second, third) == ("Hi Eleni", f"Papa: http://s/l/{'c' * 11}", "Γεια Eleni")


@pytest.fixture(scope="module")
async def lab(mesh: TestMesh) -> AsyncIterator[Shop]:
    async with mesh.with_settings("wallet", welcome_credits=1000, welcome_plan="starter"):
        shop = await registered(mesh, sender_name="Cafe")
        for number in range(PEOPLE):
            await shop.contact(f"+3069111111{number:02d}", first_name="Eleni")
        yield shop


async def ids_of(shop: Shop) -> list[str]:
    request = contacts.ListContactsRequest(page_size=500)
    page = await shop.call(ContactsServiceStub, "ListContacts", request, "contacts")
    return [each.id for each in page.contacts]


async def converted(shop: Shop, id: str, contact_ids: list[str]) -> RecordConversionsResponse:
    request = RecordConversionsRequest(id=id, contact_ids=contact_ids)
    return await shop.call(ExperimentsServiceStub, "RecordConversions", request)


async def test_texts_are_sent_side_by_side_at_the_price_that_was_quoted(lab: Shop) -> None:
    experiment = Experiment(texts=["B: https://b.gr " + "α" * 80])
    campaign = await lab.campaign(text="A https://a.gr", track_links=True, experiment=experiment)
    quote = await lab.do("QuoteCampaign", campaign.id)
    await lab.do("SendCampaign", campaign.id)
    batch = await sending(lab, campaign.id)
    assert quote.credits == sum(each.credits for each in batch.recipients) > PEOPLE
    by_text = Counter((each.variant, each.text[0]) for each in batch.recipients)
    assert set(by_text) == {(0, "A"), (1, "B")}
    await age(lab, campaign.id)
    second = next(each for each in batch.recipients if each.variant == 1)
    code = second.text.split("/l/")[1][:11]
    led = await opened(lab, ShortLinksServiceStub, "FollowLink", FollowLinkRequest(code=code))
    assert led.location == "https://b.gr"
    report = await lab.do("GetReport", campaign.id)
    assert [(each.variant, each.url, each.clicks) for each in report.links] == [
        ("A", "https://a.gr", 0),
        ("B", "https://b.gr", 1),
    ]
    shown = report.experiment.variants
    assert [(each.recipients, each.clickers) for each in shown] == [(by_text[0, "A"], 0), (by_text[1, "B"], 1)]


async def test_who_is_held_out_is_not_texted_and_counts_beside_those_who_are(lab: Shop) -> None:
    campaign = await lab.campaign(text="Hi", experiment=Experiment(hold_out_percent=50))
    people = await ids_of(lab)
    assert (await refusal(converted(lab, campaign.id, people)))[0] == "NO_HOLD_OUT"
    quote = await lab.do("QuoteCampaign", campaign.id)
    await lab.do("SendCampaign", campaign.id)
    batch = await sending(lab, campaign.id)
    texted = {str(uuid.UUID(bytes=each.contact_id)) for each in batch.recipients}
    held_out = set(people) - texted
    assert 0 < len(held_out) < PEOPLE
    assert (quote.recipients, quote.skipped["held_out"]) == (len(texted), len(held_out))
    stranger = str(uuid.uuid4())
    first = await converted(lab, campaign.id, [*people, stranger])
    assert (first.recorded, list(first.unknown_contact_ids)) == (PEOPLE, [stranger])
    assert (await converted(lab, campaign.id, people)).recorded == 0
    report = await lab.do("GetReport", campaign.id)
    assert report.counts.skipped["held_out"] == len(held_out)
    shown = report.experiment.hold_out
    assert (shown.texted_conversions, shown.held_out_conversions, shown.lift) == (len(texted), len(held_out), 0)
    request = ExplainRecipientRequest(campaign_id=campaign.id, contact_id=held_out.pop())
    told = {step.kind: step for step in (await lab.call(ResultsServiceStub, "ExplainRecipient", request)).steps}
    assert (told[Step.HOLD_OUT].verdict, told[Step.HOLD_OUT].reason) == (Step.STOPPED, "held_out")


@pytest.mark.parametrize(
    ("experiment", "reason", "field"),
    [
        (Experiment(texts=["a", "b", "c", "d"]), "CAMPAIGN_INVALID", "campaign.experiment.texts"),
        (Experiment(hold_out_percent=51), "CAMPAIGN_INVALID", "campaign.experiment.hold_out_percent"),
        (Experiment(hold_out_percent=-1), "CAMPAIGN_INVALID", "campaign.experiment.hold_out_percent"),
        (Experiment(decide_hours=169), "CAMPAIGN_INVALID", "campaign.experiment.decide_hours"),
        (Experiment(texts=["ok", "{{nobody}}"]), "TEXT_INVALID", "campaign.experiment.texts[1]"),
        (Experiment(texts=[""]), "TEXT_INVALID", "campaign.experiment.texts[0]"),
        (Experiment(texts=["{{offer_link}}"]), "TEXT_INVALID", "campaign.text"),
    ],
)
async def test_a_wrong_experiment_is_refused(lab: Shop, experiment: Experiment, reason: str, field: str) -> None:
    found, metadata = await refusal(lab.campaign(text="Hi", experiment=experiment))
    assert (found, metadata["field"]) == (reason, field)


async def test_wrong_conversions_are_refused(lab: Shop) -> None:
    campaign = await lab.campaign(text="Hi", experiment=Experiment(hold_out_percent=50))
    for wrong in ([], ["x"], [str(uuid.uuid4())] * 501):
        assert (await refusal(converted(lab, campaign.id, wrong)))[0] == "CONVERSIONS_INVALID"
