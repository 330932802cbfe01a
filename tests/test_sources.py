"""Text files come in as text: decoded strictly, composed, without a byte order mark, in pieces of any size."""

from __future__ import annotations

import codecs
import encodings
import pkgutil
import re
from itertools import accumulate
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microfiche import sources as module
from microfiche.errors import InputError, UsageError
from microfiche.sources import UPON, Source, composed, composed_with_places, decoded, plainly, sources
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import DENSITIES

ENCODINGS = sorted(found.name for found in pkgutil.iter_modules(encodings.__path__) if found.name != "aliases")


def read(data: bytes, encoding: str = "utf-8") -> str:
    return "".join(Source("it", data, encoding).chunks())


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), min_size=1), st.integers(1, 7))
def test_a_text_comes_in_composed_however_it_is_cut(text: str, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", size)
        for form in ("NFC", "NFD"):
            assert read(normalize(form, text).encode()) == normalize("NFC", text)


@pytest.mark.parametrize("text", ["U\u0308ber cafe\u0301", "\u1112\u1161\u11ab", "a\u0323\u0307", "\u0915\u093c"])
def test_letters_and_their_marks_are_one_character_where_there_is_one(text: str) -> None:
    assert read(text.encode()) == normalize("NFC", text)


@pytest.mark.parametrize("at", [0, 1, 4094, 4095, 4096, 4097, 9000, 9999])
@pytest.mark.parametrize("filler", ["\u00e9", "\n", "\u00e9" * 700 + "\n"])
def test_a_mark_is_composed_wherever_it_stands(filler: str, at: int) -> None:
    text = (filler * 10_000)[:10_000]
    text = f"{text[:at]}e\u0301\n\u0301{text[at:]}"
    assert composed(text) == composed_with_places(text)[0] == normalize("NFC", text)


@given(st.text() | st.text("ae\u0301\u0323\u0344\u1100\u1161\u11a8\r\n \uac00"))
def test_what_is_composed_has_its_places_in_the_text(text: str) -> None:
    made, places = composed_with_places(text)
    assert made == composed(text)
    if places is None:
        assert made == text
    else:
        assert len(places) == len(made) + 1 and places[0] == 0 and places[-1] == len(text)
        assert (np.diff(places) >= 0).all()
        for i, sign in enumerate(made):
            if i == 0 or (places[i - 1] < places[i] < places[i + 1]):
                assert sign == text[places[i]] or normalize("NFC", text[places[i] : places[i + 1]]).startswith(sign)


@given(st.text("aO\n\uac00\u1112\u1161\u11ab\u0301\u0323\u0327\U000e0100"), st.integers(UPON - 1, UPON + 2))
def test_each_letter_is_composed_with_its_own_marks(text: str, many: int) -> None:
    marks = "\u1161\u11ab\u0301\u0323\u0327\U000e0100"
    text += "O\u0323" + (many - 1) * "\u0301"
    letters = re.findall(f"[^{marks}][{marks}]*|[{marks}]+", text)
    made = [min(one, normalize("NFC", one), key=len) if one[0] not in marks and len(one) <= UPON + 1 else one
            for one in letters]
    whole, places = composed_with_places(text)
    assert whole == composed(text) == "".join(made)
    if places is not None:
        assert set(accumulate(map(len, letters))) <= set(places.tolist())


@pytest.mark.parametrize("density", list(DENSITIES))
def test_nothing_that_can_be_drawn_is_changed_by_it(density: str) -> None:
    characters = atlas(DENSITIES[density]).characters
    assert normalize("NFC", characters) == characters


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("size", [1, 3, 1 << 20])
def test_a_byte_order_mark_is_no_text(encoding: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", size)
    bare = "utf-8" if encoding.startswith("utf-8") else encoding
    data = ("" if encoding in ("utf-16", "utf-32") else "\ufeff").encode(bare) + "text\ufeff".encode(bare)
    assert read(data, encoding) == "text\ufeff", "one that stands elsewhere is a character"
    with pytest.raises(InputError, match="empty"):
        read("".encode(bare) if encoding in ("utf-16", "utf-32") else "\ufeff".encode(bare), encoding)


def test_a_byte_order_mark_does_not_shift_what_is_said_of_a_byte() -> None:
    with pytest.raises(InputError, match="not utf-8 at byte 5"):
        read(codecs.BOM_UTF8 + b"ab\xff")
    with pytest.raises(InputError, match="not UTF-8 at byte 5"):
        decoded("it", codecs.BOM_UTF8 + b"ab\xff")
    assert decoded("it", codecs.BOM_UTF8 + b"ab") == "ab"


@pytest.mark.parametrize("name", ["rot13", "hex", "base64", "zlib", "quopri", "uu", "undefined", "no\0ne", "\udcff"])
def test_what_is_no_encoding_of_text_is_refused_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"text")
    with pytest.raises(UsageError, match="is not an encoding of text"):
        sources([str(tmp_path / "a.txt")], name)


@settings(max_examples=400)
@given(st.sampled_from(ENCODINGS), st.binary(max_size=60) | st.text(max_size=20).map(lambda text: text.encode()))
@pytest.mark.filterwarnings("ignore:invalid:DeprecationWarning")
def test_any_bytes_in_any_encoding_are_text_or_told(encoding: str, data: bytes) -> None:
    try:
        sources([], encoding)
        read(data, encoding)
    except UsageError as error:
        assert repr(encoding) in str(error)
    except InputError as error:
        assert str(error).startswith("it: ") and "\n" not in str(error)


@pytest.mark.parametrize("text", ["K\u212a \u2126 \uf90a", "\u037e\u2329", "\u05e9\u05c1\u05bc", "\ufb2a"])
def test_a_sign_that_no_mark_is_upon_stays_as_it_is(text: str) -> None:
    assert read(text.encode()) == text


def test_letters_beneath_any_number_of_marks_come_in_at_once() -> None:
    text = "a" + "\u0301\u0323" * 250_000
    assert read(text.encode()) == text


@pytest.mark.parametrize("encoding", ["punycode", "idna", "PUNYCODE"])
def test_encodings_of_names_are_none_of_text(encoding: str) -> None:
    with pytest.raises(UsageError, match="is not an encoding of text"):
        sources(["x"], encoding)


def test_an_empty_name_is_not_the_current_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="'': no such file"):
        sources([""])
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match="-: standard input is closed"):
        sources(["-"])


def test_each_character_is_told_plainly_and_marks_stay_in_their_order() -> None:
    """However many stand upon a letter."""
    assert plainly("ｆ７ﬁ² e") == "f7fi2 e"
    for marks in ("\u0301\u0323" * 50_000, "\u0301" * 50_000 + "\u0323" * 50_000):
        assert plainly(f"a{marks}") == f"a{marks}"
