"""What is public: its names, its types as a checker sees them, and how its things print."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import microfiche
from microfiche.cli.codec import ReaderName
from microfiche.nano.indexer import INDEX
from microfiche.readers import READERS
from microfiche.weights import stored

TYPED = """
from typing import assert_type
import microfiche
from microfiche.deepseek_ocr.model import DeepSeekOCR
from microfiche.nano.cells import Nano
from microfiche.page import TypesetPage
from microfiche.readers import Reader

assert_type(microfiche.typeset("x"), list[TypesetPage])
assert_type(microfiche.load(), Nano)
assert_type(microfiche.load("deepseek-ocr", weights="x"), DeepSeekOCR)
assert_type(microfiche.load("file.safetensors"), Reader)
assert_type(microfiche.load().read([]), list[microfiche.Reading])
assert_type(microfiche.read("x").markdown(), str)
assert_type(microfiche.unpack("x").text, str)
reader: Reader = microfiche.load("nano-pages")
reader = microfiche.load("deepseek-ocr").asking("tiny", "free")
"""


def test_a_checker_sees_the_types(tmp_path: Path) -> None:
    (tmp_path / "typed.py").write_text(TYPED)
    config = Path(__file__).parent.parent / "pyproject.toml"
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), str(tmp_path / "typed.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_every_public_name_is_listed_where_it_comes_from() -> None:
    homes = microfiche._HOMES
    assert sorted(homes) == microfiche.__all__ == sorted(microfiche.__all__)
    tree = ast.parse(Path(microfiche.__file__).read_text())
    typed = {a.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for a in node.names if a.asname}
    assert typed == set(microfiche.__all__)
    with pytest.raises(AttributeError, match="module 'microfiche' has no attribute 'nothing'"):
        microfiche.nothing  # noqa: B018


def test_load_names_the_readers_that_it_knows() -> None:
    for name in ("rapid", "pixel-small", "nano-index", "missing.safetensors"):
        with pytest.raises(microfiche.MicroficheError, match="no checkpoint there.* there are " + ", ".join(READERS)):
            microfiche.load(name)
    assert [name.value for name in ReaderName] == list(READERS)
    assert all(f'"{name}"' in (microfiche.load.__doc__ or "") for name in READERS)


def test_things_print_in_a_line(tmp_path: Path) -> None:
    text = "It was the best of times, it was the worst of times. " * 20
    (page,) = microfiche.typeset(text, "7x13", "tiny")
    reader = microfiche.load()
    (tokens,) = reader.encode([page])
    (reading,) = reader.read([tokens])
    microfiche.pack(text, tmp_path / "x.fiche", reader, "7x13", "tiny")
    with microfiche.Fiche(tmp_path / "x.fiche") as fiche, microfiche.Memory(tmp_path / "x.memory") as memory:
        shown = [repr(one) for one in (page, tokens, reading, fiche, memory)]
    assert shown == [
        "TypesetPage(512×256 px, 'It was the best of times, it was the wor' …)",
        "VisionTokens(32 of 1280 numbers, a page of 8×4 squares, by nano)",
        "Reading('It was the best of times, it was the wor' …)",
        f"Fiche('{tmp_path}/x.fiche', 1 page by nano)",
        f"Memory('{tmp_path}/x.memory')",
    ]
    with microfiche.Fiche(str(tmp_path / "x.fiche")) as fiche:
        assert repr(fiche) == shown[3]
    name = f"nano ({reader.checkpoint.sha256[:12]})"
    lines = microfiche.load("nano-lines")
    index, print_ = stored.load(INDEX, "nano-index"), microfiche.load("nano-pages")
    assert [repr(one) for one in (reader, lines, lines.decoder)] == [
        f"Nano({name})", f"NanoLines({name})", "LineDecoder(3 layers of 192)",
    ]
    for one in (index, print_, print_.language):
        assert re.fullmatch(r"\w+\([\w-]+ \([0-9a-f]{12}\)\)", repr(one))
    document = microfiche.Document(name="a.pdf", sha256="0" * 64, pages=[])
    assert repr(document) == "Document('a.pdf', 0 pages)"
