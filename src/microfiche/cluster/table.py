"""The table of a run: a Parquet file set with one row for each document, which says what has become of it.

It is the truth by which a later run goes on. Rows are written in parts, each whole or not at all; until its part is
written, a row lies beside it as a file of its own, so that nothing is lost with the process that writes the table. It
knows nothing of Ray.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from microfiche.errors import InputError
from microfiche.files import plain, whole_file

FOLDER = "documents.parquet"  #: the table, within the output folder
OWN = ".cluster"  #: what a run keeps for itself, within the output folder
ROWS = "rows"  #: rows that are not in the table yet, within OWN
PART = re.compile(r"part-(\d{8})\.parquet")
LARGEST = 10_000  #: rows of one part, at most, once the table is put in order

#: What became of a document: all pages read; some of them partial; some page or all of it failed; or twice it ended the
#: process that read it.
Status = Literal["ok", "partial", "failed", "quarantined"]
FAILED: tuple[Status, ...] = ("failed", "quarantined")
#: What is counted of all rows.
COUNTED = (
    "documents", "documents_ok", "documents_partial", "documents_failed", "documents_quarantined",
    "pages", "pages_ok", "pages_partial", "pages_failed", "vision_tokens",
)  # fmt: skip


@dataclass
class Row:
    """One document. `name` is that of its output, `settings` all that the output depends on beside the content.

    `pages_ok`, `pages_partial` and `pages_failed` count pages by how their reading ended, `tokens` are the vision
    tokens in its .fiche file, and `outputs` are relative to the output folder. `stamp` is the size and the time of the
    source.
    """

    name: str
    source: str
    sha256: str = ""
    stamp: str = ""
    settings: str = ""
    status: Status = "failed"
    pages: int = 0
    pages_ok: int = 0
    pages_partial: int = 0
    pages_failed: int = 0
    engine: str = ""
    tokens: int | None = None
    seconds: float = 0.0
    outputs: list[str] = field(default_factory=list)
    error: str = ""

    def __post_init__(self) -> None:
        self.source, self.error = plain(self.source), plain(self.error)


COLUMNS = tuple(one.name for one in fields(Row))


def stored(row: Row) -> str:
    """A row as a line of JSON."""
    return json.dumps(asdict(row))


def row_of(text: str | bytes) -> Row:
    """The row in a line of JSON. Raises ValueError if it is none."""
    try:
        return Row(**json.loads(text))
    except TypeError as error:
        raise ValueError(str(error)) from error


def set_down(folder: Path, row: Row) -> None:
    """Writes a row beside the table of the output folder, until `Table` takes it in."""
    with whole_file(folder / OWN / ROWS / f"{row.name}.json") as beside:
        beside.write_text(stored(row), "utf-8")


class Table:
    """The table in an output folder. Use it in a `with`, at whose end all rows are in it, each document once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER
        self._rows = folder / OWN / ROWS
        self._waiting: list[Row] = []

    def rows(self) -> Iterator[Row]:
        """All rows, from the oldest part to the newest, and at last those that no part has yet. Of a document that was
        done twice the later row counts. Raises InputError if a part cannot be read."""
        for path in self._parts():
            yield from _read(path)
        for path in sorted(self._rows.glob("*.json")):
            with suppress(OSError, ValueError):
                yield row_of(path.read_bytes())

    def latest(self) -> Iterator[Row]:
        """The row that counts of each document. A number for each is in memory, and one part."""
        last: dict[int, int] = {}
        for number, row in enumerate(self.rows()):
            last[hash(row.name)] = number
        for number, row in enumerate(self.rows()):
            if last.get(hash(row.name)) == number:
                yield row

    def add(self, row: Row) -> None:
        """Takes a row, which is in the table after the next `flush`."""
        self._waiting.append(row)

    def flush(self) -> None:
        """Writes the rows that were added as a part of the table. Raises InputError if that cannot be written."""
        if not self._waiting:
            return
        self._write(self._waiting)
        for row in self._waiting:
            (self._rows / f"{row.name}.json").unlink(missing_ok=True)
        self._waiting = []

    def recover(self) -> None:
        """Takes in the rows that a run which was killed left beside the table."""
        for path in sorted(self._rows.glob("*.json")):
            try:
                self.add(row_of(path.read_bytes()))
            except (OSError, ValueError):
                path.unlink(missing_ok=True)
            if len(self._waiting) >= LARGEST:
                self.flush()
        self.flush()

    def put_in_order(self) -> None:
        """Writes the table anew, in few parts that hold each document once. One part is in memory at a time, and a hash
        for each document."""
        parts, kept = self._parts(), list[Row]()
        count, different = 0, set[int]()
        for path in parts:
            for row in _read(path):
                different.add(hash(row.name))
                count += 1
        if len(parts) <= -(-count // LARGEST) and len(different) == count:
            return
        for row in self.latest():
            kept.append(row)
            if len(kept) == LARGEST:
                self._write(kept)
                kept = []
        if kept:
            self._write(kept)
        for path in parts:
            path.unlink(missing_ok=True)

    def counts(self) -> dict[str, Any]:
        """How many documents and pages there are of each status, and the `error` of each that failed."""
        count: Counter[str] = Counter({name: 0 for name in COUNTED})
        failed = []
        for row in self.latest():
            count.update({
                "documents": 1, f"documents_{row.status}": 1, "pages": row.pages, "pages_ok": row.pages_ok,
                "pages_partial": row.pages_partial, "pages_failed": row.pages_failed, "vision_tokens": row.tokens or 0,
            })  # fmt: skip
            if row.status in FAILED:
                failed.append(row.error)
        return {**count, "failed": failed}

    def _parts(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("part-*.parquet") if PART.fullmatch(path.name))

    def _write(self, rows: list[Row]) -> None:
        import pyarrow
        from pyarrow import parquet

        kinds = {"pages": pyarrow.int64(), "tokens": pyarrow.int64(), "seconds": pyarrow.float64(),
                 "outputs": pyarrow.list_(pyarrow.string())}  # fmt: skip
        schema = pyarrow.schema([
            (name, pyarrow.int64() if name.startswith("pages_") else kinds.get(name, pyarrow.string()))
            for name in COLUMNS
        ])
        data = pyarrow.Table.from_pylist([asdict(row) for row in rows], schema)
        parts = self._parts()
        number = int(PART.fullmatch(parts[-1].name)[1]) + 1 if parts else 1  # type: ignore[index]
        # As open files, because pyarrow takes a name like a:b for an address.
        with whole_file(self.folder / f"part-{number:08d}.parquet") as beside, beside.open("wb") as file:
            parquet.write_table(data, file)

    def __enter__(self) -> Table:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.flush()
        if error is None:
            self.put_in_order()


def _read(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        from microfiche.cluster.listing import missing

        raise missing("pyarrow") from error
    try:
        with path.open("rb") as file:
            for batch in parquet.ParquetFile(file).iter_batches(batch_size=1000, columns=list(COLUMNS)):
                for row in batch.to_pylist():
                    yield Row(**row)
    except (OSError, ValueError, TypeError, pyarrow.ArrowException) as error:
        raise InputError(f"{path}: this part of the table is damaged ({str(error).splitlines()[0]}); "
                         "remove it, and what it told of is looked at again") from error
