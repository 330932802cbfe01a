"""Anything that JSON can hold is a message or is refused in one line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.errors import InputError
from microfiche.memory.messages import Message, message_of, moment, written

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["type", "text", "content", "function", "name", "arguments", "input", "role"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.fixed_dictionaries({"role": JSON}, optional={"content": JSON, "time": JSON, "tool_calls": JSON}) | JSON)
def test_any_json_is_a_message_or_refused_in_one_line(value: Any) -> None:
    try:
        assert written(message_of(value)).startswith("[")
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) < 300


@given(st.floats() | st.integers())
def test_a_time_is_one_that_can_be_written_or_refused(seconds: float) -> None:
    try:
        assert moment(seconds) == float(seconds)
    except InputError:
        first, last = datetime(1, 1, 1, tzinfo=UTC).timestamp(), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
        assert not first <= seconds <= last.timestamp()


@given(st.datetimes(), st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
def test_a_date_of_any_zone_is_one_too(when: datetime, offset: timedelta) -> None:
    sign, minutes = ("-" if offset < timedelta(0) else "+"), abs(offset) // timedelta(minutes=1)
    try:
        assert moment(f"{when.isoformat()}{sign}{minutes // 60:02}:{minutes % 60:02}") is not None
    except InputError:
        assert when.year in (1, 9999)


@pytest.mark.parametrize("time", [True, "", "soon", [], float("nan"), float("inf"), 10**400, -99999999999, 1.7e12])
def test_what_is_no_time_is_refused_wherever_it_comes_from(time: Any) -> None:
    for given_ in ({"role": "user", "content": "x", "time": time}, Message("user", "x", time)):
        with pytest.raises(InputError, match=r"a message's time is .*: give seconds since 1970 or an ISO date"):
            message_of(given_)


@pytest.mark.parametrize("part", [
    lambda inner: {"type": "tool_result", "content": [inner]},
    lambda inner: {"type": "tool_use", "input": inner},
    lambda inner: [inner],
])  # fmt: skip
def test_what_is_nested_too_deeply_is_refused(part: Any) -> None:
    nested: Any = "x"
    for _ in range(100_000):
        nested = part(nested)
    for given_ in ({"role": "user", "content": [nested]}, {"role": nested}):
        with pytest.raises(InputError, match=r"nested too deeply|needs a role"):
            message_of(given_)
