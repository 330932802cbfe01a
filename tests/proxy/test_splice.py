"""Bodies are cut only where a value is replaced; what is not read beyond doubt is refused."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.proxy.splice import Body, Replacement, Unreadable, Value, quoted

ODD = (
    '{ "model" :"m",\t"n":1.0, "big":123456789012345678901234567890, "e":-0.5E+10,\r\n'
    '"text":"\\u00e9\\u00E9é\\/ \\ud800 \\"", "o":{"a":[ ],"b":{ }}, "t":true,"f":[false,null]}\n'
)


def values(value: Value) -> list[Value]:
    inner = [*(value.members or {}).values(), *(value.items or [])]
    return [value, *(deep for one in inner for deep in values(one))]


def test_nothing_replaced_gives_the_same_bytes() -> None:
    assert Body.read(ODD.encode()).spliced([]) == ODD.encode()


def test_every_value_stands_where_it_is_said_to_stand() -> None:
    body = Body.read(ODD.encode())
    for value in values(body.root):
        assert json.loads(body.raw(value)) is not Ellipsis
        if value.text is not None:
            assert json.loads(body.raw(value)) == value.text
    assert body.root.words("text") == 'éée/ \ud800 "'.replace("e/", "é/") and body.raw(body.root.members["n"]) == "1.0"


def test_only_what_is_replaced_changes() -> None:
    body = Body.read(ODD.encode())
    found = body.root.at("o", "a")
    assert found is not None
    new = body.spliced([Replacement(found.start, found.end, '"in its place"')]).decode()
    assert new == ODD.replace("[ ]", '"in its place"')


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.recursive(PLAIN,
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30),
       st.randoms(use_true_random=False))  # fmt: skip
def test_any_value_of_any_body_can_be_replaced(value: object, rng: random.Random) -> None:
    text = json.dumps({"it": value}, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1]))
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        text = json.dumps({"it": value})
    body = Body.read(text.encode())
    one = rng.choice(values(body.root)[1:])
    new = body.spliced([Replacement(one.start, one.end, "0")]).decode()
    assert new == text[: one.start] + "0" + text[one.end :] and json.loads(new) is not None


@pytest.mark.parametrize("bad", [
    b"", b" ", b"{", b"}", b"[1]", b"3", b'"x"', b"null", b'{"a":1,}', b'{"a" 1}', b"{'a':1}", b'{"a":01}',
    b'{"a":NaN}', b'{"a":Infinity}', b'{"a":.5}', b'{"a":1.}', b'{"a":+1}', b'{"a":tru}', b'{"a":[1,]}', b'{"a":[1 2]}',
    b'{"a":"\n"}', b'{"a":"\\x"}', b'{"a":"\\u12"}', b'{"a":"open', b'{"a":1}{"b":2}', b'{"a":1}x',
    b'\xef\xbb\xbf{"a":1}', b'{"a":"\xff"}',
    b'{"a":"\xed\xa0\x80"}', b'{"a":1,"a":2}', b'{"a":{"b":1,"\\u0062":2}}', b"\x00", b'{"a":1}\x00', b'{a:1}',
    b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", b'{"a":' + b"[" * 100_000, "{\"a\":\u00a01}".encode(), b'{"a":1e}',
])  # fmt: skip
def test_what_is_not_beyond_doubt_is_refused_without_content(bad: bytes) -> None:
    with pytest.raises(Unreadable) as error:
        Body.read(bad)
    assert len(str(error.value)) < 60


def test_what_python_would_refuse_by_size_is_read() -> None:
    assert Body.read(b'{"a":' + b"9" * 10_000 + b"}").root.at("a") is not None


def test_replacements_that_overlap_are_a_mistake() -> None:
    body = Body.read(b'{"a":[1,2]}')
    for wrong in ([Replacement(5, 10, ""), Replacement(6, 7, "")], [Replacement(5, 99, "")], [Replacement(7, 6, "")]):
        with pytest.raises(ValueError, match="overlap"):
            body.spliced(wrong)


def test_a_text_is_quoted_so_that_it_reads_back() -> None:
    for text in ('"\\\n\x00', "é\u2028", "\ud800 alone"):
        assert json.loads(quoted(text)) == text


def test_a_body_of_too_many_values_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microfiche.proxy.splice.VALUES", 20)
    assert Body.read(b'{"a":[' + b"1," * 17 + b"1]}").root.each("a")
    for many in (b'{"a":[' + b"1," * 18 + b"1]}", b"{" + b",".join(b'"%d":[]' % n for n in range(20)) + b"}"):
        with pytest.raises(Unreadable, match="more than 20 values"):
            Body.read(many)
