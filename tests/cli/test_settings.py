"""The command line stands over the environment, that over the configuration file, and each mistake is one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from microfiche.cli import COMMANDS, GROUPS, LOUD
from microfiche.cli.console import time_left
from microfiche.cli.settings import called
from microfiche.errors import UsageError
from microfiche.files import config_folder, toml_table

#: Runs the command line with a `read` that only says how it was called.
PROGRAM = """
import typer, microfiche.cli as cli
from microfiche.cli import read as module
from typing import Annotated

def read(files: list[str], jobs: int = typer.Option(1, "--jobs"), engine: str = typer.Option("none", "--engine"),
         limit: list[str] = typer.Option([], "--limit"), resume: bool = typer.Option(False, "--resume"),
         form: str = typer.Option("md", "--format")) -> None:
    print(jobs, engine, limit, resume, form)

module.read = read
cli.main()
"""


def said(folder: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MICROFICHE")}
    environment |= {"XDG_CONFIG_HOME": str(folder / "config"), **variables}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def configured(folder: Path, text: str, name: str = "config/microfiche/microfiche.toml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_each_stands_over_the_one_before(tmp_path: Path) -> None:
    assert said(tmp_path, "read", "a") == (0, "1 none [] False md", "")
    table = 'jobs = 2\nengine = "file"\nlimit = ["pages=1", "bytes=2"]\nresume = true\nformat = "text"'
    configured(tmp_path, f"[read]\n{table}")
    assert said(tmp_path, "read", "a") == (0, "2 file ['pages=1', 'bytes=2'] True text", "")
    variables = {"MICROFICHE_READ_JOBS": "3", "MICROFICHE_READ_RESUME": "0", "MICROFICHE_READ_FORMAT": "json"}
    assert said(tmp_path, "read", "a", **variables) == (0, "3 file ['pages=1', 'bytes=2'] False json", "")
    assert said(tmp_path, "read", "a", "--jobs", "4", **variables)[1].startswith("4 file")


def test_a_file_can_be_named_and_the_one_in_the_current_folder_is_not_read_by_itself(tmp_path: Path) -> None:
    file = configured(tmp_path, "[read]\njobs = 5", "microfiche.toml")
    assert said(tmp_path, "read", "a")[1].startswith("1 ")
    assert said(tmp_path, "--config", "microfiche.toml", "read", "a")[1].startswith("5 ")
    assert said(tmp_path, "read", "a", MICROFICHE_CONFIG=str(file.parent))[1].startswith("5 ")
    none = said(tmp_path, "--config", "none.toml", "read", "a")
    assert none == (2, "", "microfiche: none.toml: there is no such file")


def test_the_proxy_s_table_of_a_named_file_stands_over_its_own_file(tmp_path: Path) -> None:
    configured(tmp_path, "port = 7001", "config/microfiche/proxy.toml")
    file = str(configured(tmp_path, '[proxy]\nlog = "here.jsonl"\ndraw = "off"', "named.toml"))
    for command in ("stats", "doctor"):
        assert "here.jsonl" in " ".join(said(tmp_path, "--config", file, command)[1:])
    (tmp_path / "named.toml").write_text('[proxy]\ndrow = "off"')
    for command in (["stats"], ["doctor"], ["proxy"], ["run", "--", "true"], ["forget", "--session", "a", "--yes"]):
        code, out, error = said(tmp_path, "--config", file, *command)
        assert (code, out) == (2, "") and "named.toml: drow" in error
    (tmp_path / "named.toml").write_text("[read]\njobs = 1")
    assert "7001" in said(tmp_path, "--config", file, "doctor")[1], "without a table, the proxy's own file holds"


@pytest.mark.parametrize(("text", "wrong"), [
    ("[raed]\njobs = 1", "raed: there is no such command"), ("read = 1", "read: a table of options is needed, [read]"),
    ("[read]\njbos = 1", "read.jbos: there is no such option"),
    ("[read]\nfiles = 1", "read.files: there is no such option"),
    ("jobs = 1", "jobs: there is no such command"), ("[read", "not a TOML file with settings: "),
    ("[read]\njobs = true", "read.jobs: a text or a number is needed"),
    ("[read]\njobs = [1]", "read.jobs: a text or a number is needed"),
    ("[read]\nengine = false", "read.engine: a text or a number is needed"),
    ("[read]\nlimit = [true]", "read.limit: texts or numbers are needed"),
    ("[read.limit]\npages = 1", "read.limit: texts or numbers are needed"),
    ("[read]\nresume = 1", "read.resume: true or false is needed"),
    ("[read]\nresume = \"no\"", "read.resume: true or false is needed"),
])  # fmt: skip
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, text: str, wrong: str) -> None:
    file = configured(tmp_path, text)
    code, out, error = said(tmp_path, "read", "a")
    assert (code, out) == (2, "") and error.startswith(f"microfiche: {file}: {wrong}") and "\n" not in error


def test_a_wrong_value_says_where_it_comes_from(tmp_path: Path) -> None:
    assert said(tmp_path, "read", "a", MICROFICHE_READ_JOBS="x")[2].count(" (from MICROFICHE_READ_JOBS); ") == 1
    assert "(from" not in said(tmp_path, "read", "a", "--jobs", "x")[2]
    assert said(tmp_path, "read", "a", "--jobs")[2].endswith("requires an argument; microfiche read --help says more")
    for value in ('"x"', "2.5", "2026-01-02"):  # what no number is, and half a one, is not rounded
        configured(tmp_path, f"[read]\njobs = {value}")
        assert "'--jobs'" in (wrong := said(tmp_path, "read", "a")[2]) and " (from the configuration file); " in wrong
    configured(tmp_path, '[read]\njobs = "x"')
    assert said(tmp_path, "read", "a")[2].count(" (from the configuration file); ") == 1
    configured(tmp_path, '[read]\nlimit = "pages=1"')
    assert said(tmp_path, "read", "a")[1] == "1 none ['pages=1'] False md", "one value needs no brackets"


def test_a_folder_of_settings_that_is_a_file_is_no_folder(tmp_path: Path) -> None:
    file = configured(tmp_path, "[read]\njobs = 5", "mine.toml")
    wrong = said(tmp_path, "read", "a", MICROFICHE_CONFIG=str(file))
    assert wrong == (2, "", f"microfiche: {file}: not a folder; a file is given by --config")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", ["--version", "--help", "read -h", "stats -h"])
def test_a_full_disk_is_a_line(arguments: str) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "microfiche", *arguments.split()]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "microfiche: output: No space left on device\n")


def test_no_width_and_no_wish_for_colour_change_what_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Words.")
    command = [sys.executable, "-m", "microfiche", "read", "a.md", "none.md", "-o", "out"]
    for variables in ({"COLUMNS": "0"}, {"FORCE_COLOR": "1"}, {"TERM": "dumb"}):
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, **variables})
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 3 and "\x1b[2K" not in done.stderr, done.stderr


def test_a_wrong_value_is_a_mistake_of_one_line(tmp_path: Path) -> None:
    configured(tmp_path, '[read]\njobs = "many"')
    code, _, error = said(tmp_path, "read", "a")
    assert code == 2 and error.startswith("microfiche: Invalid value for '--jobs'") and "\n" not in error


def test_no_variable_asks_for_the_version_or_for_help(tmp_path: Path) -> None:
    assert said(tmp_path, "read", "a", MICROFICHE_VERSION="0.1", MICROFICHE_HELP="1")[:2] == (0, "1 none [] False md")


def test_a_fault_is_one_line_and_verbose_says_where(tmp_path: Path) -> None:
    broken = PROGRAM.replace("print(jobs, engine, limit, resume, form)", "raise ValueError('odd\\n')")
    for flags, many in (((), False), (("-v",), True)):
        command = [sys.executable, "-c", broken, "read", "a", *flags]
        done = subprocess.run(command, capture_output=True, text=True)
        told = done.stderr.splitlines()
        assert done.returncode == 1
        assert told[0] == "microfiche: a fault in Microfiche (ValueError: odd\\n); -v says where"
        assert (len(told) > 1) is many


NAMES = {*COMMANDS, *GROUPS}


@pytest.mark.parametrize(("arguments", "ordered", "name"), [
    (["read", "a", "-q"], ["-q", "read", "a"], "read"), (["-v", "read", "-q"], ["-v", "-q", "read"], "read"),
    (["read", "--", "-q"], ["read", "--", "-q"], "read"), (["run", "--", "x", "-v"], ["run", "--", "x", "-v"], "run"),
    (["-q", "run", "x", "-v"], ["-q", "run", "x", "-v"], "run"), (["--help"], ["--help"], None),
    (["read", "--help"], ["read", "--help"], "read"), (["-h", "read"], ["-h", "read"], None), ([], [], None),
    (["nope"], ["nope"], None), (["--config", "f", "memory", "add"], ["--config", "f", "memory", "add"], "memory"),
])  # fmt: skip
def test_how_much_is_said_may_stand_anywhere(arguments: list[str], ordered: list[str], name: str | None) -> None:
    assert called(arguments, NAMES, LOUD) == (ordered, name)


def test_a_table_that_need_not_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert toml_table(tmp_path / "none.toml", must=False) == {}
    with pytest.raises(UsageError, match="there is no such file"):
        toml_table(tmp_path / "none.toml", must=True)
    monkeypatch.delenv("MICROFICHE_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert config_folder() == tmp_path / "microfiche"


@pytest.mark.parametrize(("seconds", "words"), [
    (0.2, "0 s left"), (59, "59 s left"), (61, "1 min left"), (180, "3 min left"), (3600 * 2 + 300, "2 h 5 min left"),
])  # fmt: skip
def test_time_left_in_words(seconds: float, words: str) -> None:
    assert time_left(seconds) == words


def test_completion_knows_the_commands() -> None:
    variables = {"_MICROFICHE_COMPLETE": "complete_bash", "COMP_WORDS": "microfiche re", "COMP_CWORD": "1"}
    program = "import sys; sys.argv[0] = 'microfiche'; from microfiche.cli import main; main()"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables})
    assert done.stdout.split() == ["render", "read"], done.stderr
