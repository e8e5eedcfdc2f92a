"""Rows become messages, whichever way they are asked for."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import DateTime, column, delete, select, table, text

from kit.rows import _processor, one_of
from services.sender.store import SenderStore
from tests.conftest import TestMesh
from tests.sender import books


@given(st.datetimes(timezones=st.sampled_from([UTC])))
def test_a_time_is_what_protobuf_makes_of_it(time: datetime) -> None:
    expected = Timestamp()
    expected.FromDatetime(time)
    processor = _processor(DateTime(timezone=True))
    assert processor is not None
    assert processor(time) == expected
    assert processor(None) is None


async def test_a_limit_holds_with_the_plan_that_asks_for_each_row(mesh: TestMesh) -> None:
    number = column("number")
    numbers = table("numbers", number)
    taken = select(number).select_from(numbers).order_by(number).limit(2).with_for_update(skip_locked=True)
    database = books.database(mesh)
    async with SenderStore.open_pipeline(database) as store:
        await store.connection.execute(
            text("CREATE TEMP TABLE numbers ON COMMIT DROP AS SELECT generate_series(1, 9) number")
        )
        for other in ("hashjoin", "mergejoin", "hashagg", "material", "sort"):
            await store.connection.execute(text(f"SET LOCAL enable_{other} = off"))
        dropped = delete(numbers).where(one_of(number, taken)).returning(number)
        assert sorted((await store.connection.execute(dropped)).scalars()) == [1, 2]
    await database.close()
