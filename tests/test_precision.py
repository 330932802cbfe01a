"""Token counts are those of the tokenizer itself, to the token, whatever a text holds."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microfiche.precision import _bytes_as_characters, _tokenizer, text_tokens

CODE = "def f(x_1):\n\treturn  x_1 ** 2  # ≤ 100%\n\n\nif 12345 != 0x1F: print('ok')\r\n" * 3
SIGNS = st.characters(max_codepoint=0x2FFF, exclude_categories=["Cs", "Cc", "Cn"]) | st.sampled_from("\n\r\t  12.,'_aZ")


def counted(text: str) -> int:
    return len(_tokenizer().encode(text, add_special_tokens=False).ids)


@settings(max_examples=300, deadline=None)
@given(st.text(SIGNS, max_size=60) | st.text(max_size=40))
def test_any_text(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    assert text_tokens(text) == counted(text)


@settings(max_examples=300, deadline=None)
@given(st.text("aZé\u0301ж12٣(){}._-“≤ \t\f\n\r\u00a0\u3000中文字的，。あアー한", max_size=200))
def test_signs_blanks_and_letters_in_any_order(text: str) -> None:
    assert text_tokens(text) == counted(text)


def test_runs_of_chinese_and_kana() -> None:
    chance = random.Random(0)
    signs = [chr(code) for code in [*range(0x4E00, 0x9FA6), *range(0x3040, 0x3100)]]
    common = "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后"
    for _ in range(200):
        text = "".join(chance.choice(signs if chance.random() < 0.3 else common) for _ in range(100))
        assert text_tokens(text) == counted(text)


def test_no_token_of_chinese_or_kana_is_split() -> None:
    byte_of = {character: byte for byte, character in enumerate(_bytes_as_characters())}
    found = 0
    for token in _tokenizer().get_vocab(with_added_tokens=False):
        if byte_of.keys() >= set(token):
            whole = bytes(map(byte_of.__getitem__, token)).decode("utf-8", "replace").strip("\ufffd")
            if len(whole) > 1 and all("\u4e00" <= sign <= "\u9fa5" for sign in whole):
                assert text_tokens(whole) == counted(whole)
                found += 1
    assert found > 20_000


@settings(max_examples=300, deadline=None)
@given(st.text("  \t\n\n\r\u00a0a(1\u4e2d", max_size=80))
def test_blanks_at_the_ends_and_beginnings_of_lines(text: str) -> None:
    assert text_tokens(text) == counted(text)


def test_every_token_is_one_as_a_word() -> None:
    model = _tokenizer().model
    letters = set(_bytes_as_characters())
    words = [token for token in _tokenizer().get_vocab(with_added_tokens=False) if letters.issuperset(token)]
    assert len(words) > 100_000 and all(len(model.tokenize(word)) == 1 for word in words)


@pytest.mark.parametrize(
    "text",
    ["", " ", CODE, "<think>a</think> <|EOT|> <dsml: x", "Zażółć gęślą jaźń. Ελληνικά, русский — “quoted”… 12345678 €",
     "微縮膠片 and words", "a\x00b\x0bc", "\u00ad soft",
     (Path(__file__).parent.parent / "examples/alice-1.txt").read_text()],
)  # fmt: skip
def test_texts_of_every_kind(text: str) -> None:
    assert text_tokens(text) == counted(text)
