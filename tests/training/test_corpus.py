"""Folders of text: what is read of them, what is held out, and what is said of those that are of no use."""

from __future__ import annotations

import lzma
import os
import re
from pathlib import Path

import numpy as np
import pytest

from microfiche.errors import InputError
from microfiche.training.corpus import Texts, documents, held_out, sorted_texts, text_files


def texts(folder: Path, validation: bool, fewest: int = 1000) -> dict[str, list[str]]:
    return sorted_texts(folder, validation, lambda file, text: (file.suffix, text), fewest)


def test_held_out_documents_are_never_trained_on(text: Path) -> None:
    (trained,), (held,) = (texts(text, validation)[".txt"] for validation in (False, True))
    every = (text / "a.txt").read_text().split("\n\f\n")
    kept = [d for d in every if held_out(d)]
    assert 0 < len(kept) < 40
    assert held == "\n".join(kept) and trained == "\n".join(d for d in every if d not in kept)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.pdf", b"not text", "no training text in it: looked in .txt, .txt.xz, .md, .py"),
        ("a.txt", b"too short", "for files of 1000 characters or more"),
        ("a.txt", b"\x89PNG\r\n\x1a\n" * 1000, "a.txt: not UTF-8 at byte 0"),
        ("a.txt", b"text and \0\0\0" * 1000, "a.txt: NUL at character 9; this is not a text file"),
        ("a.txt.xz", b"\xfd7zXZ\0 cut", "a.txt.xz: not a whole .xz file"),
    ],
)
def test_folders_without_text_are_named(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=re.escape(said)) as error:
        texts(tmp_path, False)
    assert "\n" not in str(error.value)


def test_too_little_for_validation_is_told_with_the_rule(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(next(d for i in range(99) if not held_out(d := f"{i} says so. " * 200)))
    assert texts(tmp_path, False)
    with pytest.raises(InputError, match=r"no held-out text in it: .* in the 1 of 16 documents whose SHA-256 begins"):
        texts(tmp_path, True)


def test_packed_text_is_unpacked_within_bounds_and_a_pipe_not_opened(tmp_path: Path) -> None:
    text = "\n\f\n".join(f"Document {i} of those that are packed. " * 30 for i in range(60))
    (tmp_path / "a.txt.xz").write_bytes(lzma.compress(text[:1000].encode()) + lzma.compress(text[1000:].encode()))
    assert "\n\f\n".join(documents(tmp_path / "a.txt.xz")) == text
    (tmp_path / "bomb.txt.xz").write_bytes(lzma.compress(b"words " * 12_000_000, preset=0))
    with pytest.raises(InputError, match=r"bomb\.txt\.xz: unpacks to over 67,108,864 bytes; the limit ratio is 1,000"):
        texts(tmp_path, False)
    (tmp_path / "bomb.txt.xz").unlink()
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(InputError, match=r"pipe\.txt: neither file nor folder"):
        texts(tmp_path, False)


def test_text_may_be_linked_from_elsewhere_and_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "away.txt").write_text("\ufeffSome text that is trained on.")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").symlink_to(tmp_path / "away.txt")
    (tmp_path / "in/README.md").write_text("Nothing to train on.")
    assert [documents(file) for file in text_files(tmp_path / "in")] == [["Some text that is trained on."]]


def test_of_one_long_book_some_is_held_out(tmp_path: Path) -> None:
    book = "\n".join(f"Line {i} of a book that has no chapters." for i in range(30_000))
    (tmp_path / "book.txt").write_text(book)
    (trained,), (held,) = (texts(tmp_path, validation)[".txt"] for validation in (False, True))
    assert "".join(documents(tmp_path / "book.txt")) == book
    assert 0 < len(held) < 0.3 * len(trained)


def test_a_text_is_drawn_by_the_root_of_its_length() -> None:
    drawn, rng = Texts(["a", "b" * 9]), np.random.default_rng(0)
    counts = sum(drawn.one(rng) == "a" for _ in range(4000))
    assert counts == pytest.approx(1000, rel=0.1)
    assert drawn and not Texts([])
