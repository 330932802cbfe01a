"""Signs that the recogniser does not know are put back where the ink shows them, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scenes import FACES, LINES, page

from microfiche.documents.inline import markdown
from microfiche.documents.scans import tesseract
from microfiche.documents.scans.orientation import straight
from microfiche.documents.scans.rapid import RapidEngine
from microfiche.documents.scans.scan_lines import lines_of
from microfiche.documents.sheet import Sheet

GERMAN = ("Er sagte: „Guten Tag“, und ging.", "„Ja“, rief sie, „aber nicht hier!“", "Das steht in „Die Räuber“ (1781).")
SPANISH = ("¡Hola! ¿Qué tal? ¡Qué día!", "¡Vamos a la plaza con ellos!", "Y dijo: ¡No me lo creo!")
CZECH = (
    "Pokud ne, pluje loď na moři, ale síť", "je pod ní. Když teď ta paměť a zeď",
    "nejsou naše, ať je to na ní, když", "se to podle těch ďáblů ještě počítá.",
)  # fmt: skip
SLOVAK = (
    "Ľudia, ktorí sú veľmi ďaleko, nie sú tu,", "ale keď sa to má robiť a písať, je to ľahké",
    "pre nich. Aj chlieb je na stole a už by", "ich bolo viac, ako sa podľa nich dá mať.",
)  # fmt: skip
WITHOUT = {
    "vi": ("Tất cả mọi người sinh ra đều được tự do", "và bình đẳng về nhân phẩm và quyền. Mọi",
           "người đều được đối xử như nhau ở đây"),
    "cy": ("Mae pawb yn y tŷ yn gwybod am y dŵr", "ac mae ei gŵr wedi bod yn y cŵn hefyd",
           "fel y mae pawb ar y llŷn yn gwybod hyn"),
    "eo": ("Ĉiuj homoj estas denaske liberaj kaj egalaj", "laŭ digno kaj rajtoj, kaj ili devus konduti",
           "al ĉiu alia en la sama ĝardeno"),
}


@pytest.fixture(autouse=True)
def no_tesseract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tesseract, "languages", tuple)


def read(lines: tuple[str, ...], face: str) -> list[str]:
    return [line.text for line in RapidEngine().lines(page(lines, size=30, face=face))]


@pytest.mark.parametrize("lines", [GERMAN, SPANISH])
@pytest.mark.parametrize("face", ["DejaVuSans", "DejaVuSerif"])
def test_low_quotes_and_inverted_marks_are_read(lines: tuple[str, ...], face: str) -> None:
    said = " ".join(read(lines, face))
    for sign in "„¡":
        assert said.count(sign) == " ".join(lines).count(sign)
    assert said.replace('"', "“") == " ".join(lines)


@pytest.mark.parametrize("lines", [CZECH, SLOVAK])
def test_carons_beside_their_letters_are_read(lines: tuple[str, ...]) -> None:
    assert read(lines, "DejaVuSerif") == list(lines)


def test_nothing_is_put_into_other_lines() -> None:
    plain = (*LINES, "It isn't Bob's, it's the cat's; don't let it out, he'd said", "a list, of words, and 1,5 and x,y")
    for face in ("DejaVuSans", "DejaVuSerif"):
        assert not set("„‚¡ďťľ") & set("".join(read(plain, face)))


@pytest.mark.parametrize("language", WITHOUT)
def test_a_language_whose_letters_the_reader_lacks_makes_the_page_partial(language: str) -> None:
    (done,) = RapidEngine().read([Sheet(1, page(WITHOUT[language], size=30))])
    assert done.status == "partial" and "letters of" in done.reason


@pytest.mark.parametrize("lines", [GERMAN, SPANISH, CZECH])
def test_a_language_that_is_read_whole_is_ok(lines: tuple[str, ...]) -> None:
    (done,) = RapidEngine().read([Sheet(1, page(lines, size=30))])
    assert done.status == "ok"


Run = tuple[str, int]  # a text, and whether it stands raised (1), lowered (-1) or neither (0)


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        ([("a mass of 2.0 x 10", 0), ("30", 1), (" kg", 0)], "a mass of 2.0 x 10<sup>30</sup> kg"),
        ([("water is H", 0), ("2", -1), ("O and air is N", 0), ("2", -1)],
         "water is H<sub>2</sub>O and air is N<sub>2</sub>"),
        ([("as Brown", 0), ("14", 1), (" and Smith", 0), ("15", 1), (" say", 0)],
         "as Brown<sup>14</sup> and Smith<sup>15</sup> say"),
        ([("with bread", 0), ("3,7", 1), (" and a bit of butter", 0)], "with bread<sup>3,7</sup> and a bit of butter"),
        ([("in the 19", 0), ("th", 1), (" century", 0)], "in the 19<sup>th</sup> century"),
        ([("all of \"this\" is 3' or 5 x 7, No. 12 - a quay", 0)], "all of \"this\" is 3' or 5 x 7, No. 12 - a quay"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("face", ["DejaVuSerif", "DejaVuSans", "STIXGeneral"])
def test_raised_and_lowered_signs(runs: list[Run], text: str, face: str) -> None:
    (line,) = lines_of(straight(drawn(runs, face, 30 if face == "STIXGeneral" else 26)))
    assert markdown(line.text).replace("₂", "<sub>2</sub>") == text  # which the recogniser knows as a sign


def test_a_letter_is_the_mark_of_a_note() -> None:
    (line,) = lines_of(straight(drawn([("means that are weighted", 0), ("a", 1)], "DejaVuSerif", 26)))
    assert markdown(line.text) == "means that are weighted<sup>a</sup>"


def drawn(runs: list[Run], face: str, size: int) -> Image.Image:
    font, small = (ImageFont.truetype(str(FACES / f"{face}.ttf"), px) for px in (size, round(0.62 * size)))
    picture = Image.new("RGB", (900, 80), "white")
    draw, x = ImageDraw.Draw(picture), 30.0
    for part, level in runs:
        its = small if level else font
        draw.text((x, 50 - level * 0.33 * size if level > 0 else 50 - level * 0.18 * size), part, "black", its, "ls")
        x += draw.textlength(part, its)
    return picture


def test_a_letter_whose_foot_is_broken_off_is_not_raised() -> None:
    picture = page(("a senior executive for ten years here",), size=30, face="DejaVuSerif")
    pixels = np.array(picture)
    ink = np.flatnonzero((pixels[..., 0] < 128).any(0))
    gaps = np.flatnonzero(np.diff(ink) > 6)  # between words
    end = ink[gaps[4]]  # of "ten", the n of which loses its lower half
    rows = np.flatnonzero((pixels[:, end - 14 : end + 1, 0] < 128).any(1))
    pixels[rows[0] + 2 * len(rows) // 3 :, end - 18 : end + 1] = 255
    (line,) = lines_of(straight(Image.fromarray(pixels)))
    assert "<" not in markdown(line.text)
