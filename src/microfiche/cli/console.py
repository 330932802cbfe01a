"""What all commands share: where output goes, how errors end a command, and how progress is shown."""

from __future__ import annotations

import errno
import io
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer
from rich.console import Console

from microfiche.errors import MicroficheError

EVERY = 10.0  #: seconds between two lines of progress where there is no terminal
err = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def reported() -> Iterator[None]:
    """Turns an error of the package, an interrupt or an error of the system into one line on stderr and an exit
    code."""
    try:
        yield
    except MicroficheError as error:
        fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        fail("stopped; nothing half-written was left", 130)
    except BrokenPipeError:
        sys.stderr.close()
        raise typer.Exit(1) from None
    except OSError as error:
        fail(f"{error.filename or 'output'}: {error.strerror or error}", 1)


def say(line: str) -> None:
    """Prints a line on stderr as it is, without markup."""
    err.print(line, markup=False)


def on_command_line(context: typer.Context, option: str) -> bool:
    """Whether an option was given on the command line, rather than by the environment or its default."""
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def fail(message: str, code: int) -> None:
    """Prints `message` on stderr as one line without control characters, and ends the command with exit code `code`."""
    say(one_line(f"microfiche: {message}"))
    raise typer.Exit(code)


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
    """Shows a bar on a terminal, elsewhere a line every `EVERY` seconds. Yields a function that takes how much is
    done, how fast, and, where `what` turns out to be more or less than `total`, how much there is."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = [
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
    ]  # fmt: skip
    with Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=err, disable=not err.is_terminal, transient=True
    ) as bar:
        task = bar.add_task(what, total=total, rate="")
        start = said = time.monotonic()
        first: int | None = None

        def done(count: int, rate: str = "", of: int | None = total) -> None:
            nonlocal said, first
            bar.update(task, completed=count, rate=rate, total=of)
            first = count - 1 if first is None else first
            now = time.monotonic()
            if not err.is_terminal and now - said >= EVERY:
                said = now
                told = f"{count} of {of}" if of else f"{count}"
                left = f"{(now - start) / (count - first) * (of - count):.0f} s left" if of else ""
                err.print(f"{what}: {', '.join(filter(None, (told, rate, left)))}", markup=False)

        yield done
