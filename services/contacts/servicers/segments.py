"""The RPCs of the segments."""

from datetime import UTC, datetime

from google.protobuf.empty_pb2 import Empty

from astronote.contacts.v1 import segments_pb2 as pb
from astronote.contacts.v1 import segments_pb2_grpc as rpc
from kit import caller, pages, rows
from kit.interceptors import Context
from kit.store import Database
from services.contacts import fields, rules
from services.contacts.errors import SegmentInvalid
from services.contacts.segments import SYSTEM
from services.contacts.selecting import Selections
from services.contacts.store import ContactsStore

WRITABLE = frozenset({"name", "rule"})


class Segments(rpc.SegmentsServiceServicer):
    def __init__(self, database: Database, selections: Selections) -> None:
        self._database, self._selections = database, selections

    async def CreateSegment(self, request: pb.CreateSegmentRequest, context: Context) -> pb.Segment:
        _check(request.segment, sorted(WRITABLE))
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            await store.check_lists(rules.lists(request.segment.rule, "segment.rule"))
            return await store.create_segment(request.segment)

    async def GetSegment(self, request: pb.GetSegmentRequest, context: Context) -> pb.Segment:
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            return await store.segment(request.id)

    async def ListSegments(self, request: pb.ListSegmentsRequest, context: Context) -> pb.ListSegmentsResponse:
        limit, after = pages.size(request.page_size), pages.after(request.page_token, pages.uuid)
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            found = await store.segment_page(after, limit)
        token = pages.token(found, limit, lambda each: each.id)
        ours = [] if after else SYSTEM.values()
        return pb.ListSegmentsResponse(segments=[*ours, *found], next_page_token=token)

    async def UpdateSegment(self, request: pb.UpdateSegmentRequest, context: Context) -> pb.Segment:
        paths = rows.paths(request.update_mask, request.segment, WRITABLE)
        _check(request.segment, paths)
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            if "rule" in paths:
                await store.check_lists(rules.lists(request.segment.rule, "segment.rule"))
            return await store.update_segment(request.segment, paths)

    async def DeleteSegment(self, request: pb.DeleteSegmentRequest, context: Context) -> Empty:
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            await store.delete_segment(request.id)
        return Empty()

    async def CountSegment(self, request: pb.CountSegmentRequest, context: Context) -> pb.CountSegmentResponse:
        selection = await self._selections.of_segment(request.id, caller.merchant_id(), datetime.now(UTC))
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            return pb.CountSegmentResponse(count=await store.count_selected(selection))


def _check(segment: pb.Segment, paths: list[str]) -> None:
    """Refuses `SegmentInvalid`, `RuleInvalid`. Leaves the name in the form in which it is stored."""
    if "name" in paths:
        try:
            segment.name = fields.name(segment.name)
        except fields.Wrong as wrong:
            raise SegmentInvalid(field="segment.name", problem=wrong.problem) from wrong
        if not segment.name:
            raise SegmentInvalid(field="segment.name", problem=fields.INVALID)
    if "rule" in paths:
        rules.check(segment.rule, "segment.rule")
