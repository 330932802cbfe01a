"""The pools of workers: on a Ray cluster by Ray Data, which bounds how much is on its way and begins lost work again.

Every unit is a block of its own, so that a loss costs one unit, and no worker waits behind a long document.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import re
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from microfiche import __version__
from microfiche.cluster.listing import missing
from microfiche.cluster.plan import Unit
from microfiche.cluster.worker import Orders
from microfiche.documents.crew import cores
from microfiche.errors import SetUpError, UsageError

OLDEST = (2, 50)  #: the version of Ray from which on this is known to work
MEMORY = 200_000_000  #: bytes of Ray's object store on a machine of one's own: units and rows are small
POLL = 0.1  #: seconds after which a file of units is looked at again
AHEAD = 2  #: units that a worker has at a time, of which it does one


class Ray:
    """A Ray cluster with `gpus` GPUs, on which `workers` workers run, each on `cores` cores; use it in a `with`.

    Without an `address` it is one of this machine, which ends with the `with`. `gpu` gives each worker its own GPU.
    Raises UsageError if Ray is missing or too old, or cannot be reached, and if a node has another Microfiche.
    """

    def __init__(self, address: str | None, workers: int | None, gpu: bool = False) -> None:
        self._ray = ray = imported()
        for name, value in (("RAY_USAGE_STATS_ENABLED", "0"), ("RAY_BACKEND_LOG_LEVEL", "fatal")):
            os.environ.setdefault(name, value)
        options: dict[str, Any] = {"address": address}
        if address is None:
            options = {"num_cpus": cores(), "object_store_memory": MEMORY, "include_dashboard": False}
        try:
            with _unsaid():
                ray.init(**options, log_to_driver=False, logging_level="ERROR", configure_logging=True)
        except Exception as error:  # Ray raises of every kind
            raise UsageError(f"the Ray cluster at {address or 'this machine'} cannot be reached or started "
                             f"({first_line(error)})") from error  # fmt: skip
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        # more workers than units
        warnings.filterwarnings("ignore", "The minimum number of concurrent actors", UserWarning)
        self.gpu = gpu
        found = ray.cluster_resources()
        processors, self.gpus = int(found.get("CPU", 1)), int(found.get("GPU", 0))
        most = self.gpus if gpu else processors
        if not most:
            raise UsageError("the Ray cluster has no GPU; leave --device out")
        self.workers = min(workers or most, most)
        self.cores = max(1, processors // self.workers)

    def check(self, folder: Path, token: str) -> None:
        """Raises UsageError if a node has another version of Microfiche than this machine, or none, or does not see the
        output folder, in whose file `token` its own name stands."""
        ray = self._ray
        where = str((folder / token).absolute())

        def told() -> tuple[str, bool]:
            try:
                from microfiche import __version__
            except Exception:  # whatever is wrong with it there
                return "", os.path.exists(where)
            return __version__, os.path.exists(where)

        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        nodes = [node for node in ray.nodes() if node["Alive"]]
        asked = [
            ray.remote(told).options(num_cpus=0, scheduling_strategy=strategy(node["NodeID"], soft=False)).remote()
            for node in nodes
        ]
        found = ray.get(asked)
        names = [node["NodeManagerAddress"] for node in nodes]
        refuse_other_versions(__version__, [(name, version) for name, (version, _) in zip(names, found, strict=True)])
        if blind := [name for name, (_, seen) in zip(names, found, strict=True) if not seen]:
            raise UsageError(f"{folder}: node {blind[0]} does not see this folder; the output has to be on a file "
                             "system that all nodes share, at the same path")  # fmt: skip

    def results(self, plan: Path, orders: Orders) -> Iterator[tuple[Unit, dict[str, Any]]]:
        """What becomes of each unit in the file `plan`, as `Worker.do` tells it, in any order; the file may grow until
        an empty line ends it. No more units are on their way than the workers can take soon.

        Raises SetUpError and UsageError as `Worker.do` does, and UsageError if a node that joined after `check` has
        another version of Microfiche.
        """
        data = self._ray.data
        rows = units_in(plan).map_batches(
            actor(__version__), batch_size=1,
            fn_constructor_kwargs={"orders": pickle.dumps(orders), "threads": self.cores},
            compute=data.ActorPoolStrategy(size=self.workers, max_tasks_in_flight_per_actor=AHEAD),
            num_cpus=self.cores, num_gpus=1 if self.gpu else None,
        )  # fmt: skip
        for batch in rows.iter_batches(batch_size=None, prefetch_batches=0):
            for unit, told in zip(batch["unit"], batch["told"], strict=True):
                found = json.loads(told)
                if "other" in found:
                    refuse_other_versions(__version__, [(found["node"], found["other"])])
                if "setup" in found:
                    raise (UsageError if found["usage"] else SetUpError)(found["setup"])
                yield Unit.of(unit), found

    def __enter__(self) -> Ray:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._ray.shutdown()


@contextmanager
def _unsaid() -> Iterator[None]:
    """Nothing goes to standard error: Ray's native part says there which level of messages it was told to keep to."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def imported() -> Any:
    """Ray with Ray Data. Raises UsageError if it is missing or too old, with the line that installs it."""
    try:
        import ray
        import ray.data
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise missing("Ray") from error
    refuse_old(ray.__version__)
    return ray


def refuse_old(version: str) -> None:
    """Raises UsageError for a version of Ray that is too old."""
    found = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if found < OLDEST:
        least = ".".join(map(str, OLDEST))
        raise UsageError(f"Ray {version} is too old: `microfiche cluster` needs {least} or later: "
                         f"pip install -U 'ray[data]>={least}'")  # fmt: skip


def refuse_other_versions(own: str, others: list[tuple[str, str]]) -> None:
    """Raises UsageError if one of `others`, the addresses of nodes (several may share one) and their versions of
    Microfiche, is not our `own`; "" where a node has none."""
    for node, version in sorted(others):
        if version != own:
            has = f"has Microfiche {version}" if version else "has no Microfiche"
            raise UsageError(f"node {node} {has}, but this machine has {own}; install {own} on all nodes")


def first_line(error: BaseException) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def actor(own: str) -> Any:
    """The class of what runs beside each worker of Microfiche `own`. A node that joined after `check` may have another
    Microfiche or none: the class and its arguments unpickle there too, and every unit is answered with {"other": its
    version, "node": its address}."""

    class Do:
        def __init__(self, orders: bytes, threads: int) -> None:
            try:
                from microfiche import __version__ as version
            except Exception:  # whatever is wrong with it there
                version = ""
            self._other = None if version == own else {"other": version, "node": address()}
            if version == own:
                from microfiche.cluster.worker import Worker

                self._worker = Worker(pickle.loads(orders), threads)

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            lines = list(batch["unit"])
            return {"unit": lines, "told": [json.dumps(self._other or self._done(line)) for line in lines]}

        def _done(self, line: bytes) -> dict[str, Any]:
            from microfiche.cluster.plan import Unit
            from microfiche.errors import SetUpError, UsageError

            try:
                return self._worker.do(Unit.of(line))
            except (SetUpError, UsageError) as error:
                return {"setup": str(error), "usage": isinstance(error, UsageError)}

    def address() -> str:
        import ray.util

        return str(ray.util.get_node_ip_address())

    return Do


def units_in(plan: Path, growing: bool = True) -> Any:
    """The lines of a file as a Dataset, each in a block of its own, in the column "unit": those that are there, and if
    it is `growing`, those that are appended until an empty line. Whenever it is read again, it gives the same ones in
    the same order."""
    import pyarrow
    import ray.data
    from ray.data.block import BlockMetadata
    from ray.data.datasource import Datasource, ReadTask

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.target_max_block_size = 1

    class Units(Datasource):  # type: ignore[misc]
        def get_name(self) -> str:
            return "Units"

        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, parallelism: int, *args: Any, **options: Any) -> list[Any]:
            def blocks() -> Iterator[Any]:  # runs where another Microfiche may be installed, so it needs none
                at = 0
                while True:
                    with plan.open("rb") as file:  # each time: some file systems show growth only then
                        file.seek(at)
                        while (line := file.readline()).endswith(b"\n"):
                            if line == b"\n":
                                return
                            at += len(line)
                            yield pyarrow.table({"unit": [line]})
                    if not growing:
                        return
                    time.sleep(POLL)

            about = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [ReadTask(blocks, about)]

    return ray.data.read_datasource(Units(), override_num_blocks=1, num_cpus=0)
