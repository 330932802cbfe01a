"""What README and docs say is so: every command and option is documented, every example runs or says why it does not.

An example is a fenced block of `sh` or `python`. One that is not run stands after a comment that says why:
<!-- not run: it trains for an hour -->
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

import microfiche
from microfiche.cli import app
from microfiche.cli.settings import tidied

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?P<why><!-- not run: (?P<reason>[^>]+) -->\n+)?^```(?P<language>sh|python)\n(?P<code>.*?)^```$", re.M | re.S
)


class Example(NamedTuple):
    """A fenced block: where it stands, its language and code, and why it is not run, if it is not."""

    where: str
    language: str
    code: str
    reason: str | None


def examples() -> Iterator[Example]:
    for path in DOCUMENTS:
        text = path.read_text()
        for found in BLOCK.finditer(text):
            line = text[: found.start("language")].count("\n") + 1
            where = f"{path.relative_to(ROOT)}:{line}"
            yield Example(where, found["language"], found["code"], found["reason"])


EXAMPLES = list(examples())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the examples, the tools and the documents in it, as in a clone."""
    for name in ("examples", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("*.png"))
    return tmp_path


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.reason is None], ids=lambda e: e.where)
def test_an_example_runs(example: Example, place: Path) -> None:
    """What installs is left out of shell commands: the program is installed already."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    if example.language == "python":
        command = [sys.executable, "-c", example.code]
    else:
        steps = [step for step in re.split(r"&&|\n", example.code) if step.strip() and "pip install" not in step]
        steps = [step for step in steps if "pytest" not in step]
        program = f'microfiche() {{ "{sys.executable}" -m microfiche "$@"; }}\n' + "\n".join(steps)
        command = ["bash", "-euo", "pipefail", "-c", program]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{example.where}: {done.stderr[-2000:]}"


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.reason is not None], ids=lambda e: e.where)
def test_an_example_that_is_not_run_says_why_and_is_python_or_names_a_command(example: Example) -> None:
    assert example.reason and len(example.reason.split()) >= 3
    if example.language == "python":
        compile(example.code, example.where, "exec")


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its name, which are click's, or typer's own copy of click's."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
    for name, one in (inner or {}).items():
        yield from commands(one, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_and_each_of_its_options_says_what_it_does(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help and len(command.help.split()) >= 4
    for parameter in command.params:
        if parameter.param_type_name == "option" and parameter.name != "help":
            said = parameter.help
            assert said and said.rstrip(")").endswith((".", "…")), f"{' '.join(path)} {parameter.opts[0]}: {said!r}"


def test_the_recipes_of_published_models_are_commands() -> None:
    text = (ROOT / "docs/deepseek-ocr.md").read_text()
    lines = re.findall(r"`(microfiche [^`\n]+)`|^(microfiche [^#\n]+)", text, re.M)
    recipes = [shlex.split(one or other)[1:] for one, other in lines]
    assert len(recipes) >= 10
    asked = [COMMANDS[(recipe[0],)].make_context(recipe[0], recipe[1:]).params for recipe in recipes]
    folders = {"DeepSeek-OCR", "DeepSeek-OCR-2", "Unlimited-OCR"}
    for device, dtype in (("cuda", None), ("cpu", "int8")):
        found = {params["weights"] for params in asked if (params["device"], params["dtype"]) == (device, dtype)}
        assert found >= folders


def test_every_option_stands_in_a_document() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    named = set(re.findall(r"--[a-z][a-z-]*", text))
    options = {name for command in COMMANDS.values() for parameter in command.params for name in parameter.opts}
    assert sorted(name for name in options if name.startswith("--") and name not in {*named, "--help"}) == []


def test_every_variable_of_the_page_on_the_command_line_is_one() -> None:
    named = set(re.findall(r"MICROFICHE_[A-Z0-9_]*[A-Z0-9]", (ROOT / "docs/command-line.md").read_text()))
    options = {one.envvar for command in dict(commands(tidied(app))).values() for one in command.params}
    assert named - options == {"MICROFICHE_CONFIG", "MICROFICHE_ENDPOINT_KEY"}  # which are no options


def test_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    missing = [" ".join(path) for path in COMMANDS if f"`microfiche {' '.join(path)}" not in text]
    assert not missing


def test_the_public_names_are_listed() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    assert [name for name in microfiche.__all__ if f"`{name}`" not in text] == []


LINK = re.compile(r"\]\(([^()\s]+)\)")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_relative_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    for link in LINK.findall(path.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), f"{link}: there is no such file"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in anchors, f"{link}: there is no such heading"
