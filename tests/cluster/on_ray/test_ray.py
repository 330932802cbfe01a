"""The cluster on Ray: the bytes of one machine whatever is killed, a bucket, nodes of other versions, the command."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from inline_pool import written
from makers import text_pdf

from microfiche import __version__
from microfiche.cluster.pool import Ray, actor
from microfiche.cluster.run import run
from microfiche.cluster.table import Table
from microfiche.cluster.vllm import Elsewhere, Pages, VllmRay, engine_config
from microfiche.cluster.work import Reading
from microfiche.documents.job import Request
from microfiche.documents.opening import documents_in
from microfiche.documents.reading import read_to
from microfiche.errors import UsageError

MOST = 300.0  #: seconds that any of this may take on a busy machine
COMMAND = [sys.executable, "-m", "microfiche", "cluster"]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `in` of documents, one damaged and one long, and `out`, as one machine reads it."""
    folder = tmp_path_factory.mktemp("ray")
    (folder / "in/more").mkdir(parents=True)
    for name, pages in (("a", 1), ("b", 4), ("long", 40), ("more/a", 2), ("more/c", 1)):
        texts = [f"Page {n} of {name} says little\nand goes on at length" for n in range(pages)]
        (folder / "in" / f"{name}.pdf").write_bytes(text_pdf(texts, (300, 200)))
    (folder / "in/cut.pdf").write_bytes(b"%PDF-1.7 cut")
    read_to(folder / "out", documents_in([str(folder / "in")]), Request("text"))
    return folder


def children(pid: int) -> list[int]:
    """All processes below a process."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found += [int(entry.name), *children(int(entry.name))]
    return found


def named(pid: int, words: str) -> bool:
    try:
        return words in (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return False


def wait_for(what: Callable[[], object], process: subprocess.Popen[bytes]) -> bool:
    """Waits until something is so; False if the process ended before."""
    end = time.monotonic() + MOST
    while not what():
        if process.poll() is not None:
            return False
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return True


def wait_for_end_of_readers(pids: list[int]) -> None:
    end = time.monotonic() + MOST
    while any(named(pid, words) for pid in pids for words in ("microfiche.documents.crew", "MapWorker")):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def started(shelf: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [*COMMAND, "read", str(shelf / "in"), "-o", str(out), "--engine", "text", "--workers", "2", *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_workers_and_drivers_are_killed_and_the_output_is_that_of_one_machine(shelf: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def noted() -> int:
        return sum(path.stat().st_size for path in out.glob("*.json")) + len(list(out.glob(".*.journal*")))

    killed = 0
    for kills in (("reader", "driver"), ("actor", "driver"), ("actor", "reader", "")):
        process = started(shelf, out)
        for kill in kills:
            before = noted()
            if not kill or not wait_for(lambda before=before: noted() > before, process):  # type: ignore[misc]
                continue
            words = {"reader": "microfiche.documents.crew", "actor": "MapWorker", "driver": ""}[kill]
            victims = [pid for pid in children(process.pid) if words and named(pid, words)]
            for pid in victims[:1] or [process.pid] * (kill == "driver"):
                below = children(pid)
                os.kill(pid, signal.SIGKILL)
                wait_for_end_of_readers(below)  # who may note pages as long as they live
                killed += 1
        process.communicate(timeout=MOST)
    if process.returncode != 1:
        (process := started(shelf, out)).communicate(timeout=MOST)
    assert process.returncode == 1 and killed >= 1
    assert written(out) == written(shelf / "out") and not list(out.glob(".*.journal*"))
    rows = parquet.read_table(out / "documents.parquet").to_pylist()
    assert sorted((row["name"], row["status"]) for row in rows) == [
        ("a", "ok"), ("a-2", "ok"), ("b", "ok"), ("c", "ok"), ("cut", "failed"), ("long", "ok"),
    ]  # fmt: skip
    again = started(shelf, out)
    said = again.communicate(timeout=MOST)[1]
    assert b"6 of them done before, 0 now" in said and b"1 of 6 documents had failed before" in said
    told = subprocess.run([*COMMAND, "read", "-o", str(out), "--status", "--json"], capture_output=True, check=True)
    assert json.loads(told.stdout)["documents_ok"] == 5


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server like S3, with a key that it knows."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    for name, value in (("AWS_ACCESS_KEY_ID", "known"), ("AWS_SECRET_ACCESS_KEY", "not-for-anyones-eyes")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


def test_a_bucket_is_read_and_a_second_run_asks_only_for_its_list(shelf: Path, tmp_path: Path, bucket: str) -> None:
    from pyarrow import fs

    options = f"?endpoint_override={bucket}&scheme=http&region=us-east-1"
    files, _ = fs.FileSystem.from_uri(f"s3://things{options}&allow_bucket_creation=true")
    files.create_dir("things")
    for path in sorted((shelf / "in").rglob("*.pdf")):
        with files.open_output_stream(f"things/in/{path.relative_to(shelf / 'in')}") as stream:
            stream.write(path.read_bytes())
    orders = Reading(partial(Request, "text"), tmp_path / "out", "s")
    found = run([f"s3://things/in{options}"], [], orders, partial(Ray, None, 2))
    assert (found.documents, len(found.failed)) == (6, 1)
    texts = {name: body for name, body in written(tmp_path / "out").items() if name.endswith(".md")}
    assert texts == {name: body for name, body in written(shelf / "out").items() if name.endswith(".md")}
    for row in Table(tmp_path / "out").latest():
        assert row.source.startswith("s3://things/in/") and "?" not in row.source + row.error
    assert run([f"s3://things/in{options}"], [], orders, partial(Ray, None, 2)).before == 6
    with files.open_output_stream("things/in/a.pdf") as stream:
        stream.write((shelf / "in/more/a.pdf").read_bytes())
    assert run([f"s3://things/in{options}"], [], orders, partial(Ray, None, 2)).before == 5


def test_a_storage_that_refuses_is_one_line_without_secrets(tmp_path: Path, bucket: str) -> None:
    for server in (bucket, "127.0.0.1:1"):
        where = f"s3://ID:not-for-anyones-eyes@none/in?endpoint_override={server}&scheme=http&region=us-east-1"
        done = subprocess.run([*COMMAND, "read", where, "-o", str(tmp_path / "out")], capture_output=True, text=True)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
        assert "s3://none/in" in done.stderr and "not-for-anyones-eyes" not in done.stderr


def test_an_engine_that_there_is_not_is_one_line(shelf: Path, tmp_path: Path) -> None:
    process = started(shelf, tmp_path / "out", "--engine", "no-such")
    said = process.communicate(timeout=MOST)[1].decode()
    assert process.returncode == 2 and len(said.splitlines()) == 1 and "no engine 'no-such'" in said


def test_a_node_of_another_version_is_refused_and_named(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second node on this machine, whose own Microfiche is older."""
    import ray
    from ray.cluster_utils import Cluster

    stub = tmp_path / "stub/microfiche"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("__version__ = '0.0.9'\n")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 200_000_000})
    try:
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stub"))
        cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
        monkeypatch.undo()
        cluster.wait_for_nodes()
        orders = Reading(partial(Request, "text"), tmp_path / "out", "s")
        with pytest.raises(UsageError, match=r"has Microfiche 0\.0\.9, but this machine has"):
            run([str(shelf / "in")], [], orders, partial(Ray, cluster.address, 2))
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.parametrize("older", [True, False])
def test_a_node_that_joins_later_says_that_it_has_another_version(tmp_path: Path, older: bool) -> None:
    """The worker is pickled as Ray does it, and unpickled by a Python with another Microfiche, or with a broken one."""
    from ray import cloudpickle

    (tmp_path / "microfiche").mkdir()
    (tmp_path / "microfiche/__init__.py").write_text("__version__ = '0.0.9'\n" if older else "raise ImportError\n")
    orders = pickle.dumps(Reading(partial(Request, "text"), tmp_path / "out", "s"))
    (tmp_path / "worker").write_bytes(cloudpickle.dumps((actor(__version__), orders)))
    code = (
        "import pickle, sys; Do, orders = pickle.load(open(sys.argv[1], 'rb')); "
        "print(Do(orders, 1)({'unit': [b'one', b'two']})['told'][1])"
    )
    found = subprocess.run([sys.executable, "-c", code, tmp_path / "worker"], stdout=subprocess.PIPE, check=True,
                           env={**os.environ, "PYTHONPATH": str(tmp_path)})  # fmt: skip
    assert json.loads(found.stdout)["other"] == ("0.0.9" if older else "")


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_an_example_of_a_cluster_is_what_ray_up_takes(name: str) -> None:
    import yaml
    from ray.autoscaler._private.util import prepare_config, validate_config

    path = Path(__file__).parents[3] / f"examples/cluster/{name}.yaml"
    config = prepare_config(yaml.safe_load(path.read_text("utf-8")))
    validate_config(config)
    workers = config["available_node_types"]["worker"]
    assert workers["min_workers"] == workers["max_workers"] == config["max_workers"]
    assert any("microfiche[cluster]" in line for line in config["setup_commands"])


def stand_in(pages: Pages, engines: int) -> Callable[[Any], Any]:
    """A pipeline that answers every page with the number of its bytes."""

    def answered(row: dict[str, Any]) -> dict[str, Any]:
        asked = pages.before(row)
        assert asked["prompt"].startswith("<image>") and asked["multimodal_data"]["image"].width > 0
        return pages.after({**row, "generated_text": "An answer.", "num_generated_tokens": 3})

    return lambda rows: rows.map(answered)


def test_a_pipeline_on_ray_reads_pages_and_workers_put_them_together(shelf: Path, tmp_path: Path) -> None:
    from ray.data.llm import vLLMEngineProcessorConfig

    config = vLLMEngineProcessorConfig(**engine_config("deepseek-ai/DeepSeek-OCR", 2, 6992))
    assert config.concurrency == 2 and config.engine_kwargs["logits_processors"]
    name = "deepseek-ocr"
    pages = Pages(partial(Request, name, Elsewhere(name), model="w vllm"), tmp_path / "out", name)
    orders = Reading(pages.request, tmp_path / "out", "s")
    found = run([str(shelf / "in/b.pdf"), str(shelf / "in/cut.pdf")], [], orders,
                partial(VllmRay, None, 2, partial(stand_in, pages), pages))  # fmt: skip
    assert [row.name for row in found.failed] == ["cut"]
    assert (tmp_path / "out/b.md").read_text().count("An answer.") == 4
