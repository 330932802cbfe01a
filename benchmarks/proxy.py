"""What the proxy adds: to a small request, to a piece of a stream, with 500 calls open, and after 2,000 requests.

    python benchmarks/proxy.py

The proxy and the stand-in for the provider are processes of their own on this machine. Each figure is the median of
pairs measured in turn, directly and through the proxy; memory is the proxy's own, from a clean start.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/proxy"))
STREAM = [("content-type", "text/event-stream")]
SMALL = json.dumps({"model": "claude-opus-5", "messages": [{"role": "user", "content": "hi " * 300}]}).encode()


def vendor(pipe: Any) -> None:
    """The stand-in. A request with x-case: stream gets ten pieces, one every 20 ms; with x-case: wait, two, of which
    the second comes when 500 calls are open."""
    import threading

    from provider.server import Recorded, Reply, provider

    full = threading.Event()

    def reply(recorded: Recorded) -> Reply | None:
        case = recorded.header("x-case")
        waiting = made.open
        made.requests.clear()
        made.cache.bill.lines.clear()
        if case == "stream":
            return Reply(200, STREAM, (b"data: %f\n\n" % time.perf_counter() for _ in range(10)), pause=0.02)
        if case == "wait":
            if waiting >= 500:
                full.set()
            return Reply(200, STREAM, [b"data: 1\n\n", b"data: 2\n\n"], waits=full)
        return None

    with provider() as made:
        made.reply = reply
        pipe.send(made.url)
        pipe.recv()


def resident(pid: int) -> float:
    """The memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def paired(direct: Callable[[], float], through: Callable[[], float], pairs: int) -> tuple[float, float]:
    """The medians of both in ms."""
    times = [(direct(), through()) for _ in range(pairs)]
    first, second = zip(*times, strict=True)
    return statistics.median(first) * 1000, statistics.median(second) * 1000


def whole(client: httpx2.Client, url: str) -> float:
    """Seconds for a small request."""
    start = time.perf_counter()
    client.post(url + "/v1/messages", content=SMALL).raise_for_status()
    return time.perf_counter() - start


def late(client: httpx2.Client, url: str) -> float:
    """Seconds from when the provider writes a piece to when it is here: the median of ten pieces. Both clocks are the
    machine's."""
    waits = []
    with client.stream("POST", url + "/v1/messages", content=SMALL, headers={"x-case": "stream"}) as answer:
        for piece in answer.iter_raw():
            now = time.perf_counter()
            waits += [now - float(found) for found in re.findall(rb"data: ([\d.]+)", piece)]
    return statistics.median(waits)


async def open_at_once(url: str, calls: int) -> int:
    """How many calls that are open at once end well."""

    async def one() -> bool:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = "POST /v1/messages HTTP/1.1\r\nHost: x\r\nX-Case: wait\r\nConnection: close\r\nContent-Length: "
        writer.write(f"{head}{len(SMALL)}\r\n\r\n".encode() + SMALL)
        said = await reader.read()
        writer.close()
        return said.endswith(b"data: 2\n\n\r\n0\r\n\r\n")

    return sum(await asyncio.gather(*(one() for _ in range(calls))))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--requests", type=int, default=2000)
    given = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    stand_in = multiprocessing.get_context("spawn").Process(target=vendor, args=(theirs,), daemon=True)
    stand_in.start()
    upstream = ours.recv()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "microfiche", "proxy", "--port", "0", "--anthropic", upstream,
                   "--log", f"{folder}/log"]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, httpx2.Client() as client:
            assert process.stderr is not None
            url = process.stderr.readline().split(" ")[0]
            for _ in range(20):
                whole(client, url)
                whole(client, upstream)
            direct, through = paired(lambda: whole(client, upstream), lambda: whole(client, url), given.pairs)
            print(f"a small request: {direct:.2f} ms, through the proxy {through - direct:.2f} ms more")
            direct, through = paired(lambda: late(client, upstream), lambda: late(client, url), given.pairs // 10)
            print(f"a piece of a stream: {direct:.2f} ms, through the proxy {through - direct:.2f} ms more")
            before = resident(process.pid)
            ended = asyncio.run(open_at_once(url, 500))
            after = resident(process.pid)
            print(f"500 calls at once: {ended} end well; memory {before:.0f} MB before, {after:.0f} after")
            grown = []
            for number in range(given.requests):
                whole(client, url)
                if (number + 1) % (given.requests // 4) == 0:
                    grown.append(resident(process.pid))
            print(f"{given.requests} requests: memory after each quarter {', '.join(f'{mb:.1f}' for mb in grown)} MB")
            process.terminate()
    ours.send(None)
    stand_in.join(5)
    stand_in.terminate()


if __name__ == "__main__":
    main()
