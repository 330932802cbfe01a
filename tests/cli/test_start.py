"""What a command imports before it works: help waits for nothing heavy, and no command loads torch's compiler."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperOption

import microfiche
from microfiche.cli import application
from microfiche.cli.settings import tidied

RUN = """
import json, sys
from microfiche.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def modules(*arguments: str) -> set[str]:
    """The modules that `microfiche` with these arguments has imported when it ends."""
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def said(*arguments: str) -> tuple[int, str, str]:
    """What `microfiche` with these arguments ends with, and says on stdout and stderr."""
    done = subprocess.run([sys.executable, "-m", "microfiche", *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_the_version_is_the_packages() -> None:
    assert said("--version") == (0, f"microfiche {microfiche.__version__}\n", "")
    assert not modules("--version") & {"torch", "numpy", "matplotlib", "PIL"}


@pytest.mark.parametrize(("arguments", "line"), [
    (("nope",), "No such command 'nope'; microfiche --help says more"),
    (("read", "--nope", "x"), r"No such option: --nope \(.*\); microfiche read --help says more"),
    (("memory", "add"), r"Missing argument 'WHAT\.\.\.'; microfiche memory add --help says more"),
    (("proxy", "--port", "x\n"), r"Invalid value for '--port': .*; microfiche proxy --help says more"),
])  # fmt: skip
def test_a_mistake_in_the_arguments_is_one_line(arguments: tuple[str, ...], line: str) -> None:
    code, out, error = said(*arguments)
    assert (code, out) == (2, "") and re.fullmatch(f"microfiche: {line}\n", error.replace("python -m ", "")), error


@pytest.mark.parametrize("arguments", [(), ("memory",), ("train",)])
def test_a_command_without_anything_to_do_says_what_it_can(arguments: tuple[str, ...]) -> None:
    code, out, error = said(*arguments)
    assert code == 2 and "Usage: python -m microfiche" in out and "Commands" in out and not error


@pytest.mark.parametrize(
    "command",
    [[], ["measure"], ["read"], ["train", "codec"], ["pixel", "fill"], ["memory"],
     ["memory", "fade"], ["proxy"], ["run"], ["stats"], ["doctor"]],
)
def test_help_imports_neither_torch_nor_numpy_nor_matplotlib(command: list[str]) -> None:
    assert not modules(*command, "--help") & {"torch", "numpy", "matplotlib", "PIL"}


def every(command: Any, path: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The path of each command, its help, and the commands in it."""
    inner = getattr(command, "commands", {})
    yield path, command.get_help(command.make_context(path, [], resilient_parsing=True)), inner
    for name, one in inner.items():
        yield from every(one, f"{path} {name}")


@pytest.mark.skipif(not hasattr(TyperOption, "display_type_rich"), reason="before 0.27, typer itself names values")
def test_help_cuts_nothing_off_and_says_in_a_word_what_a_value_is() -> None:
    helps = {}
    for path, said, inner in every(tidied(application()), "microfiche"):
        usage, helps[path] = said.split("\n", 1)
        assert not re.search(r"\w\.\.\.$|<\w|list\[|<=", helps[path], re.MULTILINE), said
        for name, command in inner.items():
            (summary,) = re.findall(rf"(?m)^  {name} +(\S.*(?:\n    .*)*)", helps[path])
            summary = " ".join(summary.split())
            assert " ".join(command.help.split()).startswith(summary) and not summary.endswith("."), summary
        assert "{" not in usage
    read = " ".join(helps["microfiche read"].split())
    assert all(word in read for word in ("FILES... PDF files", "--dpi NUMBER", "[18 to 1200]", "--format md|json|text"))


def test_measuring_imports_neither_plots_nor_the_compiler(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("It was the best of times.")
    found = modules("measure", str(tmp_path / "a.txt"))
    assert "torch" in found
    assert not found & {"matplotlib", "sympy", "torch._dynamo", "jieba", "onnxruntime"}
