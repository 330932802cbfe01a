"""The server under 200 uploads at once, of which 20 are bombs or garbage, from a clean start.

    python benchmarks/serving.py [--uploads 200] [--jobs 2]

It says how every upload was answered, the most memory that the server and all its processes held together, and the
time a page beside that of `microfiche read` for the same documents in as many processes. Documents are made here: four
in five are digital PDFs of four pages, the others pictures of pages. Both start cold.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
from PIL import Image, ImageDraw
from reportlab.pdfgen.canvas import Canvas

WORDS = ("best", "times", "worst", "age", "wisdom", "foolishness", "epoch", "belief", "season", "light", "of", "the")
PAGES = 4  #: of a PDF
BAD = 10  #: one upload in so many is a bomb or garbage


def lines(seed: int, count: int) -> list[str]:
    chosen = random.Random(seed)
    return [" ".join(chosen.choice(WORDS) for _ in range(12)) for _ in range(count)]


def pdf(seed: int) -> bytes:
    made = io.BytesIO()
    canvas = Canvas(made, (595, 842))
    for page in range(PAGES):
        canvas.setFont("Times-Roman", 11)
        for number, line in enumerate(lines(seed * PAGES + page, 40)):
            canvas.drawString(60, 780 - 17 * number, line)
        canvas.showPage()
    canvas.save()
    return made.getvalue()


def scan(seed: int) -> bytes:
    image = Image.new("L", (1240, 1754), 255)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines(seed, 12)):
        draw.text((100, 120 + 40 * number), line, fill=0, font_size=22)
    made = io.BytesIO()
    image.save(made, "JPEG", quality=85)
    return made.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def bad(seed: int) -> bytes:
    """A bomb, or garbage: a PNG that says it has 2,500 million pixels, one that has 400 million, a PDF that is cut
    short or says that it has endless pages, and noise."""
    head = b"\x89PNG\r\n\x1a\n"
    side = (50_000, 20_000)[seed % 2]
    size = side.to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    rows = zlib.compress(bytes(side + 1) * 200)
    match seed % 5:
        case 0 | 1:
            return head + chunk(b"IHDR", size) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
        case 2:
            return pdf(seed)[: 900 + seed]
        case 3:
            return pdf(seed).replace(b"/Count 4", b"/Count 99999999")
        case _:
            return random.Random(seed).randbytes(200_000)


def memory_of(group: int) -> int:
    """Bytes that a process and all its descendants hold for themselves, and what they share, counted once each."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    family, grows = {group}, True
    while grows:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        family |= more
        grows = bool(more)
    total = 0
    for pid in family:
        try:
            rolled = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in rolled.splitlines() if line.startswith("Pss:"))
    return total << 10


def served(documents: list[bytes], jobs: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "microfiche", "serve", "--port", "0", "--jobs", str(jobs)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    url = process.stderr.readline().split()[0]
    most, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.2):
            most = max(most, memory_of(process.pid))

    watching = threading.Thread(target=watch)
    watching.start()
    limits = httpx.Limits(max_connections=len(documents))
    with httpx.Client(base_url=url, timeout=3600, limits=limits) as client:

        def upload(data: bytes) -> tuple[int, str, float]:
            answer = client.post("/v1/convert/file", files={"files": ("a.pdf", data)}, data={"to_formats": "md"})
            found = answer.json()
            return answer.status_code, found.get("status") or found["error"]["code"], time.perf_counter()

        start = time.perf_counter()
        with ThreadPoolExecutor(len(documents)) as pool:
            answers = list(pool.map(upload, documents))
        seconds = max(at for *_, at in answers) - start
    ended.set()
    watching.join()
    process.terminate()
    process.wait()
    process.stderr.close()
    return {"seconds": seconds, "most": most, "answers": answers}


def read(documents: list[bytes], jobs: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder) / "in"
        sources.mkdir()
        for number, data in enumerate(documents):
            (sources / f"{number:04d}.{'pdf' if data.startswith(b'%PDF') else 'jpg'}").write_bytes(data)
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "microfiche", "read", str(sources), "-o", f"{folder}/out", "--jobs",
                        str(jobs)], check=True, stderr=subprocess.DEVNULL)  # fmt: skip
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uploads", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    good = [pdf(n) if n % 5 else scan(n) for n in range(given.uploads - given.uploads // BAD)]
    every = [*good, *(bad(n) for n in range(given.uploads // BAD))]
    random.Random(0).shuffle(every)
    pages = sum(PAGES if data.startswith(b"%PDF") else 1 for data in good)
    alone = served(good, given.jobs)  # what is compared with the command line
    together = served(every, given.jobs)
    print(f"{len(every)} uploads: {together['seconds']:.1f} s, {together['most'] / 1e6:.0f} MB", file=sys.stderr)
    command = read(good, given.jobs)
    print(json.dumps({
        "uploads": len(every), "pages": pages, "jobs": given.jobs, "cores": os.cpu_count(),
        "answers": dict(Counter(f"{status} {said}" for status, said, _ in together["answers"])),
        "peak_megabytes": round(together["most"] / 1e6), "seconds": round(together["seconds"], 1),
        "seconds_without_the_bad": round(alone["seconds"], 1), "seconds_of_the_command": round(command, 1),
        "page_time_over_the_commands": round(alone["seconds"] / command, 3),
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
