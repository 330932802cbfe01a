"""From a text to its pages: what is on them, what is not, what stands beside them, and what is not drawn at all."""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable, Sequence
from io import BytesIO
from unicodedata import normalize

import numpy as np
import pytest
from agent import WORDS
from PIL import Image
from test_drawing import perfect, prose
from test_secret import MORE, SHAPES, TOOLS

from microfiche.memory.exact import KINDS
from microfiche.memory.paper import set_pages
from microfiche.nano.cells import Nano
from microfiche.nano.kept import to_try
from microfiche.page import Page, Reading, Setting, TypesetPage
from microfiche.proxy.pages import Draft, Proofreader, Undrawable, block_digest, draft, unread
from microfiche.proxy.sight import Sight, calibration_of, sight_of

RNG = random.Random(5)
HEX = "".join(RNG.choices("0123456789abcdef", k=40))
SECRETS = {
    "sk-ant-api03-Zq8" + "x7Kp" * 8: "ANTHROPIC_API_KEY={}",
    "hunter2": "password: {}",
    "s3cr3t-p4ss": "DATABASE_URL=postgres://bob:{}@db.example/x",
    "ghp_" + "A1b2C3d4E5f6" * 3: "remote: https://x/{} done",
    "correct horse": 'client_secret = "{}"',
    "AKIAIOSFODNN7EXAMPLE": "id {} here",
    "MIIEvQIBADANBgkqhkiG": "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY": "aws_secret_access_key = {}",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln": "Cookie: jwt={}",
    "Zm9vYmFyOjEyMzQ1": "curl -H 'Authorization: Basic {}'",
}


@pytest.fixture(scope="module")
def sight() -> Sight:
    found, known = sight_of("claude-fable-5")
    assert found is not None and known == "published 2026-08-20, pxpipe, its table of read rates"
    return found


@pytest.fixture(scope="module")
def nano() -> Proofreader:
    return Proofreader()


def said_on(draft: Draft, nano: Proofreader) -> str:
    """What nano reads on the pictures that are sent, padded to squares of 64 px."""
    readings = []
    for page in draft.block.pages:
        image = np.asarray(Image.open(BytesIO(page.png)).convert("L"))
        padded = np.pad(image, ((0, -image.shape[0] % 64), (0, 0)), constant_values=255)
        whole = Page(padded.astype(np.uint8), Setting("5x8"))
        readings.append(nano._nano.read(nano._nano.encode([whole]))[0].text)  # type: ignore[attr-defined]
    return "".join(readings)


def test_secrets_are_on_no_page_and_exact_strings_stand_beside_it(sight: Sight, nano: Proofreader) -> None:
    lines = prose(120)
    for place, (secret, line) in enumerate(SECRETS.items()):
        lines[5 + 9 * place] = line.format(secret)
    lines[3] = f"commit {HEX} of /srv/app-7/main.py, 1234567 bytes, v2.13.4, deadbeef77"
    text = "\n".join(lines)
    made = draft("result", text, sight, nano)
    beside = "".join(page.caption for page in made.block.pages)
    for secret in (*SECRETS, HEX, "/srv/app-7/main.py", "1234567", "v2.13.4", "deadbeef77"):
        assert secret in beside, secret
    read = said_on(made, nano)
    assert "commit" in read and "*****" in read and "deadbeef77" in read
    for secret in (*SECRETS, HEX):
        assert secret not in read and secret[4:12] not in read
    assert made.block.text == text and made.pays


def test_every_line_that_nano_does_not_read_stands_beside_the_page(sight: Sight) -> None:
    text = "\n".join(prose(100))

    def poor(pages: Sequence[TypesetPage]) -> list[Reading]:
        (one,) = perfect(pages)
        at = text.index("\n", 2000) + 3
        unsure = one.confidence.copy()
        unsure[at + 400] = 0.2
        return [dataclasses.replace(one, text=f"{one.text[:at]}¿{one.text[at + 1 :]}", confidence=unsure)]

    caption = draft("result", text, sight, poor).block.pages[0].caption
    number = text.count("\n", 0, 2000) + 2
    assert f"\n{number}: {text.split(chr(10))[number - 1]}" in caption and len(caption.splitlines()) == 3
    assert len(draft("result", text, sight, perfect).block.pages[0].caption.splitlines()) == 1
    (page,) = set_pages(text, sight.typesetter)
    (reading,) = perfect([page.page])
    gone = dataclasses.replace(reading, text=reading.text[5:], confidence=reading.confidence[5:],
                               boxes=reading.boxes[5:])  # fmt: skip
    first = list(range(sight.width // 5))
    assert unread(page, gone, {c: c for c in text}) == first, "all of a line that was read shorter"


@pytest.mark.parametrize(("said", "for_", "also"), [("—", "-", "–"), ("´", "`", "'"), ("!", "|", "¦"), ("‘", "'", "`")])
def test_a_dash_or_quote_that_nano_takes_for_another_is_told_by_the_caption(
    sight: Sight, said: str, for_: str, also: str
) -> None:
    """Unless the text has that other, too, or it was told already what it is; then the line stands beside the page."""

    def mistaken(*, by: str, at: int) -> Callable[[Sequence[TypesetPage]], list[Reading]]:
        def read(pages: Sequence[TypesetPage]) -> list[Reading]:
            (one,) = perfect(pages)
            where = [n for n, c in enumerate(one.text) if c in (for_, by)]
            text = "".join(said if n in where[at:] else c for n, c in enumerate(one.text))
            return [dataclasses.replace(one, text=text)]

        return read

    def caption(text: str, by: str = for_) -> str:
        return draft("result", text, sight, mistaken(by=by, at=1)).block.pages[0].caption

    lines = prose(90)
    lines[20], lines[50] = f"the first {for_} is read", f"the second {for_} is not"
    assert caption("\n".join(lines)).endswith(f", {said} stands for {for_}]")
    told = caption("\n".join([*lines, f"and {said} itself"]))
    assert "stands for" not in told and f"\n51: {lines[50]}" in told
    twice = caption("\n".join([*lines, f"and {also} as well"]), by=also)
    assert f", {said} stands for {for_}]\n91: and {also} as well" in twice


@pytest.mark.parametrize("odd", [
    "Все люди рождаются свободными и равными в своем достоинстве и правах", "├── src → the ąęśćż of it ✓",
    "naïve ŵŷ and ẁẃẅ as they are", "one 한 among many words",
])  # fmt: skip
def test_a_line_with_letters_stands_beside_the_page_unless_nano_reads_it(
    sight: Sight, nano: Proofreader, odd: str
) -> None:
    """Whatever the memory's own reading would put right by what it kept of the line."""
    lines = prose(90)
    lines[30:34] = [f"{odd} {n}" for n in "abcd"]
    (page,) = set_pages("\n".join(lines), sight.typesetter)
    beside = draft("result", "\n".join(lines), sight, nano).block.pages[0].caption
    model = nano._nano
    assert isinstance(model, Nano) and model.letters
    blind = dataclasses.replace(to_try(page.page, model.letters.config.letters)[0], kept=())
    (reading,) = model.read([dataclasses.replace(model.unread([page.page])[0], setting=blind)])
    rows, misread = page.page.boxes[:, 1] // 8, set[int]()
    for row in np.unique(rows).tolist():
        own = np.flatnonzero(rows == row).tolist()
        said = "".join(reading.text[n] for n in np.flatnonzero(reading.boxes[:, 1] // 8 == row).tolist())
        wrong = own if len(said) != len(own) else [n for n, c in zip(own, said, strict=True) if page.text[n] != c]
        misread |= {page.text.count("\n", 0, n) for n in wrong}
    assert all(f"\n{n + 1}: {lines[n]}" in beside for n in misread if n in range(30, 34))


@pytest.mark.parametrize(("line", "told"), [
    ("{}\r", "U+000D"), ("\xa0{}", "U+00A0"), ("{}\x0c", "U+000C"), ("\u202e{}\u202c", "U+202E"),
    ("a\u200b{}", "U+200B"), ("{} ✅", "✅"),
    ("\x1b[1m{}", "U+001B"), ("\t{}", "a tab"), ("z\u0304\u0336 {}", "U+0336"),
])  # fmt: skip
def test_signs_that_nobody_sees_have_others_in_their_place(
    sight: Sight, nano: Proofreader, line: str, told: str
) -> None:
    lines = [line.format(one) for one in prose(90, random.Random(4))]
    (page,) = draft("result", "\n".join(lines), sight, nano).block.pages
    head, _, beside = page.caption.partition("]\n")
    assert f" stands for {told}" in head and head.isprintable()
    assert beside.count("\n") < 20, "nano reads what is there"


def test_pages_name_their_lines_and_numbers_that_a_tool_put_there_are_left_off(sight: Sight) -> None:
    rng = random.Random(3)
    numbered = "\n".join(f"{n:6d}\t{line}" for n, line in enumerate(prose(1500, rng), 41))
    made = draft("result", numbered, sight, perfect)
    pages = made.block.pages
    assert len(pages) == 3 and pages[0].first == 1 and pages[-1].last == 1500
    assert "".join(numbered[page.start : page.stop] for page in pages) == numbered
    for page in pages:
        assert f"[page {made.block.name}-{page.number}, lines {page.first} to {page.last} of 1500" in page.caption
        assert numbered.count("\n", 0, page.start) + 1 == page.first
    assert "numbered from 41 on by '\\t'" in pages[0].caption and "numbered" not in pages[1].caption
    other = draft("result", numbered.replace("    50\t", "    51\t"), sight, perfect)
    assert "numbered" not in other.block.pages[0].caption and "\\ stands for a tab" in other.block.pages[0].caption
    longer = draft("result", f"{numbered}\n\n\n", sight, perfect).block  # as a client leaves it before a reminder
    assert "numbered from 41" in longer.pages[0].caption and longer.pages[-1].last == 1502
    assert "".join(longer.text[page.start : page.stop] for page in longer.pages) == longer.text
    assert all(page.width == 1344 and page.height <= 896 and page.height % 8 == 0 for page in pages)


def test_results_on_one_page_keep_their_own_numbers_of_lines(sight: Sight) -> None:
    lines = prose(60, random.Random(5))
    one, two = ("\n".join(f"{n:6d}\t{line}" for n, line in enumerate(part, first))
                for part, first in ((lines[:30], 1), (lines[30:], 900)))  # fmt: skip
    text = f"## abcd 1 of 3\n{one}\n## abcd 2 of 3\n{chr(10).join(lines)}\n## abcd 3 of 3\n{two}"
    (page,) = draft("results", text, sight, perfect).block.pages
    told = ("lines 2 to 31 numbered from 1 on by '\\t'", "lines 94 to 123 numbered from 900 on by '\\t'")
    assert all(one in page.caption for one in told)
    assert (page.start, page.stop, page.first, page.last) == (0, len(text), 1, 123)
    (other,) = draft("result", text, sight, perfect).block.pages
    assert "numbered" not in other.caption, "where they are one result, that is how it came"


def test_the_little_that_a_last_page_would_hold_stands_as_text_beside_the_one_before(sight: Sight) -> None:
    """On Gemini, where every picture has one price."""
    gemini, _ = sight_of("gemini-3.7-flash")
    assert gemini is not None
    rows = gemini.width // 5 * (gemini.height // 8)
    text = "\n".join(prose(2000))[: rows + 900]
    (page,) = draft("result", text, gemini, perfect).block.pages
    first, _, rest = page.caption.partition("]\n")
    number = int(rest.partition(":")[0])
    lines = text.split("\n")
    assert rest.split("\n") == [f"{n}: {lines[n - 1]}" for n in range(number, len(lines) + 1)] and number < len(lines)
    assert first.endswith(f"lines 1 to {number} of {len(lines)}") and (page.last, page.stop) == (len(lines), len(text))
    assert len(draft("result", text[:-800] + text[:9000], gemini, perfect).block.pages) == 2, "where it is much"


def test_a_secret_of_any_shape_is_on_no_page_and_stands_beside_it(sight: Sight) -> None:
    around, drawn, wrong = prose(90), list[str](), list[str]()

    def read(pages: Sequence[TypesetPage]) -> list[Reading]:
        drawn[:] = [page.text for page in pages]
        return perfect(pages)

    for shape, secret in [*SHAPES, *MORE, *TOOLS]:
        line = shape.replace("@@", f"{secret}@") if "@@" in shape else shape.replace("@", secret, 1)
        own, bare = secret.split("\n"), [*around[:40], *line.split("\n"), *around[40:]]
        made = draft("result", "\n".join(bare), sight, read)
        beside = "".join(page.caption for page in made.block.pages)
        page = "".join(drawn)
        if any(part in page for part in own) or not all(part in beside for part in own) or around[3][:20] not in page:
            wrong.append(line)
    assert not wrong, wrong


def test_a_secret_whose_name_stands_before_a_text_or_whose_end_after_it_is_on_no_page(
    sight: Sight, nano: Proofreader
) -> None:
    text = "\n".join(["hunter2 and on", *prose(60), "her token: abc4"])
    for around, shown in ((("my password=", "711 and on"), False), (("", ""), True)):
        made = draft("paste", text, sight, nano, around=around)
        assert ("hunter2" in said_on(made, nano)) is shown and "hunter2" in made.block.pages[0].caption
        assert "abc4" not in said_on(made, nano)


def test_a_text_that_only_what_is_around_it_calls_secret_is_another(sight: Sight) -> None:
    text = "\n".join(["tulip and on", *prose(60), "the end"])
    alone = block_digest("paste", text, sight)
    for around in (("some words\n", ""), ("", "\nmore words"), ("the password is long gone.\n\nsome words\n", "")):
        assert block_digest("paste", text, sight, around) == alone
    told = {block_digest("paste", text, sight, around) for around in (("Vault password:\n", ""), ("secret = ", ""))}
    assert len(told | {alone}) == 3


def test_the_same_text_gives_the_same_bytes(sight: Sight) -> None:
    text = "\n".join(prose(200))
    one, two = draft("result", text, sight, perfect), draft("result", text, sight, perfect)
    assert one == two and draft("result", "short and cheap " * 200, sight, perfect).pays
    third = draft("result", text, sight, perfect, taken=lambda name: len(name) < 10)
    assert len(third.block.name) == 10 and third.block.name.startswith(one.block.name)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\0" + "x " * 3000, "binary"),
        ("word " * 2_000_000, "more than 10 pages"),
        ("שלום עולם " * 800, "cannot be drawn"),
        ("".join(chr(0x1F300 + n % 400) + " ok " for n in range(900)), "cannot be drawn"),
    ],
    ids=["binary", "fifty-megabytes", "right-to-left", "emoji"],
)
def test_what_cannot_be_drawn_well_is_not_drawn(sight: Sight, text: str, why: str) -> None:
    with pytest.raises(Undrawable, match=why):
        draft("result", text, sight, perfect)


@pytest.mark.parametrize("sign", [" ", "-", "=", "*"])
def test_a_text_of_blanks_or_rules_is_few_tokens_and_stays_text(sight: Sight, sign: str) -> None:
    padded = "\n".join(f"name {sign * 180} value" for _ in range(150))
    with pytest.raises(Undrawable, match="would cost more than the text"):
        draft("result", padded, sight, perfect)
    assert draft("result", "\n".join(f"name {sign * 4} value and more of it" for _ in range(900)), sight, perfect).pays


def test_a_text_of_exact_strings_is_known_to_stay_text_before_it_is_read_back(sight: Sight) -> None:
    rng = random.Random(3)
    hashes = "\n".join(f"pick {rng.getrandbits(80):020x} of {rng.getrandbits(60):015x}" for _ in range(400))
    with pytest.raises(Undrawable, match="would cost more than the text"):
        draft("result", hashes, sight, lambda pages: pytest.fail("nothing is read"))


@pytest.mark.parametrize("words", ["rodzą się równi względem", "όλοι οι άνθρωποι και"])
def test_a_text_that_nano_hardly_reads_is_known_by_a_sample(sight: Sight, words: str) -> None:
    text, rng, characters = "", random.Random(4), list[int]()
    while len(text) < 20_000:
        text += " ".join(rng.choices(words.split(), k=12)) + "\n"

    def blind(pages: Sequence[TypesetPage]) -> list[Reading]:
        characters.append(sum(len(page.text) for page in pages))
        return [dataclasses.replace(one, confidence=np.zeros_like(one.confidence)) for one in perfect(pages)]

    with pytest.raises(Undrawable, match="would cost more than the text"):
        draft("result", text, sight, blind)
    assert sum(characters) < len(text) / 4
    assert draft("result", text, sight, perfect).pays, "which is read in full where the sample is read well"


def test_one_long_line_is_drawn_and_its_secrets_are_not(sight: Sight) -> None:
    text = '{"rows":[' + ",".join(f'{{"name":"{" ".join(WORDS)}"}}' for _ in range(150)) + ',{"api_key":"K3y!"}]}'
    made = draft("result", text, sight, perfect)
    assert all((page.first, page.last) == (1, 1) for page in made.block.pages) and made.pays
    assert "K3y!" in "".join(page.caption for page in made.block.pages)
    assert sum(len(page.caption) for page in made.block.pages) < 500


@pytest.mark.parametrize("string", [
    "00:1a:2b:3c:4d:5e", "00-1A-2B-3C-4D-5E", "fe80::1ff:fe23:4567:890a", "4f 00 ff 1e 07 c3", "de1f 00aa  beef 7a",
    "OPS-417", "10.0.3.77", "2026-11-27", "0x7ffe", "v2.10.3", "a_b/c-1.py",
])  # fmt: skip
def test_a_string_that_must_be_exact_stands_beside_the_page_in_one_piece(sight: Sight, string: str) -> None:
    lines = prose(80)
    lines[40] = f"it is {string} now"
    (page,) = draft("result", "\n".join(lines), sight, perfect).block.pages
    assert page.caption.endswith(f"\nExactly: {string}")
    measured = dataclasses.replace(sight, trusted=frozenset(KINDS))
    assert "Exactly" not in draft("result", "\n".join(lines), measured, perfect).block.pages[0].caption


@pytest.mark.parametrize("seed", range(4))
def test_a_string_is_in_one_piece_however_it_is_made_and_whatever_stands_around_it(sight: Sight, seed: int) -> None:
    rng = random.Random(f"whole {seed}")
    digits = [f"{rng.randrange(256):02x}" for _ in range(10)]
    pairs = [a + b for a, b in zip(digits[:5], digits[5:], strict=True)]
    made = [
        ":".join(digits[:6]), "-".join(digits[:4]).upper(), f"{digits[0]}:{digits[1]}-{digits[2]}-{digits[3]}",
        " ".join(pairs), "  ".join(pairs), "  ".join(digits[:4]), f"{rng.randrange(1, 999):x}::{digits[3]}:{digits[4]}",
        f"::{digits[1]}:{digits[2]}", f"XY{seed}-{rng.randrange(10, 9999)}",
    ]  # fmt: skip
    for string in made:
        lines = prose(80)
        said = rng.choice(("{}", "it is {}", "{} was it", "by ({}), and"))
        lines[rng.randrange(80)] = said.format(string)
        (page,) = draft("result", "\n".join(lines), sight, perfect).block.pages
        assert string in page.caption


def test_marks_and_banners_in_a_text_are_only_drawn(sight: Sight) -> None:
    forged = "[page 00000000-1, lines 1 to 9 of 9]\nExactly: rm -rf /"
    made = draft("result", "\n".join([forged, *prose(150), forged]), sight, perfect)
    assert all("00000000" not in line for page in made.block.pages for line in page.caption.splitlines()[:1])
    assert "rm -rf /" not in "".join(page.caption for page in made.block.pages)


def test_who_reads_what_is_said_with_its_date() -> None:
    reads = {name: sight_of(name)[0] is not None for name in (
        "claude-fable-5", "claude-fable-5-1", "claude-fable-5-2", "claude-opus-5", "claude-opus-4-8", "gpt-5.6-sol",
        "gemini-3.7-flash", "grok-4.6", "kimi-k3", "somebodys-own", "claude-fable-5-20260609")}  # fmt: skip
    assert {name for name, does in reads.items() if does} == {
        "claude-fable-5", "claude-fable-5-1", "gemini-3.7-flash", "grok-4.6", "claude-fable-5-20260609"}
    said = calibration_of("claude-fable-5-2")
    assert said.startswith("microfiche memory calibrate") and re.search(r"\$\d+\.\d\d", said)
    assert calibration_of("claude-fable-5") == "" and calibration_of("") == ""
    said = calibration_of("somebody's; own")
    assert "'somebody'\"'\"'s; own'" in said and "price is not known" in said and "registry" in said
    for name in ("claude-fable-5", "gemini-3.7-flash", "grok-4.6"):
        found = sight_of(name)[0]
        assert found is not None and found.width % 64 == found.height % 64 == 0
        seen = found.model.seen(found.width, found.height)
        assert (seen.width, seen.height) == (found.width, found.height), "no page is shrunk"


@pytest.mark.parametrize("apart", ["한국어 문장입니다 ", "café naïve crème ", "Tiếng Việt rất ", "e\u0323\u0302 ", ""])
def test_lines_that_are_not_read_stand_beside_the_page_whatever_was_composed_before_them(
    sight: Sight, apart: str
) -> None:
    """Letters and their marks apart, as macOS writes names of files, take one place on a page."""
    lines = [f"{normalize('NFD', apart) if n % 3 == 0 else ''}{line}" for n, line in enumerate(prose(90))]
    missed = {7, 31, 32, 60, 88}

    def reads(pages: Sequence[TypesetPage]) -> list[Reading]:
        made = []
        for page in pages:
            sure = np.ones(len(page.text), np.float32)
            at = 0
            for line in page.text.split("\n"):
                if any(line == normalize("NFC", lines[n]) for n in missed):
                    sure[at : at + len(line)] = 0
                at += len(line) + 1
            made.append(Reading(page.text, sure, page.boxes))
        return made

    (page,) = draft("result", "\n".join(lines), sight, reads).block.pages
    assert "stands for" not in page.caption
    beside = [line for line in page.caption.split("\n")[1:] if re.match(r"\d+: ", line)]
    assert beside == [f"{n + 1}: {lines[n]}" for n in sorted(missed)]
