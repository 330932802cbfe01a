"""What all commands share: where output goes, how errors end a command, and how progress is shown."""

from __future__ import annotations

import errno
import io
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer
from rich.console import Console

from microfiche.errors import MicroficheError

_on_terminal = bool(sys.stderr and sys.stderr.isatty())  # else FORCE_COLOR would bring bars into a log
err = Console(stderr=True, highlight=False, soft_wrap=True, force_interactive=None if _on_terminal else False)
if err.width < 1:  # COLUMNS=0, with which rich would print nothing
    err.width = 80
out = Console(highlight=False, soft_wrap=True)
verbose = False  #: whether more is to be said


@contextmanager
def reported() -> Iterator[None]:
    """Turns an error of the package, an interrupt or an error of the system into one line on stderr and an exit
    code."""
    try:
        yield
    except MicroficheError as error:
        traced(error)
        fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        fail("stopped; nothing half-written was left", 130)
    except BrokenPipeError:
        sys.stderr.close()
        raise typer.Exit(1) from None
    except OSError as error:
        fail(f"{error.filename or 'output'}: {error.strerror or error}", 1)


def loudness(quiet: bool, more: bool) -> None:
    """Sets how much is said: with `quiet` nothing but errors."""
    global verbose
    err.quiet, verbose = quiet, more


def complain(line: str) -> None:
    """Prints a line about an error on stderr, however little is to be said."""
    before, err.quiet = err.quiet, False
    err.print(line, markup=False)
    err.quiet = before


def traced(error: BaseException) -> None:
    """Prints where an error arose, if more is to be said."""
    if verbose:
        for line in traceback.format_exception(error):
            complain(line.rstrip())


def say(line: str, colour: str | None = None) -> None:
    """Prints a line on stderr as it is, without markup, in a colour where it is given and a terminal shows it."""
    err.print(line, markup=False, style=colour)


def print_rows(rows: Mapping[str, str]) -> None:
    """Prints names and values on standard output, one below the other, however narrow the terminal is."""
    widest = max(map(len, rows), default=0)
    for name, value in rows.items():
        print(f" {name:<{widest}}  {value}")


def on_command_line(context: typer.Context, option: str) -> bool:
    """Whether an option was given on the command line, rather than by the environment or its default."""
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def fail(message: str, code: int) -> None:
    """Prints `message` on stderr as one line without control characters, and ends the command with exit code `code`."""
    complain(one_line(f"microfiche: {message}"))
    raise typer.Exit(code)


def counted(count: int, what: str) -> str:
    """A number of things as people say it: 1 page, 2,000 pages."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def one_line(text: str) -> str:
    """Escapes control characters, line ends and lone surrogates in the text, so that it does nothing to a terminal."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


class _Closed(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        raise OSError(errno.EBADF, "it is closed", "standard output")


def closed_output() -> io.TextIOWrapper:
    """Returns a stand-in for a standard output that was closed when the program started. Writing to it is an error."""
    return io.TextIOWrapper(io.BufferedWriter(_Closed(), 1), write_through=True)


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether Ctrl-C was pressed or the process was asked to end (SIGTERM, as from a
    scheduler or torchrun), so that work can stop at a good place. A second signal interrupts at once."""
    pressed: list[int] = []

    def press(number: int, frame: FrameType | None) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    before = {number: signal.signal(number, press) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(pressed)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def step_told(line: dict[str, Any], unit: str) -> None:
    """Prints a line of a training's log; its rate is in `unit` per second."""
    left = line["seconds_left"]
    held = " ".join(f"{name} {score:.4f}" for name, score in line.get("held_out", {}).items())
    err.print(
        f"step {line['step']} loss {line['loss']:.4f} right {line['right']:.4f} "
        f"{line['tokens_per_second']:.0f} {unit}/s "
        f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d} left {held}".rstrip(),
        markup=False,
    )


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Any]:
    """Shows a bar on a terminal, and nothing elsewhere. Yields a function that takes how much is done, how fast, how
    much there is where that is not `total`, and what is counted in words where that is something else."""
    if not (err.is_terminal and err.is_interactive) or err.quiet:
        yield lambda count, rate="", of=None, told="": None
        return
    from rich.progress import BarColumn, Progress, TextColumn

    what_is_done, told_of_it = (TextColumn(f"{{task.{one}}}", markup=False) for one in ("description", "fields[told]"))
    columns = (what_is_done, BarColumn(), told_of_it)
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what, total=total, told="")
        start = time.monotonic()
        first: int | None = None

        def done(count: int, rate: str = "", of: int | None = total, told: str = "") -> None:
            nonlocal first
            first = count - 1 if first is None else first
            left = time_left((time.monotonic() - start) / max(1, count - first) * (of - count)) if of else ""
            said = told or (f"{count:,} of {of:,}" if of else f"{count:,}")
            bar.update(task, completed=count, total=of, told=", ".join(filter(None, (said, left, rate))))

        yield done


def time_left(seconds: float) -> str:
    """How long something still takes, in words."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{max(0, round(seconds))} s left"
    return f"{minutes} min left" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min left"
