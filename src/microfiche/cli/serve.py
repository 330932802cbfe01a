"""serve: the server for other programs, and its page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microfiche.cli.console import reported, say
from microfiche.errors import require


def serve(
    host: Annotated[
        str, typer.Option("--host", help="The address to listen at; one that others can reach asks for a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes a free one.")] = 8767,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="MICROFICHE_SERVE_TOKEN",
            help="What every client has to send, as Authorization: "
            "Bearer TOKEN or X-Api-Key. Others see the command line, so rather set the variable.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str],
        typer.Option("--allow-host", metavar="NAME", help="A further name by which clients reach the server."),
    ] = [],  # noqa: B006
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Fetch files from addresses in requests, public ones alone.")
    ] = False,
    allow_inner_urls: Annotated[
        bool,
        typer.Option(
            "--allow-inner-urls",
            help="Fetch them also from this machine and from inner networks; every client "
            "can then reach what the server reaches.",
        ),
    ] = False,
    memories: Annotated[
        Path | None, typer.Option("--memories", metavar="FOLDER", help="A folder of .memory files to be looked at.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine",
            help="Who reads where a request names nobody, as --engine of read; by default, each "
            "page is read by the engine that suits it.",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option("--weights", envvar="MICROFICHE_WEIGHTS", help="Published weights that read scans, as of read."),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="Where --weights run: cpu, cuda or mps.")] = "cpu",
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint",
            envvar="MICROFICHE_ENDPOINT",
            help="Address of an OpenAI-compatible server that reads "
            "scans, up to /v1. Its key is taken from MICROFICHE_ENDPOINT_KEY.",
        ),
    ] = None,
    endpoint_model: Annotated[
        str | None, typer.Option("--endpoint-model", help="Name of the model there (default: the OCR model it lists).")
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=0, help="How many processes read; 0 is one a core, 4 at most.")
    ] = 0,
    queue: Annotated[
        int, typer.Option("--queue", min=1, help="How many jobs may wait; whoever comes then is told to try again.")
    ] = 256,
    keep: Annotated[int, typer.Option("--keep", min=1, help="How many jobs that have ended are kept.")] = 200,
    keep_megabytes: Annotated[
        int, typer.Option("--keep-megabytes", min=1, help="How many MB uploads and results may have in all.")
    ] = 2048,
    keep_minutes: Annotated[
        float, typer.Option("--keep-minutes", min=0.1, help="How long a job that has ended is kept.")
    ] = 60,
    limit: Annotated[
        list[str], typer.Option("--limit", help="Change a limit of one upload, as in bytes=200000000 or pages=500.")
    ] = [],  # noqa: B006
) -> None:
    """Serves reading and the codec over HTTP, with a page for the browser, until it is stopped.

    OpenAI's clients find POST /v1/chat/completions, as vLLM serves DeepSeek-OCR;
    docling's find /v1/convert/file and /v1/convert/source. /docs lists all.

    Examples:

    microfiche serve                              http://127.0.0.1:8767, for this machine alone
    microfiche serve --host 0.0.0.0 --jobs 4      for others, with a token in MICROFICHE_SERVE_TOKEN
    """
    with reported():
        import os

        from microfiche.cli.reader_options import limits_given
        from microfiche.serving.settings import LIMITS, MEGABYTE, Scans, ServeSettings

        require("the server", "serve", "uvicorn", "httpx2", "fastapi", "python_multipart")
        from microfiche.proxy.server import bound
        from microfiche.proxy.server import serve as answer
        from microfiche.serving.application import application

        key = os.environ.get("MICROFICHE_ENDPOINT_KEY")
        settings = ServeSettings(
            host=host, port=port, token=token or None, memories=memories, engine=engine, jobs=jobs, queue=queue,
            kept=keep,
            urls="any" if allow_inner_urls else "public" if allow_urls else "off",
            hosts=tuple(map(str.lower, allow_host)),
            scans=Scans(weights, _published(weights), device, endpoint=endpoint, model=endpoint_model, key=key),
            kept_bytes=keep_megabytes * MEGABYTE, kept_seconds=60 * keep_minutes, limits=limits_given(limit, LIMITS),
        ).guarded()  # fmt: skip
        made = application(settings, say)
        listening = bound(host, port)
        name = f"[{host}]" if ":" in host else host
        say(f"http://{name}:{listening.getsockname()[1]} is ready")
        answer(made, listening, sockets=True)


def _published(weights: str | None) -> str:
    """Which of the published models has its weights there; "" where none are named."""
    if weights is None:
        return ""
    from microfiche.deepseek_ocr.checkpoint import described_by, folder_of

    return described_by(folder_of(weights, None), None)
