"""What holds for every command: the configuration file, variables of the environment, how much is said, and the help.

What a command line does not say is taken from a variable, MICROFICHE_COMMAND_OPTION, else from the table of the command
in a TOML file, else it has its default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from microfiche import __version__
from microfiche.cli.console import fail, loudness
from microfiche.errors import UsageError
from microfiche.files import config_folder, toml_table

PREFIX = "MICROFICHE"  #: of the variables
#: What help calls a value, by the type that typer names.
_WORDS = {
    "str": "TEXT", "list[str]": "TEXT", "path": "PATH", "file": "PATH", "directory": "PATH", "list[Path]": "PATH",
    "int": "NUMBER", "int range": "NUMBER", "float": "NUMBER", "float range": "NUMBER",
}  # fmt: skip
PROXY = "proxy"  #: the command whose table and variables the proxy itself reads, and checks
_files: list[Path] = []  # the configuration file that this process was given by --config, if any


def called(
    arguments: Sequence[str], names: Collection[str], loud: Collection[str]
) -> tuple[list[str], str | None]:
    """The arguments with those that say how much is said in front, wherever they stood before a `--`; and the name of
    the command, or None where all commands are wanted, as for help and completion."""
    name = next((word for word in arguments if word in names), None)
    until = len(arguments)
    if name == "run":
        until = arguments.index(name)
    elif "--" in arguments:
        until = arguments.index("--")
    front = [word for word in arguments[:until] if word in loud]
    rest = [word for word in arguments[:until] if word not in loud]
    leading = rest[: rest.index(name)] if name in rest else rest
    whole = "_MICROFICHE_COMPLETE" in os.environ or any(word in ("-h", "--help") for word in leading)
    return [*front, *rest, *arguments[until:]], None if whole else name


def root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Say which version this is, and end."),
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE",
            help="A TOML file with a table of options for each command, instead of "
            "~/.config/microfiche/microfiche.toml.",
        ),
    ] = None,
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Say nothing but errors. May stand after the command too."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Say more, and where a fault of Microfiche's own is."),
) -> None:
    """What comes before every command."""
    loudness(quiet, verbose)
    _files[:] = [config] if config else []
    if version:
        print(f"microfiche {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)
    if context.obj:  # the command line itself, and no test of a command, which is to be the same for everybody
        try:
            context.default_map = _defaults(context, config)
        except UsageError as error:
            fail(str(error), error.exit_code)


def named_file() -> Path | None:
    """The configuration file that --config named before the command."""
    return _files[0] if _files else None


def _defaults(context: typer.Context, named: Path | None) -> dict[str, Any]:
    """The defaults that the configuration file gives to the commands. Raises UsageError for a key that is no command
    or, in the table of the command that is called, no option of it."""
    path = named or config_folder() / "microfiche.toml"
    if named is None and config_folder().is_file():
        raise UsageError(f"{config_folder()}: not a folder; a file is given by --config")
    table = toml_table(path, must=named is not None)
    from microfiche.cli import COMMANDS, GROUPS

    for name, part in table.items():
        if name not in COMMANDS and name not in GROUPS:
            raise UsageError(f"{path}: {name}: there is no such command")
        if not isinstance(part, dict):
            raise UsageError(f"{path}: {name}: a table of options is needed, [{name}]")
    name = context.invoked_subcommand or ""
    command = getattr(context.command, "commands", {}).get(name)
    if command is not None and name != PROXY:
        for wrong in _unknown(table.get(name, {}), command, name):
            raise UsageError(f"{path}: {wrong}: there is no such option")
    if command is None or name == PROXY:
        return {}
    return {name: _by_parameter(table.get(name, {}), command, f"{path}: {name}")}


def _unknown(part: Mapping[str, Any], command: Any, path: str) -> Iterator[str]:
    inner, known = getattr(command, "commands", {}), _parameters(command)
    for key, value in part.items():
        if key in inner and isinstance(value, dict):
            yield from _unknown(value, inner[key], f"{path}.{key}")
        elif key not in known:
            yield f"{path}.{key}"


def _by_parameter(part: Mapping[str, Any], command: Any, path: str) -> dict[str, Any]:
    """The table of a command with the names that its parameters have in the program, and values as a command line has
    them. Raises UsageError where a value is of another kind than its option takes."""
    inner, known = getattr(command, "commands", {}), _parameters(command)
    options = {one.name: one for one in command.params}
    found: dict[str, Any] = {}
    for key, value in part.items():
        name = known.get(key, key)
        if key in inner:
            found[name] = _by_parameter(value, inner[key], f"{path}.{key}")
        else:
            found[name] = _as_typed(value, options[name], f"{path}.{key}")
    return found


def _as_typed(value: Any, option: Any, path: str) -> bool | str | list[str]:
    if option.is_flag:
        if not isinstance(value, bool):
            raise UsageError(f"{path}: true or false is needed")
        return value
    several = value if isinstance(value, list) and option.multiple else [value]
    if any(isinstance(one, bool) or not isinstance(one, str | int | float | date) for one in several):
        raise UsageError(f"{path}: {'texts or numbers are' if option.multiple else 'a text or a number is'} needed")
    return list(map(str, several)) if option.multiple else str(value)


def _parameters(command: Any) -> dict[str, str]:
    """The names of a command's options as they are written, without the dashes, and as the program has them."""
    options = (one for one in command.params if one.param_type_name == "option")
    return {name.lstrip("-"): one.name for one in options for name in one.opts if name.startswith("--")}


def origin(error: Exception) -> str:
    """Where the wrong value of an option comes from, if that is not the command line."""
    context, one = getattr(error, "ctx", None), getattr(error, "param", None)
    source = getattr(context and one and context.get_parameter_source(one.name), "name", "")
    named = {"ENVIRONMENT": getattr(one, "envvar", ""), "DEFAULT_MAP": "the configuration file"}.get(source)
    return f" (from {named})" if named else ""


def tidied(made: typer.Typer) -> Any:
    """The command of an application, whose help names only variables of its own, wraps no example, cuts off no
    command's first sentence, and says of each value in a word what it is."""
    command: Any = typer.main.get_command(made)
    _tidy_help(command)
    for name, inner in command.commands.items():
        if name != PROXY:
            _tidy(inner, f"{PREFIX}_{name}")
    return command


def _tidy_help(command: Any) -> None:
    if command.help:
        command.short_help = re.split(r"(?<=\.)\s|\n\n", command.help, maxsplit=1)[0].rstrip(".")
    for one in command.params:
        _name_value(one)
    for inner in getattr(command, "commands", {}).values():
        _tidy_help(inner)


def _name_value(one: Any) -> None:
    """Names what an argument or an option takes as help is used to: FILES... and --dpi NUMBER."""
    if one.param_type_name == "argument":
        name = one.metavar or one.name.upper()
        usage = name + "..." * (one.nargs != 1 and not one.metavar)
        one.metavar, one.display_type_rich = usage, lambda ctx: ""
        one.get_usage_pieces = lambda ctx: [usage if one.required else f"[{usage}]"]
    elif one.metavar is None and not one.is_flag and hasattr(one, "display_type"):
        shown = one.display_type
        one.display_type_rich = lambda ctx: _WORDS.get(kind := shown(ctx).strip("<>"), kind)
    low, high = getattr(one, "min", None), getattr(one, "max", None)
    if low is not None:
        one._get_number_range_help_str = lambda: f"{low} or more" if high is None else f"{low} to {high}"


def _tidy(command: Any, prefix: str) -> None:
    for written, name in _parameters(command).items():
        for one in command.params:
            if one.name == name and one.envvar is None:
                one.envvar, one.show_envvar = f"{prefix}_{written}".upper().replace("-", "_"), False
    if command.help:
        command.help = re.sub(r"\n\n(?=[ \t]*microfiche )", "\n\n\b\n", command.help)
    for name, inner in getattr(command, "commands", {}).items():
        _tidy(inner, f"{prefix}_{name}")
