"""What is an extra is not needed for anything else, and where it is missing one line names the pip command."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from microfiche import Memory
from microfiche.errors import MissingExtra, require

ROOT = Path(__file__).parent.parent
#: Runs the command line as if some packages were not installed.
WITHOUT = """
import sys
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
from microfiche.cli import main
main()
"""


def without(packages: str, *arguments: str, folder: Path) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of a command without the `packages`."""
    command = [sys.executable, "-c", WITHOUT, packages, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    return done.returncode, done.stdout, done.stderr


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    require("a test", "test", "json", "email.message")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"^a plot needs matplotlib: pip install 'microfiche\[plots\]'$") as error:
        require("a plot", "plots", "json", "matplotlib")
    assert error.value.exit_code == 2


@pytest.mark.parametrize("command", [
    ("measure", "a.txt", "--plot", "a.png"), ("measure", "a.pdf", "--as-is", "--plot", "a.png"),
    ("memory", "calibrate", "--text", "a.txt", "--plot", "a.png"),
])  # fmt: skip
def test_a_plot_without_matplotlib_is_refused_before_anything_is_read(tmp_path: Path, command: tuple[str, ...]) -> None:
    code, out, error = without("matplotlib", *command, folder=tmp_path)  # there is no a.txt either
    assert (code, out) == (2, "")
    assert error == "microfiche: --plot needs matplotlib: pip install 'microfiche[plots]'\n"


def test_a_text_is_measured_and_shown_without_matplotlib_and_jieba(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("春眠不觉晓，处处闻啼鸟。", "utf-8")
    code, out, error = without(
        "matplotlib,jieba", "measure", "a.txt", "--density", "16x16", "--show", "a.png", "--json", folder=tmp_path
    )
    assert code == 0 and '"fox_precision": null' in out and '"precision": 1.0' in out
    assert "microfiche[chinese]" in error and (tmp_path / "a.png").stat().st_size


def test_strips_are_drawn_without_matplotlib(tmp_path: Path) -> None:
    code, _, error = without("matplotlib", "pixel", "fill", "The cat sat on the mat.", "-o", "a.png", folder=tmp_path)
    assert code == 0, error
    assert (tmp_path / "a.png").stat().st_size


def test_documents_are_read_and_texts_remembered_without_torch(tmp_path: Path) -> None:
    for name, words in (("paper.pdf", "# Notes on Small Pages"), ("scan.jpg", "Dear Miss Hartley")):
        code, out, error = without("torch", "read", str(ROOT / "examples" / name), folder=tmp_path)
        assert code == 0 and words in out, error
    text = str(ROOT / "examples/alice-1.txt")
    for command in (("render", text, "-o", "pages"), ("memory", "add", text), ("memory", "search", "White Rabbit")):
        code, out, error = without("torch", *command, folder=tmp_path)
        assert code == 0, error
    assert "pink eyes" in out and (tmp_path / "pages/alice-1-0001.png").stat().st_size


@pytest.mark.parametrize("command", [
    ("pack", "a.txt", "-o", "a.fiche"), ("unpack", "a.fiche"), ("memory", "index"),
    ("read", "a.png", "--engine", "nano"), ("pixel", "fill", "words", "-o", "b.png"),
    ("read", "a.png", "--engine", "nano-pages", "-o", "out", "--jobs", "2"), ("read", "a.png", "--weights", "."),
    ("train", "codec", "--text", ".", "--out", "trained"),
])  # fmt: skip
def test_a_model_without_torch_is_refused_in_a_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "a.txt").write_text("It was the best of times.")
    Image.new("L", (99, 99), 255).save(tmp_path / "a.png")
    Memory(tmp_path / "microfiche.memory").close()
    code, out, error = without("torch", *command, folder=tmp_path)
    assert (code, out) == (2, "")
    assert error == "microfiche: this needs one of the models, and they need torch: pip install torch\n"


def test_what_is_needed_without_torch_is_all_the_rest() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    _, *listed = (ROOT / "lite.txt").read_text().splitlines()
    assert [one for one in needed if one not in listed] == [needed[0]] and needed[0].startswith("torch")
    assert not set(listed) - set(needed)


def test_every_file_of_the_package_is_in_the_wheel() -> None:
    package = ROOT / "src/microfiche"
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["microfiche"]
    packed = {file for pattern in patterns for file in package.glob(pattern)}
    there = {file for file in package.rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")}
    assert not there - packed
    assert not [file for file in package.rglob("*.py") if not (file.parent / "__init__.py").exists()]
