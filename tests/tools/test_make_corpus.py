"""A corpus from novels, articles and texts: whole documents, the same ones each time, and nothing half written."""

from __future__ import annotations

import lzma
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet

TOOL = Path(__file__).parents[2] / "tools/make_corpus.py"
TEI = '<TEI xmlns="http://www.tei-c.org/ns/1.0"><text><front><p>By a lady</p></front><body>{}</body></text></TEI>'


def made(out: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), str(out), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def read(path: Path) -> list[str]:
    return lzma.decompress(path.read_bytes()).decode().split("\n\f\n")


def test_documents_of_every_kind(tmp_path: Path) -> None:
    paragraphs = [f"Paragraph {n} <hi>of</hi>\n this book. " + "It goes on. " * 100 for n in range(12)]
    (tmp_path / "in").mkdir()
    (tmp_path / "in/book.xml").write_text(TEI.format("".join(f"<div><p>{p}</p></div>" for p in paragraphs)))
    (tmp_path / "in/law.md").write_text("# Law\n\nA\f rule: cafe\u0301.\n")
    (tmp_path / "in/picture.jpg").write_bytes(b"\xff\xd8")
    pyarrow.parquet.write_table(
        pyarrow.table({"title": ["a", "b"], "text": ["One article.", "Two articles."]}), tmp_path / "wiki.parquet"
    )
    out = tmp_path / "corpus/all.txt.xz"
    done = made(out, tmp_path / "in", tmp_path / "wiki.parquet")
    found = read(out)
    assert done.returncode == 0, done.stderr
    assert f"{len(found)} documents" in done.stdout
    assert {"# Law\n\nA rule: café.", "One article.", "Two articles."} < set(found)
    book = [document for document in found if document.startswith("Paragraph")]
    assert len(book) == 3 and sum(document.count("of this book.") for document in book) == 12
    before = out.read_bytes()
    made(out, tmp_path / "wiki.parquet", tmp_path / "in")
    assert out.read_bytes() == before
    made(out, tmp_path / "in", "--characters", 40)
    assert sum(map(len, read(out))) <= 40


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    out = tmp_path / "all.txt.xz"
    for arguments, says in (((out, tmp_path / "none"), "no such file"), ((out,), "no documents"),
                            ((tmp_path / "all.txt", tmp_path), ".txt.xz")):  # fmt: skip
        done = made(*arguments)
        assert done.returncode == 1 and says in done.stderr and len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
