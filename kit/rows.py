"""Rows in, messages out: the one mapping between PostgreSQL and protobuf.

A table's columns carry the names of the message's fields, and the column's type is the codec (`EnumName`,
`Uuid(as_uuid=False)`), so a row *is* the keyword arguments of its message. A renamed field fails loudly.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

import psycopg
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Column, ColumnElement, Dialect, Row, Select, Table, TextualSelect, func, types
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.psycopg import dialect_async

from kit.errors import DomainError, InvalidArgument

#: psycopg's connection, as the stores have it.
Driver: TypeAlias = "psycopg.AsyncConnection[tuple[Any, ...]]"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DIALECT = dialect_async()  # type: ignore[no-untyped-call]
# A row of whatever columns.
AnyRow: TypeAlias = Row[*tuple[Any, ...]]
Shown = TypeVar("Shown", bound=Message)


class MaskInvalid(InvalidArgument):
    """The mask names a field that there is not, or that only the server may set."""


class EnumName(types.TypeDecorator[int]):
    """Stores a proto enum as its readable name (`SUBSCRIBED`), never as a bare number."""

    impl, cache_ok = types.Text, True

    def __init__(self, enum: Any) -> None:
        super().__init__()
        self.enum = enum
        self.numbers: dict[str | None, int | None] = {None: None, **dict(enum.items())}

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        return None if value is None else self.enum.Name(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> int | None:
        return self.numbers[value]


class MessageJson(types.TypeDecorator[Message]):
    """Stores a nested message as its JSON, so that an operator can read it."""

    impl, cache_ok = JSONB, True

    def __init__(self, message: type[Message]) -> None:
        super().__init__(none_as_null=True)
        self.message = message

    def process_bind_param(self, value: Message | None, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else json_format.MessageToDict(value)

    def process_result_value(self, value: dict[str, Any] | None, dialect: Dialect) -> Message | None:
        return None if value is None else json_format.ParseDict(value, self.message())


class DateText(types.TypeDecorator[str]):
    """Shows a date as `YYYY-MM-DD`, none as the empty text."""

    impl, cache_ok = types.Date, True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> date | None:
        return date.fromisoformat(value) if value else None

    def process_result_value(self, value: date | None, dialect: Dialect) -> str:
        return value.isoformat() if value else ""


def uuid(text: str, refusal: type[DomainError]) -> str:
    """The text as a UUID; what is none names nothing that exists."""
    try:
        return str(UUID(text))
    except ValueError as error:
        raise refusal(id=text[:100]) from error


def is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def columns(message: type[Message], table: Table) -> list[Column[Any]]:
    """Columns of the table that the message shows; the rest stay private to the service."""
    return [table.c[name] for name in message.DESCRIPTOR.fields_by_name if name in table.c]


def one_of(column: Column[Any], taken: Select[Any]) -> ColumnElement[bool]:
    """Whether the column is one of those that a query with a LIMIT takes, and locks. As an array: what stands in an IN
    may be run again for each row, by the plan, and would find and lock the next ones each time.
    """
    return column == func.any(func.array(taken.scalar_subquery()))


def message(cls: type[Shown], row: AnyRow) -> Shown:
    return cls(**row._mapping)


# The merchant is set before a row is looked at, whatever the plan: the query depends on what was set, and PostgreSQL
# moves nothing out of a subquery that has an OFFSET.
_ALONE = """
SELECT answer.* FROM (SELECT set_config('astronote.merchant_id', %(merchant_id)s, true) AS id) AS tenant
CROSS JOIN LATERAL ({} OFFSET 0) AS answer
"""


class Reading(Generic[Shown]):
    """A statement whose rows are messages, compiled once and run by the driver, for what is asked all the time:
    SQLAlchemy's execution of a small query costs three times what the query does (docs/performance.md).

    Values are bound by name, `bindparam("id")`, and converted as their columns' types say. A query is of the
    `merchant_id` among them, and says so to the database itself: it may be a transaction of its own (`Store.read`).
    """

    def __init__(self, cls: type[Shown], query: Select[Any] | TextualSelect) -> None:
        compiled: Any = query.compile(dialect=DIALECT)
        text = str(compiled)
        if isinstance(query, Select):
            text = _ALONE.format(text.replace("%(merchant_id)s", "tenant.id"))
        self._cls, self._text, self._binds = cls, text.encode(), compiled._bind_processors
        self._names = [column.name for column in query.exported_columns]
        processors = ((column.name, _processor(column.type)) for column in query.exported_columns)
        self._processors = [(name, processor) for name, processor in processors if processor]

    async def messages(self, driver: Driver, **values: Any) -> list[Shown]:
        values |= {name: bind(values[name]) for name, bind in self._binds.items()}
        cursor = await driver.execute(self._text, values)
        return [self._message(row) for row in await cursor.fetchall()]

    def _message(self, row: tuple[Any, ...]) -> Shown:
        named = dict(zip(self._names, row, strict=True))
        for name, processor in self._processors:
            named[name] = processor(named[name])
        return self._cls(**named)


def _processor(kind: types.TypeEngine[Any]) -> Callable[[Any], Any] | None:
    """None where the driver's value is the message's already."""
    if isinstance(kind, types.DateTime):
        return _timestamp
    if isinstance(kind, EnumName):
        return kind.numbers.__getitem__
    if isinstance(kind, types.Uuid) or (isinstance(kind, types.ARRAY) and isinstance(kind.item_type, types.Text)):
        return None
    return kind.dialect_impl(DIALECT).result_processor(DIALECT, None)


def _timestamp(time: datetime | None) -> Timestamp | None:
    """As protobuf makes it of a `datetime` itself, in a quarter of the time."""
    if time is None:
        return None
    since = time - EPOCH
    return Timestamp(seconds=since.days * 86400 + since.seconds, nanos=since.microseconds * 1000)


def values(message: Message, table: Table, paths: list[str] | None = None) -> dict[str, Any]:
    """Column values of the named fields; of every field that the table has a column for when none is named."""
    names = paths if paths is not None else [name for name in message.DESCRIPTOR.fields_by_name if name in table.c]
    return {name: _plain(message, name) for name in names}


def paths(mask: FieldMask, resource: Message, writable: frozenset[str]) -> list[str]:
    """The fields that an update names: those of the mask, or those that are set where there is no mask.

    Refuses `MaskInvalid`.
    """
    named = list(mask.paths) or [field.name for field, _ in resource.ListFields() if field.name != "id"]
    named = ["" if path == "" else path.split(".")[0] for path in named]
    for path in named:
        if path not in writable:
            raise MaskInvalid(field=path, writable=",".join(sorted(writable)))
    return sorted(set(named))


def _plain(message: Message, name: str) -> Any:
    field, value = message.DESCRIPTOR.fields_by_name[name], getattr(message, name)
    if field.has_presence and not message.HasField(name):
        return None
    if isinstance(value, Timestamp):
        return value.ToDatetime(tzinfo=UTC)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict(value)
    return list(value) if field.is_repeated else value
