"""serve: the proxy that stands between a chat client and its server."""

from __future__ import annotations

from typing import Annotated

import typer

from microfiche.cli.codec import DensityName, LayoutName, ModeName
from microfiche.cli.console import err, reported
from microfiche.cli.memory import ProviderOption
from microfiche.endpoint import Endpoint
from microfiche.errors import UsageError


def serve(
    proxy: Annotated[
        str, typer.Option("--proxy", help="The OpenAI-compatible server to which requests go, up to /v1.")
    ],
    keep: Annotated[int, typer.Option("--keep", min=1, help="How many of the last turns stay text.")] = 8,
    density: Annotated[
        DensityName,
        typer.Option("--density", help="How densely pages are set; memory calibrate finds what your model reads."),
    ] = DensityName("7x13"),
    mode: Annotated[
        ModeName, typer.Option("--mode", help="How wide pages are: 512, 640, 1024 or 1280 px.")
    ] = ModeName("tiny"),
    layout: Annotated[
        LayoutName, typer.Option("--layout", help="dense, or lines, where each line end begins a new line.")
    ] = LayoutName.dense,
    half_life: Annotated[
        float | None,
        typer.Option("--half-life", min=0.1, help="After how many pages half of one is left; without it, none fades."),
    ] = None,
    provider: ProviderOption = "openai-tiles",
    host: Annotated[str, typer.Option("--host", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port to listen at.")] = 8765,
) -> None:
    """Stands between a chat client and its server: turns older than --keep go to the server as faded pages.

    Point the client's base URL at http://HOST:PORT/v1. The usage of each answer says how many tokens that saved.
    """
    with reported():
        try:
            import uvicorn

            from microfiche.proxy.server import app
        except ImportError as error:
            raise UsageError("serve needs FastAPI and uvicorn: pip install 'microfiche[serve]'") from error
        from microfiche.memory import billing
        from microfiche.memory.fading import HalfLife, Pinned
        from microfiche.memory.paper import Manner
        from microfiche.proxy.turns import Rewriter

        Endpoint(proxy)  # a UsageError where this is no address
        schedule = Pinned() if half_life is None else HalfLife(half_life=half_life)
        rewriter = Rewriter(keep, Manner(density, mode, layout.value), schedule, billing.provider(provider))
        err.print(f"http://{host}:{port}/v1 stands before {proxy}", markup=False)
        uvicorn.run(app(proxy, rewriter), host=host, port=port, log_level="warning")
