"""Rows that carry the number of their order, a page at a time, newest first."""

from typing import Any, TypeVar

from google.protobuf.message import Message
from sqlalchemy import Row, Select, Table

Shown = TypeVar("Shown", bound=Message)


def page(query: Select[Any], table: Table, merchant_id: str, after: int | None, limit: int) -> Select[Any]:
    query = query.where(table.c.merchant_id == merchant_id).order_by(table.c.number.desc()).limit(limit)
    return query if after is None else query.where(table.c.number < after)


def message(cls: type[Shown], row: Row[Any]) -> tuple[int, Shown]:
    values = dict(row._mapping)
    return values.pop("number"), cls(**values)
