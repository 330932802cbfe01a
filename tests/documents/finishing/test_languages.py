"""The language of a text is named where it is plain, and never guessed."""

from __future__ import annotations

import pytest

from microfiche.documents.document import Block, PageRead
from microfiche.documents.finishing.finish import finish
from microfiche.documents.finishing.languages import language_of


@pytest.mark.parametrize(
    ("code", "text"),
    {
        "en": "The lamp that was in the window of the old house is not to be seen from the road.",
        "de": "Die Lampe, die im Fenster des alten Hauses stand, ist von der Straße aus nicht zu sehen.",
        "fr": "La lampe qui est dans la maison ne se voit pas depuis la route, et les gens sont là.",
        "la": "Donec nonummy ante, non volutpat at, tincidunt vitae. Proin massa ac quam, a molestie nec, ac leo et a.",
        "es": "La lámpara que estaba en la ventana de la casa no se ve desde el camino, pero las otras sí.",
        "it": "La lampada che era alla finestra della casa non si vede più dalla strada e gli altri sono nel giardino.",
        "ru": "Лампа, которая стояла на окне старого дома, не видна с дороги, и это не то, что было так нужно.",
        "uk": "Лампу, що стояла у вікні старого будинку, не видно з дороги, і її шукають усі сусіди.",
        "zh": "窗台上的那盏灯从路上看不见了，大家都在找它。",
        "ja": "窓に置かれていたランプは道からは見えません。",
        "ko": "오래된 집의 창가에 있던 등불은 길에서 보이지 않습니다.",
        "ar": "المصباح الذي كان في نافذة البيت القديم لا يرى من الطريق",
        "he": "המנורה שעמדה בחלון הבית הישן אינה נראית מן הדרך",
        "el": "Η λάμπα που ήταν στο παράθυρο του παλιού σπιτιού δεν φαίνεται από τον δρόμο",
        "": "Lamp 12 · 3.50 EUR · ACME-7 · Ulm · Donau · Smith, Jones, Brown & Sons",
    }.items(),
)
def test_a_sentence_names_its_language(code: str, text: str) -> None:
    assert language_of(text) == code


def test_pages_name_their_language_unless_their_engine_does() -> None:
    text = "The lamp that was in the window of the old house is not to be seen from the road."
    block = Block(kind="text", box=(0, 0, 1, 1), text=text)
    pages = [PageRead(number=1, blocks=[block]), PageRead(number=2, blocks=[block], language="sl"), PageRead(number=3)]
    assert [page.language for page in finish(pages)] == ["en", "sl", ""]
