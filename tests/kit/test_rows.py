"""Rows become messages, whichever way they are asked for."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import DateTime

from kit.rows import _processor


@given(st.datetimes(timezones=st.sampled_from([UTC])))
def test_a_time_is_what_protobuf_makes_of_it(time: datetime) -> None:
    expected = Timestamp()
    expected.FromDatetime(time)
    processor = _processor(DateTime(timezone=True))
    assert processor is not None
    assert processor(time) == expected
    assert processor(None) is None
