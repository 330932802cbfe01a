"""A memory for asyncio: each of its methods waits in a thread, so that the loop goes on.

    async with AsyncMemory("history.memory") as memory:
        await memory.sync_chat("support 4711", messages)
        hits = await memory.search("refund")
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from microfiche.errors import StoreError
from microfiche.memory.store import Memory

THREADS = 4  #: that read and write at a time; each has a connection of its own
P = ParamSpec("P")
R = TypeVar("R")


def _awaited(
    method: Callable[Concatenate[Memory, P], R],
) -> Callable[Concatenate[AsyncMemory, P], Coroutine[Any, Any, R]]:
    """A method of AsyncMemory that does what one of Memory does, in a thread."""

    @wraps(method)
    async def call(self: AsyncMemory, /, *args: P.args, **kwargs: P.kwargs) -> R:
        work = partial(method, self.memory, *args, **kwargs)
        try:
            done = asyncio.get_running_loop().run_in_executor(self._threads, work)
        except RuntimeError as error:
            raise StoreError(f"{self.memory.path}: this memory is closed; open it again") from error
        return await done

    return call


class AsyncMemory:
    """A Memory whose methods are awaited. It takes what Memory takes, and `memory` is the one that it stands for.

    A call that is cancelled is still finished by its thread, so that an `add` is never left half done.
    """

    def __init__(self, path: str | Path, **options: Any) -> None:
        self.memory = Memory(path, **options)
        self._threads = ThreadPoolExecutor(THREADS, "microfiche-memory")

    add = _awaited(Memory.add)
    add_text = _awaited(Memory.add_text)
    add_file = _awaited(Memory.add_file)
    add_folder = _awaited(Memory.add_folder)
    add_messages = _awaited(Memory.add_messages)
    sync_chat = _awaited(Memory.sync_chat)
    messages = _awaited(Memory.messages)
    names = _awaited(Memory.names)
    history = _awaited(Memory.history)
    version_text = _awaited(Memory.version_text)
    search = _awaited(Memory.search)
    context = _awaited(Memory.context)
    fade = _awaited(Memory.fade)
    forget = _awaited(Memory.forget)
    wipe = _awaited(Memory.wipe)
    encode = _awaited(Memory.encode)
    recall = _awaited(Memory.recall)
    pin = _awaited(Memory.pin)
    weigh = _awaited(Memory.weigh)
    records = _awaited(Memory.records)
    text = _awaited(Memory.text)
    png = _awaited(Memory.png)
    page = _awaited(Memory.page)
    tokens = _awaited(Memory.tokens)
    read = _awaited(Memory.read)
    record = _awaited(Memory.record)
    places = _awaited(Memory.places)
    open_pages = _awaited(Memory.open_pages)
    clock = _awaited(Memory.clock)
    namespaces = _awaited(Memory.namespaces)
    _namespace = _awaited(Memory.namespace)

    async def namespace(self, name: str) -> Self:
        """The memory of a namespace, as `Memory.namespace` opens it."""
        own = await self._namespace(name)
        made = type(self).__new__(type(self))
        made.memory, made._threads = own, ThreadPoolExecutor(THREADS, "microfiche-memory")
        return made

    async def close(self) -> None:
        """Closes the file once all calls have been finished, those that were cancelled as well."""
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)
        self.memory.close()

    def __repr__(self) -> str:
        return f"Async{self.memory!r}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
