"""From an audience as it is written to a selection that can be asked: its segments, lists and day looked up."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from astronote.contacts.v1.audience_pb2 import Audience, Rule
from kit.store import Database
from services.contacts import rules
from services.contacts.countries import Countries
from services.contacts.errors import AudienceInvalid
from services.contacts.rules import Moment, Selection
from services.contacts.store import ContactsStore

LISTS_MAX = 50
SEGMENTS_MAX = 20
UTC = ZoneInfo("UTC")


class Selections:
    """Asks the book for what an audience names, and accounts for the time zone where a rule needs the day."""

    def __init__(self, database: Database, countries: Countries) -> None:
        self._database, self._countries = database, countries

    async def of_audience(self, audience: Audience, merchant_id: str, time: datetime) -> Selection:
        """Refuses `AudienceInvalid`, `RuleInvalid`, `ListNotFound`, `SegmentNotFound`, `AccountsUnavailable`."""
        check(audience)
        async with ContactsStore.open(self._database, merchant_id) as store:
            rule = audience.rule if audience.HasField("rule") else None
            if audience.segment_id:
                rule = (await store.segment(audience.segment_id, "audience.segment_id")).rule
            excluded = [
                (await store.segment(id, f"audience.exclude_segment_ids[{index}]")).rule
                for index, id in enumerate(audience.exclude_segment_ids)
            ]
            await store.check_lists(_lists(audience, [rule] if rule else [], excluded))
        return Selection(
            moment=await self._moment([*([rule] if rule else []), *excluded], merchant_id, time),
            rule=rule,
            list_ids=tuple(audience.list_ids),
            exclude_list_ids=tuple(audience.exclude_list_ids),
            exclude_rules=tuple(excluded),
        )

    async def of_segment(self, id: str, merchant_id: str, time: datetime) -> Selection:
        """Refuses `SegmentNotFound`, `ListNotFound`, `AccountsUnavailable`."""
        async with ContactsStore.open(self._database, merchant_id) as store:
            rule = (await store.segment(id)).rule
            await store.check_lists(rules.lists(rule, "segment.rule"))
        return Selection(moment=await self._moment([rule], merchant_id, time), rule=rule)

    async def _moment(self, asked: Iterable[Rule], merchant_id: str, time: datetime) -> Moment:
        needs_the_day = any(rules.asks_the_day(rule) for rule in asked)
        return Moment(time, ZoneInfo(await self._countries.time_zone(merchant_id)) if needs_the_day else UTC)


def check(audience: Audience) -> None:
    """Refuses `AudienceInvalid`, `RuleInvalid`."""
    selection = audience.WhichOneof("selection")
    named: list[str] = [selection] if selection and getattr(audience, selection) else []
    if audience.list_ids:
        named.append("list_ids")
    if len(named) != 1:
        raise AudienceInvalid(field="audience", names=", ".join(named))
    for name, most in (("list_ids", LISTS_MAX), ("exclude_list_ids", LISTS_MAX), ("exclude_segment_ids", SEGMENTS_MAX)):
        if len(getattr(audience, name)) > most:
            raise AudienceInvalid(field=f"audience.{name}", most=most)
    if audience.HasField("rule"):
        rules.check(audience.rule, "audience.rule")


def _lists(audience: Audience, chosen: list[Rule], excluded: list[Rule]) -> Iterator[tuple[str, str]]:
    """All lists that an audience comes down to, each with the path of what names it."""
    for name in ("list_ids", "exclude_list_ids"):
        for index, id in enumerate(getattr(audience, name)):
            yield f"audience.{name}[{index}]", id
    for rule in chosen:
        yield from rules.lists(rule, "audience.rule" if audience.HasField("rule") else "audience.segment_id.rule")
    for index, rule in enumerate(excluded):
        yield from rules.lists(rule, f"audience.exclude_segment_ids[{index}].rule")
