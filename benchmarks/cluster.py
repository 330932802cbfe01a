"""The cluster on one machine: what kills cost, what Ray costs, and how much memory listing takes.

    python benchmarks/cluster.py kills PDFS WORK     # ten kills at random, two of them of the driver
    python benchmarks/cluster.py rate PDFS WORK      # pages a second through Ray, and by `microfiche read --jobs`
    python benchmarks/cluster.py listing WORK        # memory of the driver over 1,000, 10,000 and 100,000 documents

PDFS is a folder of real PDF documents, of which --documents are drawn, with --pages pages in all. Each prints one JSON
object a line. What is written goes to WORK, which may be on a small disk; it is not removed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

COMMAND = [sys.executable, "-m", "microfiche"]
OWN = (".cluster", "documents.parquet")  #: what the cluster writes beside what `read` writes


def drawn(pdfs: Path, work: Path, documents: int, pages: int, seed: int) -> Path:
    """A folder of so many documents with about so many pages, drawn from those below `pdfs`; none is changed."""
    import pikepdf

    place = work / f"in-{documents}-{pages}-{seed}"
    if place.is_dir():
        return place
    files = sorted(pdfs.rglob("*.pdf"))
    random.Random(seed).shuffle(files)
    left, wanted, mean = documents, pages, pages / documents
    (place.with_suffix(".part")).mkdir(parents=True, exist_ok=True)
    for path in files:
        try:
            with pikepdf.open(path) as pdf:
                count = len(pdf.pages)
        except Exception:
            continue
        # as long as fits the mean of what is left, so that the sum comes out; one in ten may be long
        most = 6 * mean if left % 10 == 0 else 2 * wanted / max(1, left)
        if not 1 <= count <= min(most, wanted - (left - 1)):
            continue
        shutil.copy(path, place.with_suffix(".part") / f"{documents - left:04d}-{path.name}")
        left, wanted = left - 1, wanted - count
        if not left:
            break
    place.with_suffix(".part").rename(place)
    print(json.dumps({"documents": documents - left, "pages": pages - wanted}), flush=True)
    return place


def below(pid: int) -> Iterator[int]:
    """All processes below a process."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            yield int(entry.name)
            yield from below(int(entry.name))


def workers_of(pid: int) -> list[int]:
    """The processes below a driver that do its work: Ray's actors, and the processes that they hand documents to."""
    found = []
    for one in below(pid):
        try:
            words = Path(f"/proc/{one}/cmdline").read_bytes()
        except OSError:
            continue
        if b"MapWorker" in words or b"microfiche.documents.crew" in words:
            found.append(one)
    return found


def begun(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def written(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in OWN
    }


def kills(options: argparse.Namespace) -> None:
    """Kills a run `--kills` times, twice its driver and otherwise a worker, and compares with an unbroken reading."""
    import pyarrow.parquet as parquet

    place = drawn(options.pdfs, options.work, options.documents, options.pages, options.seed)
    whole, broken = options.work / "unbroken", options.work / "broken"
    for folder in (whole, broken):
        shutil.rmtree(folder, ignore_errors=True)
    engine = ["--engine", options.engine] if options.engine else []
    start = time.perf_counter()
    subprocess.run([*COMMAND, "read", str(place), "-o", str(whole), *engine, "--jobs", str(options.jobs)],
                   stderr=subprocess.DEVNULL)  # fmt: skip
    unbroken = time.perf_counter() - start
    chance = random.Random(options.seed)
    at = sorted(chance.uniform(0.15, 0.85) for _ in range(options.kills))  # shares of the documents that are done
    drivers = set(chance.sample(range(options.kills), min(2, options.kills)))
    command = [*COMMAND, "cluster", "read", str(place), "-o", str(broken), *engine, "--workers", str(options.jobs)]
    count = len(list(place.iterdir()))
    start, runs, process = time.perf_counter(), 1, begun(command)
    for number, share in enumerate(at):
        while len(list(broken.glob("*.json"))) < share * count and process.poll() is None:
            time.sleep(0.05)
        if number in drivers:
            os.kill(process.pid, signal.SIGKILL)
        else:
            while not (victims := workers_of(process.pid)) and process.poll() is None:
                time.sleep(0.05)
            for pid in victims[:1] if not victims else [chance.choice(victims)]:
                os.kill(pid, signal.SIGKILL)
        print(json.dumps({"killed": "driver" if number in drivers else "worker", "at": round(share, 2)}), flush=True)
        if number in drivers:
            process.communicate()
            runs, process = runs + 1, begun(command)
    process.communicate()
    taken = time.perf_counter() - start
    ours, theirs = written(broken), written(whole)
    rows = parquet.read_table(broken / "documents.parquet").to_pylist()
    print(json.dumps({
        "measured": "kills", "documents": count, "rows": len(rows), "names": len({row["name"] for row in rows}),
        "pages": sum(row["pages"] for row in rows), "files": len(theirs), "same_bytes": ours == theirs,
        "differing": sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))[:10],
        "not_ok": sorted((row["name"], row["status"]) for row in rows if row["status"] != "ok")[:10],
        "kills": len(at), "runs": runs, "seconds": round(taken, 1), "seconds_unbroken_read": round(unbroken, 1),
    }), flush=True)  # fmt: skip


def rate(options: argparse.Namespace) -> None:
    """Reads the same documents in turn by `read --jobs` and through Ray, and prints pages a second of both."""
    place = drawn(options.pdfs, options.work, options.documents, options.pages, options.seed)
    engine = ["--engine", options.engine] if options.engine else []
    for turn in range(options.turns):
        for name, more in (("read", ["--jobs"]), ("cluster", ["--workers"])):
            out = options.work / f"rate-{name}"
            shutil.rmtree(out, ignore_errors=True)
            command = [*COMMAND, *(["cluster"] * (name == "cluster")), "read", str(place), "-o", str(out), *engine,
                       *more, str(options.jobs)]  # fmt: skip
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            process = begun(command)
            first = None
            while process.poll() is None:
                if first is None and any(out.glob("*.json")):
                    first = time.perf_counter()
                time.sleep(0.02)
            end, after = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            pages = sum(len(json.loads(path.read_text())["pages"]) for path in out.glob("*.json"))
            print(json.dumps({
                "measured": "rate", "turn": turn, "by": name, "pages": pages, "seconds": round(end - start, 2),
                "seconds_to_first": round((first or end) - start, 2),
                "pages_per_second": round(pages / (end - start), 3),
                "pages_per_second_after_first": round(pages / (end - (first or start)), 3),
                "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
            }), flush=True)  # fmt: skip


def listing(options: argparse.Namespace) -> None:
    """Lists and plans folders of more and more empty documents, each in a process of its own, and prints its memory."""
    code = (
        "import resource, sys, time\nfrom pathlib import Path\n"
        "from microfiche.cluster.listing import listed\nfrom microfiche.cluster.plan import Plan\n"
        "from microfiche.cluster.table import Table\nimport pyarrow.parquet\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\nstart = time.perf_counter()\n"
        "with Plan() as plan:\n"
        "    plan.list(listed([sys.argv[1]]))\n"
        "    plan.write(Path(sys.argv[2]), Table(Path(sys.argv[1])), 's', lambda name: True)\n"
        "    print(plan.documents, before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,"
        " round(time.perf_counter() - start, 2))\n"
    )
    for count, each in ((1000, 100), (10_000, 1000), (100_000, 1000), (100_000, 100_000)):
        place = options.work / f"listing-{count}-{each}"
        for number in range(count):
            if number % each == 0:
                (place / f"{number // each}").mkdir(parents=True, exist_ok=True)
            (place / f"{number // each}" / f"document-{number}.pdf").touch()
        done = subprocess.run([sys.executable, "-c", code, str(place), str(options.work / "units")],
                              capture_output=True, text=True, check=True)  # fmt: skip
        documents, before, peak, seconds = done.stdout.split()
        print(json.dumps({
            "measured": "listing", "documents": int(documents), "a_folder": each, "seconds": float(seconds),
            "kilobytes_before": int(before), "kilobytes_at_most": int(peak),
        }), flush=True)  # fmt: skip
        shutil.rmtree(place)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("kills", "rate", "listing"))
    parser.add_argument("places", nargs="+", type=Path, help="PDFS WORK, or WORK alone")
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--pages", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--engine", default="text")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.pdfs, options.work = options.places[0], options.places[-1]
    options.work.mkdir(parents=True, exist_ok=True)
    {"kills": kills, "rate": rate, "listing": listing}[options.what](options)


if __name__ == "__main__":
    main()
