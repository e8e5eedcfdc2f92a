"""Links of the merchant's own texts: short, priced as they go out, counted for people and machines apart, and what
follows from the counts: the report, its links, who responded, the timeline and the dashboard.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astronote.campaigns.v1.links_pb2 import FollowLinkRequest
from astronote.campaigns.v1.links_pb2_grpc import ShortLinksServiceStub
from astronote.campaigns.v1.reports_pb2 import GetDashboardRequest, ListResponsesRequest, Response
from astronote.campaigns.v1.reports_pb2_grpc import ResultsServiceStub
from services.campaigns import machines, short_links
from services.campaigns.codes import PLACEHOLDER
from services.campaigns.errors import TextInvalid
from services.campaigns.history import day_starts
from services.campaigns.rendering import compile_text, tracked_links
from tests.campaigns.shop import PERSON, Shop, age, opened, refusal, registered, sending
from tests.conftest import TestMesh

TEXT = "Γεια {{first_name}}: https://shop.gr/νέα?a=1&b=ά, (http://shop.gr)."
LOCATIONS = ["https://shop.gr/%CE%BD%CE%AD%CE%B1?a=1&b=%CE%AC", "http://shop.gr"]


@pytest.mark.parametrize(
    ("agent", "purpose", "sent_seconds", "expected"),
    [
        (PERSON, "", 60, False),
        (PERSON, "", None, False),
        (PERSON, "", 2, True),
        (PERSON, "head", 60, True),
        (PERSON, "prefetch;prerender", 60, True),
        ("", "", 60, True),
        ("curl/8.0", "", 60, True),
        ("WhatsApp/2.23 A", "", 60, True),
        ("Mozilla/5.0 (compatible; Googlebot/2.1)", "", 60, True),
        ("Mozilla/5.0 (Macintosh) facebookexternalhit/1.1 Facebot Twitterbot/1.0", "", 60, True),
        (
            "Mozilla/5.0 (Linux; Android 10; CUBOT X30) AppleWebKit/537.36 Safari/537.36",
            "",
            60,
            False,
        ),
    ],
)
def test_a_machine_is_told_from_a_person(agent: str, purpose: str, sent_seconds: float | None, expected: bool) -> None:
    assert machines.is_machine(agent, purpose, sent_seconds) is expected


def test_a_link_ends_where_its_sentence_goes_on() -> None:
    text = compile_text(TEXT, "http://s", track_links=True)
    assert tracked_links(TEXT) == ["https://shop.gr/νέα?a=1&b=ά", "http://shop.gr"]
    rendered = text.render(["Μαρία", ""], "c" * 11)
    assert rendered == f"Γεια Μαρία: http://s/l/{'c' * 11}, (http://s/l/{'c' * 11}2).\nhttp://s/u/{'c' * 11}"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("https://shop.gr/{{first_name}}", "merge_field"),
        ("https://shop.gr/?{{first_name}}", "merge_field"),
        ("https://user:word@shop.gr/", "link"),
        ("https://[::1", "link"),
        ("http://shop.gr:99999/", "link"),
        (f"https://{'a' * 64}.gr", "link"),
        ("https://a.gr " * 10, "links"),
    ],
)
def test_what_can_not_be_counted_is_refused(text: str, field: str) -> None:
    with pytest.raises(TextInvalid) as raised:
        compile_text(text, track_links=True)
    assert field in raised.value.metadata
    compile_text(text)


@given(
    st.lists(st.sampled_from(["https://a.gr/x", "http://β.gr", "{{first_name|https://no.gr}}", " ", ".", "α", "\n"]))
)
def test_the_links_that_are_placed_are_those_that_are_led_to(parts: list[str]) -> None:
    source = "x" + "".join(parts)
    try:
        text = compile_text(source, "http://s", track_links=True)
    except TextInvalid:
        return
    rendered = text.render([""] * len(text.fields), PLACEHOLDER)
    links = tracked_links(source)
    assert rendered.count("http://s/l/") == len(links)
    for number in range(1, len(links) + 1):
        assert f"/l/{PLACEHOLDER}{short_links.suffix(number)}" in rendered
        assert short_links.location(links[number - 1]).isascii()


@given(st.text(max_size=14))
def test_whatever_comes_as_a_code_has_a_number_or_none(code: str) -> None:
    assert 0 <= short_links.parted(code)[1] <= short_links.LINKS_MAX


@pytest.fixture(scope="module")
async def tracking_mesh(mesh: TestMesh) -> AsyncIterator[TestMesh]:
    async with mesh.with_settings("wallet", welcome_credits=100, welcome_plan="starter"):
        yield mesh


@pytest.fixture
async def tracked(tracking_mesh: TestMesh) -> tuple[Shop, str, list[str]]:
    """A shop, its campaign to two people, and the codes of their links."""
    shop = await registered(tracking_mesh, sender_name="Cafe", time_zone="Europe/Athens")
    for phone in ("+306911111111", "+306911111112"):
        await shop.contact(phone, first_name="Μαρία")
    campaign = await shop.campaign(text=TEXT, track_links=True)
    quote = await shop.do("QuoteCampaign", campaign.id)
    await shop.do("SendCampaign", campaign.id)
    batch = await sending(shop, campaign.id)
    assert quote.credits == sum(recipient.credits for recipient in batch.recipients)
    codes = [recipient.text.split("/l/")[1][:11] for recipient in batch.recipients]
    for sample, recipient, code in zip(quote.sample, batch.recipients, codes, strict=True):
        assert sample.rendering.text.replace(PLACEHOLDER, code) == recipient.text
    await age(shop, campaign.id)
    return shop, campaign.id, codes


async def follow(shop: Shop, code: str, **client: str) -> str:
    answer = await opened(shop, ShortLinksServiceStub, "FollowLink", FollowLinkRequest(code=code), **client)
    return str(answer.location)


async def ask(shop: Shop, method: str, request: Any) -> Any:
    return await shop.call(ResultsServiceStub, method, request)


async def test_clicks_of_people_and_machines_are_counted_apart(tracked: tuple[Shop, str, list[str]]) -> None:
    shop, campaign_id, (code, other) = tracked
    assert await asyncio.gather(*(follow(shop, code) for _ in range(5))) == [LOCATIONS[0]] * 5
    assert await follow(shop, f"{code}2") == LOCATIONS[1]
    assert await follow(shop, f"{other}2") == LOCATIONS[1]
    assert await follow(shop, other, agent="curl/8.0") == LOCATIONS[0]
    assert await follow(shop, other, purpose="head") == LOCATIONS[0]
    await age(shop, campaign_id, seconds=0)
    assert await follow(shop, other) == LOCATIONS[0]
    report = await shop.do("GetReport", campaign_id)
    assert (report.clicks, report.clickers, report.machine_clicks, report.views) == (7, 2, 3, 0)
    assert [(each.number, each.url, each.clicks, each.clickers, each.machine_clicks) for each in report.links] == [
        (1, "https://shop.gr/νέα?a=1&b=ά", 5, 1, 3),
        (2, "http://shop.gr", 2, 2, 0),
    ]
    page = await ask(shop, "ListResponses", ListResponsesRequest(id=campaign_id, kind=Response.CLICKED))
    assert [each.clicks for each in page.responses] == [6, 1]
    assert all(each.click_time.seconds for each in page.responses)
    redeemed = ListResponsesRequest(id=campaign_id, kind=Response.REDEEMED)
    assert not (await ask(shop, "ListResponses", redeemed)).responses


async def test_a_code_that_no_text_holds_leads_nowhere(tracked: tuple[Shop, str, list[str]]) -> None:
    shop, _, (code, _) = tracked
    for wrong in (f"{code}3", f"{code}1", f"{code}0", f"{code}22", code[:-1], "0" * 11, "Ω" * 11):
        assert (await refusal(follow(shop, wrong)))[0] == "LINK_NOT_FOUND"
    plain = await shop.campaign(text=TEXT)
    await shop.do("SendCampaign", plain.id)
    text = (await sending(shop, plain.id)).recipients[0].text
    assert "https://shop.gr/νέα" in text
    assert (await refusal(follow(shop, text[-11:])))[0] == "LINK_NOT_FOUND"


async def test_what_readers_do_is_in_the_timeline_and_on_the_dashboard_once(
    tracked: tuple[Shop, str, list[str]],
) -> None:
    shop, campaign_id, (code, other) = tracked
    for each in (code, code, other):
        await follow(shop, each)
    async with asyncio.timeout(20):
        while not (dashboard := await ask(shop, "GetDashboard", GetDashboardRequest(days=2))).total.clicks:
            await asyncio.sleep(0.1)
    await follow(shop, code)
    async with asyncio.timeout(20):
        while (dashboard := await ask(shop, "GetDashboard", GetDashboardRequest(days=2))).total.clicks == 3:
            await asyncio.sleep(0.1)
    assert (dashboard.total.clicks, dashboard.total.clickers, dashboard.time_zone) == (4, 2, "Europe/Athens")
    assert (dashboard.campaigns, dashboard.running_campaigns, dashboard.previous.clicks) == (1, 1, 0)
    assert [each.activity.clicks for each in dashboard.days][-1] in (4, 3, 1)
    timeline = (await shop.do("GetReport", campaign_id)).timeline
    assert sum(each.activity.clicks for each in timeline) == 4
    assert all(each.start_time.seconds % 900 == 0 for each in timeline)
    for days in (-1, 93):
        assert (await refusal(ask(shop, "GetDashboard", GetDashboardRequest(days=days))))[0] == "DAYS_INVALID"


def test_days_are_the_merchants_also_where_they_have_23_hours() -> None:
    now = datetime(2026, 3, 29, 21, 30, tzinfo=UTC)
    starts = day_starts(1, now, "Europe/Athens")
    assert [(str(day), start.isoformat()) for day, start in starts] == [
        ("2026-03-29", "2026-03-28T22:00:00+00:00"),
        ("2026-03-30", "2026-03-29T21:00:00+00:00"),
    ]
    assert len(day_starts(0, now, "")) == 60
