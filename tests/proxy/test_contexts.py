"""A secret of any kind is found in whatever ties it to a name, and few ordinary lines are taken for secrets."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import pytest
from agent import WORDS
from contexts import CONTEXTS, MORE_CONTEXTS

from microfiche.proxy.secret import secrets_in

ROOT = Path(__file__).parent.parent.parent
KINDS = {
    "letters": (string.ascii_lowercase, ""), "digits": (string.digits, ""), "capitals": (string.ascii_letters, ""),
    "mixed": (string.ascii_letters + string.digits, ""), "signs": (string.ascii_letters + string.digits, "!#^*-+_.~/"),
}  # fmt: skip
NAMES = (
    "password", "DB_PASSWORD", "apiKey", "api-key", "client_secret", "auth_token", "passphrase", "PGPASSWORD",
    "db.passwd", "secretKey", "ACCESS_KEY", "smtp_pwd", "rootPassword", "refreshToken", "encryption-key",
    "adminCredential",
)  # fmt: skip
#: How a value is tied to a name, in the places of § and ¤.
SYNTAXES = (
    "¤=§", "¤: §", "¤ = '§'", '"¤": "§",', "¤            = \"§\"", '"¤": {\n  "type": "string",\n  "value": "§"\n}',
    "¤:\n    §", "¤:\n  - §\n  - other", "<¤>§</¤>", '<x ¤="§"/>', "<¤>\n  §\n</¤>", "-D¤=§ -jar x", "--¤ §", "¤ => §",
    "set ¤ §", "¤ := wrap(\"§\")", "NAME    ¤    AGE\nbob     §    3d", "a,¤,b\n\"x, y\",§,2",
    "| a | ¤ |\n|---|---|\n| x | § |",
    "- name: ¤\n  value: §", "{'a': 1, '¤': '§'}", '"{\\"¤\\": \\"§\\"}"', "+    ¤: §", "config.yml:12:  ¤: §",
    "x?a=b&¤=§&c=d",
    '¤ = ("§"\n     "x")', 'x["¤"] = "§"', "¤ -> §", "#define ¤ \"§\"", "¤\t§",
)  # fmt: skip


def made(rng: random.Random, kind: str) -> str:
    letters, signs = KINDS[kind]
    inner = "".join(rng.choices(letters + signs, k=rng.randrange(7, 15)))
    return rng.choice(letters.replace("0", "") or letters) + inner + rng.choice(letters)


def around(rng: random.Random) -> str:
    return "\n".join(" ".join(rng.choices(WORDS, k=9)) for _ in range(4))


def missed(rng: random.Random, kind: str, shapes: Sequence[str]) -> list[str]:
    """The texts with a secret of a kind in which some of it is not found."""
    found = []
    for shape in shapes:
        secret = made(rng, kind)
        text = f"{around(rng)}\n{shape.replace('§', secret)}\n{around(rng)}"
        spans, at = secrets_in(text), text.index(secret)
        while at >= 0:
            if not any(start <= at and at + len(secret) <= end for start, end in spans):
                found.append(shape.replace("§", secret))
            at = text.find(secret, at + 1)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_is_found_in_any_context(kind: str) -> None:
    rng = random.Random(f"contexts {kind}")
    assert not missed(rng, kind, [*CONTEXTS, *MORE_CONTEXTS] * 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_is_found_whatever_its_name_and_however_that_is_tied_to_it(kind: str) -> None:
    rng = random.Random(f"names {kind}")
    assert not missed(rng, kind, [syntax.replace("¤", name) for syntax in SYNTAXES for name in NAMES])


@pytest.mark.parametrize("words", [12, 15, 18, 21, 24])
@pytest.mark.parametrize("shape", [
    "seed phrase: {}", "mnemonic = \"{}\"", "Recovery phrase:\n{}", "wallet seed words\n\n{}",
])  # fmt: skip
def test_the_words_of_a_seed_phrase_are_found_on_one_line_or_several(shape: str, words: int) -> None:
    rng = random.Random(f"seed {shape} {words}")
    for cut in (words, 6, 4, 1):
        every = ["".join(rng.choices(string.ascii_lowercase, k=rng.randrange(4, 9))) for _ in range(words)]
        lines = [" ".join(every[n : n + cut]) for n in range(0, words, cut)]
        numbered = [f"{n}. {line}" for n, line in enumerate(lines, 1)]
        for phrase in ("\n".join(lines), "\n".join(numbered)):
            text = f"{around(rng)}\n{shape.format(phrase)}\n\n{around(rng)}"
            spans = secrets_in(text)
            for line in lines:
                at = text.index(line, text.index(shape.partition("{")[0]))
                assert any(start <= at and at + len(line) <= end for start, end in spans), (text, line)


@pytest.mark.parametrize("width", [8, 10, 12, 15, 20, 32])
@pytest.mark.parametrize("joint", ["\n", "\\\n", "-\n", "\n    ", "\n> ", "\" +\n    \""])
def test_a_key_that_is_cut_over_lines_is_found(joint: str, width: int) -> None:
    rng = random.Random(f"cut {joint!r} {width}")
    letters = string.ascii_letters + string.digits
    for start in ("sk-ant-api03-", "ghp_", "AKIA", ""):
        key = start + "".join(rng.choices(letters.upper() if start == "AKIA" else letters, k=48 - len(start)))
        cut = joint.join(key[n : n + width] for n in range(0, 48, width))
        text = f"{around(rng)}\nthe value is\n{cut}\n{around(rng)}"
        spans = secrets_in(text)
        for n in range(0, 48, width):
            piece = key[n : n + width]
            at = text.index(piece)
            assert any(a <= at and at + len(piece) <= b for a, b in spans), (key, piece)


@pytest.mark.parametrize("code", [
    lambda said: base64.b64encode(said.encode()).decode(), lambda said: quote(said, safe=""),
    lambda said: "".join(f"%{ord(c):02X}" for c in said), lambda said: "".join(f"\\u{ord(c):04x}" for c in said),
    lambda said: "".join(f"&#{ord(c)};" for c in said), lambda said: "\u200b".join(said),
    lambda said: "".join(chr(ord(c) + 0xFEE0) for c in said), lambda said: f"\x1b[1m{said[:4]}\x1b[0m{said[4:]}",
], ids=["base64", "URL", "percent", "escapes", "entities", "hidden", "wide", "colours"])  # fmt: skip
def test_a_secret_and_its_name_are_found_in_another_code(code) -> None:  # type: ignore[no-untyped-def]
    rng = random.Random(4)
    for kind in KINDS:
        said = code(f"password={made(rng, kind).replace('/', 'x')}")
        text = f"{around(rng)}\nit is {said} now\n{around(rng)}"
        at = text.index(said)
        assert any(start <= at and at + len(said) <= end for start, end in secrets_in(text)), said


def test_few_lines_of_code_and_prose_are_taken_for_secrets() -> None:
    rooms = [*(ROOT / "src/microfiche/documents").rglob("*.py"), *(ROOT / "src/microfiche/typesetting").rglob("*.py")]
    for texts in (sorted(rooms)[:60], sorted((ROOT / "examples").glob("alice*.txt"))):
        lines = told = 0
        for path in texts:
            text = path.read_text("utf-8")
            lines += sum(1 for line in text.split("\n") if line.strip())
            told += sum(text.count("\n", start, end) + 1 for start, end in secrets_in(text))
        assert lines > 15 and told < 0.02 * lines, (told, lines)
