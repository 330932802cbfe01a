"""serve."""

from __future__ import annotations

from typing import Annotated

import typer

from microfiche.cli.codec import DensityName, LayoutName, ModeName
from microfiche.cli.console import err, reported
from microfiche.errors import UsageError


def serve(
    proxy: Annotated[str, typer.Option("--proxy", help="OpenAI-compatible server to stand before, up to /v1.")],
    keep: Annotated[int, typer.Option("--keep", min=1, help="Turns that stay text; older ones become pages.")] = 8,
    density: Annotated[
        DensityName, typer.Option("--density", help="How close text stands; memory calibrate says what a model reads.")
    ] = DensityName("7x13"),
    mode: Annotated[ModeName, typer.Option("--mode", help="Page side: 512, 640, 1024 or 1280 px.")] = ModeName("tiny"),
    layout: Annotated[LayoutName, typer.Option("--layout", help="dense, or lines: a new line at each line end.")]
    = LayoutName.dense,
    half_life: Annotated[
        float | None, typer.Option("--half-life", min=0.1, help="Pages after which half is left; all, if not given.")
    ] = None,
    billing: Annotated[str, typer.Option("--billing", help="Whose formula counts what is saved.")] = "openai-tiles",
    host: Annotated[str, typer.Option("--host")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535)] = 8765,
) -> None:
    """Stands before a server as a drop-in: turns older than --keep go to it as faded pages, and usage says what that
    saved. Point a client's base URL at http://HOST:PORT/v1."""
    with reported():
        try:
            import uvicorn

            from microfiche.proxy.server import app
        except ImportError as error:
            raise UsageError("serve needs FastAPI and uvicorn: pip install 'microfiche[serve]'") from error
        from microfiche.endpoint import Endpoint
        from microfiche.memory.billing import provider
        from microfiche.memory.paper import Manner
        from microfiche.memory.schedules import HalfLife, Pinned
        from microfiche.proxy.turns import Rewriter

        Endpoint(proxy)
        fading = Pinned() if half_life is None else HalfLife(half_life=half_life)
        manner = Manner(density, mode, "lines" if layout is LayoutName.lines else "dense")
        made = app(proxy, Rewriter(keep, manner, fading, provider(billing)))
        err.print(f"http://{host}:{port}/v1 stands before {proxy}", markup=False)
        uvicorn.run(made, host=host, port=port, log_level="warning")
