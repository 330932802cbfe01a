"""A hyphen at a line's end divides a word or belongs to it, as the words of the document tell."""

from __future__ import annotations

import pytest

from microfiche.documents.document import Block, Document, Kind, PageRead
from microfiche.documents.finishing.finish import finish
from microfiche.documents.finishing.hyphens import joint


def whole(text: str, *others: str) -> str:
    blocks = [Block(kind="text", box=(0, i, 9, i + 1), text=t) for i, t in enumerate([*others, text])]
    return finish([PageRead(number=1, width=9, height=9, blocks=blocks)])[0].blocks[-1].text


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("the micro\u00adscope", "the microscope"),
        ("a well\u00adknown man", "a well-known man"),
        ("by e\u00admail", "by e-mail"),
        ("self\u00adadjusting", "self-adjusting"),
        ("1999\u00ad2004", "1999-2004"),
        ("New\u00adYork", "New-York"),
        ("F\u00ad16", "F-16"),
        ("MICRO\u00adFICHE", "MICROFICHE"),
        ("pre\u00adand post-war", "pre- and post-war"),
        ("thous\u00adand", "thousand"),
        ("Haupt\u00adund Nebensatz", "Haupt- und Nebensatz"),
        ("inter\u00adna\u00adtional", "international"),
        ("\u00adfoo", "foo"),
        ("COVID\u00ad19", "COVID-19"),
        ("half\u00adhour", "half-hour"),
        ("a\u00ad b", "ab"),
    ],
)
def test_a_word_alone_is_judged_by_its_form(text: str, right: str) -> None:
    assert whole(text) == right


@pytest.mark.parametrize(
    ("text", "other", "right"),
    [
        ("blue\u00adgreen", "the blue-green sea", "blue-green"),
        ("key\u00adboard", "a Keyboard", "keyboard"),
        ("self\u00adish", "it is selfish", "selfish"),
        ("state-of-the\u00adart", "the state-of-the-art lamp", "state-of-the-art"),
        ("co\u00adoperate", "they cooperated", "cooperate"),
        ("co\u00adauthor", "the author", "co-author"),
        ("lamp\u00adlike", "a lamp", "lamp-like"),
        ("re\u00adcord", "a record, a re-cord, a record", "record"),
    ],
)
def test_the_other_words_of_the_document_decide(text: str, other: str, right: str) -> None:
    assert whole(text, other) == right


def test_what_is_divided_is_no_witness() -> None:
    assert joint("blue", "green", {}) == ""
    assert whole("blue\u00adgreen blue\u00adgreen") == "bluegreen bluegreen"


def document(*pages: list[tuple[Kind, str]]) -> Document:
    reads = [
        PageRead(
            number=n,
            width=100,
            height=100,
            blocks=[
                Block(kind=kind, box=(10, 10 + 5 * i, 90, 14 + 5 * i), text=text)
                for i, (kind, text) in enumerate(blocks)
            ],
        )
        for n, blocks in enumerate(pages, 1)
    ]
    return Document(name="x", sha256="", pages=finish(reads))


def test_a_word_goes_on_in_the_next_column_or_on_the_next_page() -> None:
    found = document(
        [("text", "He wrote to the inspec\u00ad"), ("footnote", "1 A note."), ("footer", "12")],
        [("figure", "a lamp"), ("caption", "Figure 1. A lamp"), ("text", "tor. The lamp was out.")],
    )
    assert found.pages[0].blocks[0].text == "He wrote to the inspector."
    assert found.pages[1].blocks[-1].text == "The lamp was out."
    found = document([("text", "the new muse\u00ad")], [("text", "um in the town")])
    assert found.markdown() == "the new museum in the town\n"
    assert document([("text", "a well\u00ad")], [("text", "known man")]).markdown() == "a well-known man\n"
    assert document([("text", "muse\u00ad")], [("text", "um")]).markdown() == "museum\n"


def test_a_paragraph_that_was_parted_within_a_word_is_one_again() -> None:
    found = document([("text", "a well\u00ad"), ("text", "known self\u00ad"), ("text", "adjusting device.")])
    (block,) = found.pages[0].blocks
    assert (block.text, block.box) == ("a well-known self-adjusting device.", (10, 10, 90, 24))


def test_a_hyphen_after_which_nothing_goes_on_stays() -> None:
    assert document([("text", "pre\u00ad"), ("title", "A title"), ("text", "war")]).pages[0].blocks[0].text == "pre-"
    assert document([("text", "the Franco\u00ad")], [("text", "Prussian war")]).pages[0].blocks[0].text == "the Franco-"
    assert document([("text", "muse\u00ad")]).markdown() == "muse-\n"


def test_no_soft_hyphen_remains_and_no_markup_arises() -> None:
    found = document(
        [("text", "a\u00ad\u00adb \u00ad c\u00ad-d &am\u00ad"), ("code", "```\na\u00adb\n```")],
        [("text", "p; x <scr\u00adipt> e\u00ad")],
        [("table", "| lam\u00adp |\n| --- |\n| \u00ad |")],
    )
    assert "\u00ad" not in found.model_dump_json() + found.markdown() + found.plain()
    assert "&amp" not in found.markdown().replace("\\&amp", "")
