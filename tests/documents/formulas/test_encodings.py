"""What the characters of TeX's fonts are where a file gives only their numbers, and what the names of fonts tell."""

from __future__ import annotations

import numpy as np
import pytest

from microfiche.documents.formulas.encodings import (
    OML,
    OMS,
    OMX,
    alphabet_of,
    decoded,
    encoding_of,
    is_italic,
    is_mathematical,
)
from microfiche.documents.formulas.symbols import latex_of, letter_style, parted, role_of, said


def named(codes: list[int], font: str, unmapped: bool = True) -> str:
    """What characters of a font are, all of which have a shape."""
    given = np.array(codes, np.int64)
    edges = np.tile(np.array([0.0, 1.0, 0.0, 1.0]), (len(codes), 1))
    decoded(given, np.full(len(codes), unmapped), np.zeros(len(codes), np.int64), [font], edges)
    return "".join(map(chr, given.tolist()))


@pytest.mark.parametrize(
    ("codes", "font", "text"),
    [
        ([0x00, 0x12, 0x50, 0x5A, 0x70], "CMEX10", "((∑∫√"),
        ([0x30, 0x42, 0x40], "LMMathExtension10-Regular", "⎛⎜⎝"),
        ([0x0B, 0x16, 0x60], "ABCDEF+CMMI10", "αμℓ"),
        ([0x0E, 0x14, 0x36], "CMSY7", "∘≤\u0338"),
        ([0xA2, 0xAE], "cmsy10", "⋅⊘"),  # above the control characters
        ([0x2D, 0x3F], "MSBM10", "∤∅"),
        ([0x2C], "txsyc", "≠"),
        ([0x41, 0x01], "Helvetica", "A\x01"),  # no font of mathematics
        ([0x99], "txsyc", "\x00"),  # nobody can name it
    ],
)
def test_numbers_become_signs_by_the_name_of_their_font(codes: list[int], font: str, text: str) -> None:
    assert named(codes, font) == text


def test_characters_that_are_only_numbers_are_seen_by_what_the_font_cannot_have() -> None:
    assert named([0xB8, 0x72, 0xBD], "Cmsy10", unmapped=False) == "≥∇⊂"
    assert named([0x58, 0x70], "Cmex10", unmapped=False) == "∑√"
    assert named([0x41, 0x7B, 0x2212], "CMSY10", unmapped=False) == "A{−"  # as it should be
    assert named([0x61, 0x2E, 0x3C], "CMMI10", unmapped=False) == "a.<"


def test_the_foot_of_an_arrow_becomes_one_with_it() -> None:
    assert named([0x37, 0x21], "CMSY10") == "\u200b↦"


def test_tables_are_whole() -> None:
    assert {len(OML), len(OMS), len(OMX)} == {128}
    assert not [sign for sign in OML + OMS if role_of(sign) is None and sign not in "⁀\u20d7\u2040\u0338\u27dd℘√"]


def test_names_of_fonts() -> None:
    mathematical = "CMMI10", "CMSY7", "CMEX10", "MSBM10", "EUFM10", "rsfs10", "txsy", "rtxmi", "CambriaMath"
    assert all(map(is_mathematical, (*mathematical, "ABCDEF+LMMathItalic10-Regular", "STIXMath-Regular")))
    plain = "CMR10", "Times-Italic", "Helvetica", "Mathilde", "CMTT10", "LMRoman10-Regular"
    assert not any(map(is_mathematical, plain))
    assert encoding_of("CMMIB10") == "letters" and encoding_of("CMR10") == ""
    found = {name: alphabet_of(name, 400, 0) for name in ("MSBM10", "EUFM7", "CMSY10", "rsfs10", "CMBX10", "CMMIB10")}
    assert found == {
        "MSBM10": "mathbb", "EUFM7": "mathfrak", "CMSY10": "mathcal", "rsfs10": "mathscr", "CMBX10": "mathbf",
        "CMMIB10": "boldsymbol",
    }  # fmt: skip
    assert is_italic("NimbusRomNo9L-ReguItal", 0) and is_italic("X", 1 << 6) and not is_italic("CMR10", 0)


def test_letters_of_unicode_and_their_accents() -> None:
    assert [letter_style(sign) for sign in "𝑥𝐱ℝ𝔤𝒜α"] == [
        ("x", ""), ("x", "mathbf"), ("R", "mathbb"), ("g", "mathfrak"), ("A", "mathcal"), ("α", ""),
    ]  # fmt: skip
    assert parted("x̂") == ("x", ("\\hat",)) and parted("≠") == ("≠", ()) and parted("a̦") == ("", ())
    assert (latex_of("≤"), latex_of("∑"), latex_of("%"), latex_of("字")) == ("\\leq", "\\sum", "\\%", None)


def test_words_cannot_become_commands() -> None:
    assert said(r"a} \input{x} $5 & #1_%^~") == (
        r"a\} \textbackslash{}input\{x\} \$5 \& \#1\_\%\textasciicircum{}\textasciitilde{}"
    )
