"""The commands of the cluster: `cluster read` and `cluster pack`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from microfiche.cli.codec import (
    DensityName,
    DensityOption,
    EngineOption,
    LayoutName,
    LayoutOption,
    ReaderName,
    SideOption,
    reader_for,
)
from microfiche.cli.console import fail, one_line, progress, reported, say
from microfiche.cli.read import Format
from microfiche.cli.reader_options import DType, limits_given, request_for
from microfiche.decoder.prompts import FAMILY
from microfiche.errors import InputError, UsageError
from microfiche.typesetting.density import DEFAULT_DENSITY

if TYPE_CHECKING:
    from microfiche.cluster.pool import Ray
    from microfiche.cluster.table import Row
    from microfiche.cluster.work import Reading
    from microfiche.cluster.worker import Orders
    from microfiche.limits import Limits

NAMED = 20  #: failed documents that the last line names

app = typer.Typer(no_args_is_help=True, help="Reads or packs more documents than one machine can, on a Ray cluster.")

Sources = Annotated[
    list[str] | None,
    typer.Argument(
        help="Documents, folders of them, http(s) addresses, or addresses in buckets: s3://, gs://, hf://."
    ),
]
OutputOption = Annotated[
    Path,
    typer.Option("--output", "-o", help="The folder for the output and the table, which all nodes have to share."),
]
ListOption = Annotated[
    list[Path], typer.Option("--list", help="A file with a path or an address on each line; may be given repeatedly.")
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address", envvar="RAY_ADDRESS",
        help="The Ray cluster, such as auto or ray://HOST:10001. Without it, this machine is one.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="How many documents are done at a time; default: one for each CPU, or GPU."),
]
RetryOption = Annotated[
    bool, typer.Option("--retry-failed", help="Also do again what failed in an earlier run, or is in quarantine.")
]
StatusOption = Annotated[
    bool, typer.Option("--status", help="Only say how far the work in the output folder is, from its table.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="With --status: print one JSON object on standard output.")]
LimitOption = Annotated[
    list[str], typer.Option("--limit", help="Raise a limit that an error message names, as in pixels=200000000.")
]
PagesOption = Annotated[str | None, typer.Option("--pages", help="The pages of each document, such as 1-3,7 or 5-.")]
ModelOption = Annotated[Path | None, typer.Option("--checkpoint", help="A file of weights that you trained.")]
WeightsOption = Annotated[
    str | None,
    typer.Option("--weights", envvar="MICROFICHE_WEIGHTS", help="Published weights: their folder on every node, or "
                 "their name on the hub."),
]  # fmt: skip
DeviceOption = Annotated[
    str, typer.Option("--device", help="Where a model runs: cpu, or cuda, which gives each worker a GPU of its own.")
]


@app.command()
def read(
    output: OutputOption,
    sources: Sources = None,
    lists: ListOption = [],  # noqa: B006
    form: Annotated[
        Format, typer.Option("--format", help="The form beside JSON: Markdown, plain text, or JSON alone.")
    ] = Format.md,
    engine: Annotated[
        str | None, typer.Option("--engine", help="The engine for every page, as `read` takes it, or vllm.")
    ] = None,
    pages: PagesOption = None,
    dpi: Annotated[
        float | None, typer.Option("--dpi", min=18, max=1200, help="Pixels an inch at which PDF pages are drawn.")
    ] = None,
    password: Annotated[
        str | None, typer.Option("--password", envvar="MICROFICHE_PASSWORD", help="Password of encrypted PDFs.")
    ] = None,
    weights: WeightsOption = None,
    checkpoint: ModelOption = None,
    device: DeviceOption = "cpu",
    dtype: Annotated[DType | None, typer.Option("--dtype", help="With --weights: weight precision.")] = None,
    mode: Annotated[str, typer.Option("--mode", help="With --weights: the size of pages, as of `read`.")] = "gundam",
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", envvar="MICROFICHE_ENDPOINT", help="Address of a server that reads, up to /v1."),
    ] = None,
    endpoint_model: Annotated[
        str | None, typer.Option("--endpoint-model", help="Name of the model on that server.")
    ] = None,
    dialect: Annotated[str | None, typer.Option("--dialect", help="How that server is asked, as of `read`.")] = None,
    limit: LimitOption = [],  # noqa: B006
    address: AddressOption = None,
    workers: WorkersOption = None,
    retry_failed: RetryOption = False,
    status: StatusOption = False,
    as_json: JsonOption = False,
) -> None:
    """Reads documents as `microfiche read` does, on a Ray cluster, and goes on where an earlier run was broken off.

    The output folder gets what `microfiche read` writes, byte for byte, and the table documents.parquet with a row for
    each document. What failed is named at the end, and the exit code is 1; --retry-failed does it again.

    Examples:

    microfiche cluster read scans -o out                  on all cores of this machine
    microfiche cluster read s3://bucket/scans -o /shared/out --address auto
    microfiche cluster read -o out --status               how far it is
    """
    from microfiche.cluster.work import Reading

    with reported():
        if status:
            _show_status(output, as_json)
            return
        limits = limits_given(limit)
        if engine not in (None, *FAMILY, "endpoint", "vllm"):
            weights = endpoint = None  # the environment may name them all the same
        if checkpoint and not checkpoint.is_file():
            raise InputError(f"{checkpoint}: no such file")
        request = partial(
            request_for, engine, weights, checkpoint, None, device, dtype, mode, endpoint, endpoint_model, dialect,
            "markdown", False, pages, dpi, password, limits,
        )  # fmt: skip
        options = {
            "engine": engine, "weights": weights, "checkpoint": checkpoint, "dtype": dtype, "mode": mode,
            "endpoint_model": endpoint_model, "dialect": dialect, "pages": pages, "dpi": dpi,
        }  # fmt: skip
        settings = _settings("read", options)
        if engine == "vllm":
            orders, start = _on_vllm(weights, pages, dpi, password, limits, output, settings, form, address, workers)
        else:
            orders, start = Reading(request, output, settings, form), _ray(address, workers, device)
        _run(sources or [], lists, orders, limits, start, retry_failed)


@app.command()
def pack(
    output: OutputOption,
    sources: Sources = None,
    lists: ListOption = [],  # noqa: B006
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Take the pages as they are, without setting their text anew.")
    ] = False,
    sure: Annotated[
        float | None,
        typer.Option("--sure", min=0, max=1, help="With --as-is: keep the lines alone, as `pack` takes it."),
    ] = None,
    pages: PagesOption = None,
    density_name: DensityOption = DensityName(DEFAULT_DENSITY),
    mode_name: SideOption = "small",
    layout: LayoutOption = LayoutName.dense,
    text: Annotated[bool, typer.Option("--text", help="Store the text itself too, compressed.")] = False,
    engine: EngineOption = None,
    checkpoint: ModelOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = "cpu",
    limit: LimitOption = [],  # noqa: B006
    address: AddressOption = None,
    workers: WorkersOption = None,
    retry_failed: RetryOption = False,
    status: StatusOption = False,
    as_json: JsonOption = False,
) -> None:
    """Packs each document to a .fiche file of its own as `microfiche pack` does, on a Ray cluster, and goes on as
    `microfiche cluster read` does."""
    from microfiche.cluster.packing import Packing

    with reported():
        if status:
            _show_status(output, as_json)
            return
        if sure is not None and not as_is:
            raise UsageError("--sure goes only with --as-is")
        if engine not in FAMILY:
            weights = None  # the environment may name them all the same
        name = engine or (ReaderName.pages if as_is and not checkpoint else None)
        reader = partial(reader_for, name, checkpoint, weights, device, mode_name)
        options = {
            "engine": name, "weights": weights, "checkpoint": checkpoint, "as_is": as_is, "sure": sure, "pages": pages,
            "density": density_name, "mode": mode_name, "layout": layout, "text": text,
        }  # fmt: skip
        limits = limits_given(limit)
        orders = Packing(
            reader, output, _settings("pack", options), mode_name, as_is, sure, pages, density_name, layout, text,
            limits,
        )  # fmt: skip
        _run(sources or [], lists, orders, limits, _ray(address, workers, device), retry_failed)


def _ray(address: str | None, workers: int | None, device: str) -> Callable[[], Ray]:
    from microfiche.cluster.pool import Ray

    return partial(Ray, address, workers, device == "cuda")


def _on_vllm(
    weights: str | None,
    pages: str | None,
    dpi: float | None,
    password: str | None,
    limits: Limits,
    output: Path,
    settings: str,
    form: Format,
    address: str | None,
    workers: int | None,
) -> tuple[Reading, Callable[[], Ray]]:
    """The orders and the cluster of --engine vllm."""
    from microfiche.cluster.vllm import Elsewhere, Pages, VllmRay, processor, published_in
    from microfiche.cluster.work import Reading
    from microfiche.documents.job import Request

    if not weights:
        raise UsageError("--engine vllm needs --weights, such as deepseek-ai/DeepSeek-OCR")
    name = published_in(weights)
    request = partial(
        Request, name, Elsewhere(name), model=f"{weights} vllm", pages=pages,
        dpi=dpi or (300 if name == "unlimited-ocr" else 144), password=password, limits=limits,
    )  # fmt: skip
    drawn = Pages(request, output, name)
    build = partial(processor, weights, pages=drawn)
    return Reading(request, output, settings, form), partial(VllmRay, address, workers, build, drawn)


def _settings(command: str, options: dict[str, Any]) -> str:
    """All that the output depends on beside the documents, as it stands in the table."""
    from microfiche import __version__

    told = {name: str(value) for name, value in options.items() if value not in (None, False)}
    return dumps({"command": command, "microfiche": __version__, **told}, sort_keys=True)


def _run(
    sources: list[str],
    lists: list[Path],
    orders: Orders,
    limits: Limits,
    pool: Callable[[], Ray],
    retry_failed: bool,
) -> None:
    from microfiche.cluster.pool import imported
    from microfiche.cluster.run import run

    if not sources and not lists:
        raise UsageError("name documents, folders or addresses to do, or a file of them with --list")
    imported()
    start = time.perf_counter()
    with progress("documents") as bar:

        def each(row: Row, done: int, of: int) -> None:
            if row.error:
                say(one_line(f"microfiche: {row.error}"))
            bar(done, f"{done / (time.perf_counter() - start):.3g} documents/s", of)

        found = run(
            sources, lists, orders, pool, limits=limits, retry_failed=retry_failed,
            say=lambda line: say(one_line(line)), each=each,
        )  # fmt: skip
    now = found.documents - found.before
    say(f"{orders.folder}: {found.documents} documents, {found.before} of them done before, {now} now "
        f"in {time.perf_counter() - start:.1f} s")  # fmt: skip
    if found.failed:
        listed = ", ".join(row.source for row in found.failed[:NAMED]) + (", …" if len(found.failed) > NAMED else "")
        fail(f"{len(found.failed)} of {now} documents were not done whole: {listed}; --retry-failed does them again", 1)
    if found.failed_before:
        fail(f"{found.failed_before} of {found.before} documents had failed before and were left as they are; --status "
             "names them, and --retry-failed does them again", 1)  # fmt: skip


def _show_status(folder: Path, as_json: bool) -> None:
    """Prints how far the work in an output folder is."""
    from microfiche.cluster.run import status

    found = status(folder)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for line in found.pop("failed"):
        say(one_line(f"microfiche: {line}"))
    for name, count in found.items():
        if count is not None:
            print(f"{name.replace('_', ' '):24}{count:,}")
