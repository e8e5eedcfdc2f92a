"""Statements over segments. Ours are in no table."""

from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from astronote.contacts.v1.segments_pb2 import Segment
from kit import rows
from kit.store import Store
from services.contacts.errors import SegmentNameTaken, SegmentNotFound, SegmentReadOnly
from services.contacts.segments import SYSTEM
from services.contacts.tables import segments

SHOWN = rows.columns(Segment, segments)


class SegmentStatements(Store):
    async def create_segment(self, segment: Segment) -> Segment:
        """Refuses `SegmentNameTaken`."""
        values = rows.values(segment, segments, ["name", "rule"]) | {"merchant_id": self.merchant_id}
        return await self._segment_written(insert(segments).values(values), segment)

    async def segment(self, id: str, field: str = "id") -> Segment:
        """One of ours or of the merchant's. Refuses `SegmentNotFound`."""
        if id in SYSTEM:
            return SYSTEM[id]
        row = (await self.connection.execute(select(*SHOWN).where(*self._segment(id, field)))).one_or_none()
        if row is None:
            raise SegmentNotFound(field=field, id=id)
        return rows.message(Segment, row)

    async def segment_page(self, after: str | None, limit: int) -> list[Segment]:
        query = select(*SHOWN).where(segments.c.merchant_id == self.merchant_id)
        if after:
            query = query.where(segments.c.id > after)
        found = await self.connection.execute(query.order_by(segments.c.id).limit(limit))
        return [rows.message(Segment, row) for row in found]

    async def update_segment(self, segment: Segment, paths: list[str]) -> Segment:
        """Refuses `SegmentNameTaken`, `SegmentNotFound`, `SegmentReadOnly`."""
        _check_ours(segment.id)
        values = rows.values(segment, segments, paths) | {"update_time": func.now()}
        statement = update(segments).where(*self._segment(segment.id)).values(values)
        return await self._segment_written(statement, segment)

    async def delete_segment(self, id: str) -> None:
        """Refuses `SegmentNotFound`, `SegmentReadOnly`."""
        _check_ours(id)
        if not (await self.connection.execute(delete(segments).where(*self._segment(id)))).rowcount:
            raise SegmentNotFound(id=id)

    def _segment(self, id: str, field: str = "id") -> tuple[Any, ...]:
        if not rows.is_uuid(id):
            raise SegmentNotFound(field=field, id=id[:100])
        return segments.c.merchant_id == self.merchant_id, segments.c.id == id

    async def _segment_written(self, statement: Any, segment: Segment) -> Segment:
        try:
            row = (await self.connection.execute(statement.returning(*SHOWN))).one_or_none()
        except IntegrityError as error:
            if "segments_name_key" not in str(error.orig):
                raise
            raise SegmentNameTaken(field="segment.name", name=segment.name) from error
        if row is None:
            raise SegmentNotFound(id=segment.id)
        return rows.message(Segment, row)


def _check_ours(id: str) -> None:
    if id in SYSTEM:
        raise SegmentReadOnly(id=id)
