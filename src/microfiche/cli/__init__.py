"""The `microfiche` command. It is thin: each command reads its arguments, calls the library and prints.

Only the module of the command that is called is imported, and nothing at all for `--version`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from microfiche import __version__

if TYPE_CHECKING:
    import typer

#: The commands in the order of the help, each with the module of this room that has it.
COMMANDS = {
    "render": "codec", "pack": "codec", "unpack": "codec", "measure": "codec", "read": "read", "run": "proxy",
    "proxy": "proxy", "stats": "proxy", "doctor": "proxy", "serve": "serve", "mcp": "recall", "forget": "recall",
}  # fmt: skip
#: The groups of commands, each with the module whose `app` it is.
GROUPS = {"train": "train", "memory": "memory_tuning", "pixel": "pixel", "cluster": "cluster"}
LOUD = ("-q", "--quiet", "-v", "--verbose")  #: options that may stand anywhere


def __getattr__(name: str) -> Any:
    if name == "app":
        globals()["app"] = whole = application()
        return whole
    raise AttributeError(f"module 'microfiche.cli' has no attribute {name!r}")


def application(only: str | None = None) -> typer.Typer:
    """The command line, with all commands or the one of this name."""
    import typer

    from microfiche.cli.settings import root

    made = typer.Typer(
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Keeps text as pictures: sets it on pages, encodes each page to a few vision tokens, and reads them back.",
    )
    made.callback(invoke_without_command=True)(root)
    for name, module in COMMANDS.items():
        if only in (None, name):
            made.command(name)(getattr(import_module(f"microfiche.cli.{module}"), name))
    for name, module in GROUPS.items():
        if only in (None, name):
            made.add_typer(import_module(f"microfiche.cli.{module}").app, name=name)
    return made


def main() -> None:
    """Runs the command line, and ends the process. Every error is said in one line; a mistake in the arguments has the
    exit code 2, and a fault of Microfiche's own 1."""
    if sys.argv[1:] == ["--version"] and sys.stdout is not None:
        try:
            print(f"microfiche {__version__}", flush=True)
        except OSError as error:
            sys.stdout = None  # else it would be flushed again
            sys.exit(f"microfiche: output: {error.strerror}")
        return
    from microfiche.cli.console import closed_output, complain, one_line, traced
    from microfiche.cli.settings import called, origin, tidied
    from microfiche.errors import without_torch

    if sys.stdout is None:
        sys.stdout = closed_output()
    arguments, name = called(sys.argv[1:], {*COMMANDS, *GROUPS}, LOUD)
    command = tidied(application(name))
    try:
        code = command.main(arguments, standalone_mode=False, obj=True)
    except Exception as error:
        context, written = getattr(error, "ctx", None), getattr(error, "format_message", None)
        code = 2
        if type(error).__name__ == "Abort":
            complain("microfiche: stopped")
            code = 130
        elif said := without_torch(error):
            complain(f"microfiche: {said}")
            traced(error)
        elif isinstance(error, OSError):
            complain(one_line(f"microfiche: {error.filename or 'output'}: {error.strerror or error}"))
            traced(error)
            code = 1
        elif written is None:
            complain(one_line(f"microfiche: a fault in Microfiche ({type(error).__name__}: {error}); -v says where"))
            traced(error)
            code = 1
        elif type(error).__name__ == "NoArgsIsHelpError":
            print(context.get_help() if context else written())
        else:
            path = context.command_path if context else f"microfiche {name or ''}".rstrip()
            said = f"{written().rstrip('.')}{origin(error)}"
            complain(one_line(f"microfiche: {said}; {path} --help says more"))
    sys.exit(code)
