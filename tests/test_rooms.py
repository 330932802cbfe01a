"""docs/architecture.md says what is so: a room imports only rooms above it in its table, and what it names is there."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

import microfiche

ROOT = Path(__file__).parent.parent
_spec = importlib.util.spec_from_file_location("draw_rooms", ROOT / "tools/draw_rooms.py")
assert _spec is not None and _spec.loader is not None
rooms = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(rooms)
SOURCE: Path = rooms.SOURCE
DOCUMENT: str = rooms.DOCUMENT.read_text("utf-8")
ROWS: list[tuple[list[str], str]] = rooms.rows_of(DOCUMENT)


def order_of(rows: Sequence[tuple[list[str], str]]) -> list[str]:
    """The rooms from the top down and, within a row, from left to right."""
    return [room for names, _ in rows for room in names]


def faults(package: Path, order: Sequence[str]) -> list[str]:
    """The imports of a package that lead to a room which does not stand above, or to nothing that is a room."""
    found = []
    for own, path in rooms.files_of(package):
        for room, line in rooms.imports(path, package):
            where = f"{path.relative_to(package)}:{line}"
            if room in (own, "__version__"):
                continue
            if room not in order:
                found.append(f"{where} imports {room or 'the package itself'}, which is no room")
            elif order.index(room) >= order.index(own):
                found.append(f"{where} imports {room}, which does not stand above {own}")
    return found


def test_a_room_imports_only_rooms_above_it() -> None:
    assert faults(SOURCE, order_of(ROWS)) == []


def test_every_room_stands_in_the_table_once() -> None:
    assert sorted(order_of(ROWS)) == sorted({room for room, _ in rooms.files_of()})


def test_the_order_is_that_of_the_table() -> None:
    table = "x\n\n| room | holds |\n|---|---|\n| `errors`, `limits` | one `Line` |\n| `page` | pages |\n\nMore `text`."
    assert order_of(rooms.rows_of(table)) == ["errors", "limits", "page"]


ORDER = ("errors", "limits", "page", "nano", "readers", "cli")


@pytest.mark.parametrize(
    ("file", "code", "said"),
    [
        ("page.py", "from microfiche.cli.read import app", "page.py:1 imports cli, which does not stand above page"),
        ("page.py", "import microfiche.cli.read as r", "page.py:1 imports cli, which"),
        ("page.py", "from microfiche import errors, cli", "page.py:1 imports cli, which"),
        ("page.py", "def f():\n    from microfiche.cli import app", "page.py:2 imports cli, which"),
        ("page.py", "if TYPE_CHECKING:\n    from microfiche.cli import app", "page.py:2 imports cli, which"),
        ("page.py", "from . import cli", "page.py:1 imports cli, which"),
        ("page.py", "from .cli import app", "page.py:1 imports cli, which"),
        ("nano/cells.py", "from .. import cli", "nano/cells.py:1 imports cli, which"),
        ("nano/cells.py", "from ..cli.read import app", "nano/cells.py:1 imports cli, which"),
        ("nano/__init__.py", "from ..cli import app", "nano/__init__.py:1 imports cli, which"),
        ("page.py", "import microfiche", "page.py:1 imports the package itself, which is no room"),
        ("page.py", "import microfiche as m", "page.py:1 imports the package itself, which is no room"),
        ("nano/cells.py", "from .. import *", r"nano/cells.py:1 imports *, which is no room"),
        ("page.py", "from microfiche import *", "page.py:1 imports *, which is no room"),
        ("page.py", "from microfiche import load", "page.py:1 imports load, which is no room"),
        ("cli/read.py", "from microfiche import load", "cli/read.py:1 imports load, which is no room"),
        ("page.py", "import_module('microfiche.cli')", "page.py:1 imports cli, which"),
        ("page.py", "importlib.import_module(f'microfiche.cli.{name}')", "page.py:1 imports cli, which"),
        ("page.py", "import_module(f'microfiche.{name}')", "page.py:1 imports the package itself, which is no room"),
        ("page.py", "__import__('microfiche')", "page.py:1 imports the package itself, which is no room"),
        ("errors.py", "from microfiche.limits import Limits", "errors.py:1 imports limits, which does not stand above"),
        ("readers.py", "from microfiche.together import x", "readers.py:1 imports together, which is no room"),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, file: str, code: str, said: str) -> None:
    package = tmp_path / "microfiche"
    (package / file).parent.mkdir(parents=True)
    (package / file).write_text(code)
    (fault,) = faults(package, ORDER)
    assert fault.startswith(said)


def test_right_imports_are_let_pass(tmp_path: Path) -> None:
    package = tmp_path / "microfiche"
    (package / "nano").mkdir(parents=True)
    (package / "__init__.py").write_text("from microfiche.cli import app")
    (package / "limits.py").write_text("from microfiche.errors import InputError")
    (package / "nano/cells.py").write_text(
        "import numpy.cli\nfrom cli import x\nfrom . import lines\nfrom .lines import x\nfrom .. import page\n"
        "from ..page import Page\nfrom microfiche import __version__\nfrom microfiche import limits, nano\n"
        "import microfiche.page as p\nimport_module(name)\nimport_module('numpy')\n"
    )
    assert faults(package, ORDER) == []


def defined(path: Path, dotted: str) -> bool:
    """Whether a Python file defines a name, which may be that of something in a class: "Nano.read"."""
    if not path.is_file():
        return False
    body: Sequence[ast.stmt] = ast.parse(path.read_text("utf-8")).body
    for name in dotted.split("."):
        for node in body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            named = [getattr(node, "name", None), *(getattr(target, "id", None) for target in targets)]
            if name in named:
                body = getattr(node, "body", [])
                break
        else:
            return False
    return True


NAMED = re.findall(r"`([\w/]+\.(?:py|toml))(?:::([\w.]+))?`", DOCUMENT.replace("\\_", "_"))


def test_enough_is_named() -> None:
    assert len({file for file, _ in NAMED}) >= 25 and len({name for _, name in NAMED}) >= 40


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)), ids=lambda part: part)
def test_a_file_that_the_document_names_is_there_and_defines_the_name(file: str, name: str) -> None:
    path = next((path for path in (SOURCE / file, ROOT / file) if path.is_file()), None)
    assert path is not None, f"there is no {file}"
    assert not name or defined(path, name), f"{file} does not define {name}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][0])
def test_what_the_table_says_that_a_room_holds_is_in_it(row: tuple[list[str], str]) -> None:
    names, said = row
    for part in re.findall(r"`(\w+)`", said):
        files = [path for room, path in rooms.files_of() if room in names]
        assert any(path.stem == part or defined(path, part) for path in files), f"{names[0]} has no {part}"


def test_a_dotted_name_is_public() -> None:
    for name in re.findall(r"`microfiche\.(\w+)", DOCUMENT):
        assert name in microfiche.__all__, f"microfiche.{name} is not public"


def test_what_is_not_defined_is_found(tmp_path: Path) -> None:
    path = tmp_path / "nano.py"
    path.write_text("SIZE = 1\nSIDE: int = 2\nclass Nano:\n    width: int\n    def read(self): ...\ndef load(): ...\n")
    assert all(defined(path, name) for name in ("SIZE", "SIDE", "Nano", "Nano.width", "Nano.read", "load"))
    assert not any(defined(path, name) for name in ("read", "Nano.load", "load.read", "SIZE.x", "int"))
    assert not defined(tmp_path / "no.py", "load")
