"""Asks a vendor: with what was drawn, and where it does not take that, with less of it, as long as nothing of an answer
has been passed on.

First only what is new goes up as text, for what was answered before may have thoughts bound to it, and is in the
vendor's cache; then all of it, where there are no thoughts, or the vendor can be asked to drop them. What was taken so
holds from then on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace

import httpx2

from microfiche.errors import StoreError
from microfiche.proxy.exchange import LEDGER, Drawing, Exchange
from microfiche.proxy.refusal import Beginning
from microfiche.proxy.usage import Listener

#: What a vendor answers who does not take a body, or has no model that takes pictures.
REFUSALS = (400, 403, 404, 405, 413, 415, 422, 501)
FAILS = 500  #: what it answers who fails, over the pictures it may be, or over something else
REFUSED = "the model refused to answer to pages"
HOLD = 15.0  #: seconds for which the beginning of an answer to new pages is held until it says something


async def answered(
    exchange: Exchange, client: httpx2.AsyncClient, request: httpx2.Request,
    again: Callable[[], Awaitable[httpx2.Request]] | None,
) -> tuple[httpx2.Response, AsyncGenerator[bytes]]:  # fmt: skip
    """A vendor's answer to a request, and its pieces. `again` makes the request anew by what `exchange` says is drawn;
    where it is None, the vendor is asked once."""
    response = await _sent(client, request)
    first, more = True, True
    while again is not None and more and exchange.drawing.instead is not None:
        if response.status_code == 200 and first and _may_refuse(exchange):
            pieces, refused = await _begun(exchange, response)
            if not refused:
                return response, pieces
            await pieces.aclose()
            what, more = REFUSED, False
        elif response.status_code in REFUSALS or (response.status_code == FAILS and first and exchange.drawing.fresh):
            what, more = f"the vendor answered {response.status_code} to pages", response.status_code != FAILS
        else:
            break
        await response.aclose()
        pins = response.status_code != FAILS  # what failed once may be taken the next time
        _falls_back(exchange, what, first)
        response, first = await _sent(client, await again()), False
        if response.is_success:
            await take(exchange, exchange.drawing, what, pins)
    return response, response.aiter_raw()


async def _sent(client: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
    return await client.send(request, stream=True, auth=None, follow_redirects=False)


def _falls_back(exchange: Exchange, what: str, first: bool) -> None:
    """Takes what is to be sent instead for what is drawn, and notes why."""
    drawing, instead = exchange.drawing, exchange.drawing.instead
    assert instead is not None
    how = "with older pages" if instead.pages else "as text, without thoughts" if instead.betas else "as text"
    charged = ", and both are charged" if exchange.vain is not None else ""
    why = f"{what}; asked again {how}{charged}" if first else f"{exchange.note}, then {how}"
    reasons = drawing.reasons if first else drawing.reasons[:-1]
    exchange.note, exchange.sent = why, 0
    exchange.drawing = replace(instead, reasons=(*reasons, f"text: {why}"))


async def take(exchange: Exchange, drawing: Drawing | None, why: str, pins: bool = True) -> None:
    """Notes that a request was answered as this is drawn, since more was refused."""
    if drawing is not None and drawing.taken is not None:
        try:
            await asyncio.to_thread(drawing.taken, why, pins)
        except Exception as error:  # that it cannot be kept takes nothing from the answer
            said = str(error) if isinstance(error, StoreError) else type(error).__name__
            exchange.drawing = replace(exchange.drawing, reasons=(*exchange.drawing.reasons, f"{LEDGER}{said}"))


def _may_refuse(exchange: Exchange) -> bool:
    """Whether a refusal of what is asked may be one of new pages."""
    return exchange.drawing.fresh and exchange.route is not None and exchange.route.purpose == "answer"


async def _begun(exchange: Exchange, response: httpx2.Response) -> tuple[AsyncGenerator[bytes], bool]:
    """The pieces of an answer, and whether it refuses what it was asked. Its beginning is held until that is known,
    as long as nothing of it can be shown."""
    assert exchange.route is not None and exchange.asked is not None
    headers, pieces = dict(response.headers.items()), response.aiter_raw()
    beginning, held, told = Beginning(headers, exchange.asked.stream), list[bytes](), None
    until = time.monotonic() + HOLD
    while told is None:
        step = asyncio.ensure_future(anext(pieces, b""))
        try:
            done, _ = await asyncio.wait({step}, timeout=max(0.0, until - time.monotonic()))
        except asyncio.CancelledError:
            step.cancel()
            await asyncio.wait({step})
            await response.aclose()
            raise
        if not done or step.exception() is not None:  # it takes too long, or it breaks off
            return _resumed(held, step, pieces), False
        held.append(step.result())
        told = beginning.refuses(held[-1]) if held[-1] else beginning.refused()
    if told:
        listener = Listener(headers, exchange.route.dialect)
        for piece in held:
            listener.hear(piece)
        exchange.vain = listener.close()
    return _resumed(held, None, pieces), told


async def _resumed(
    held: list[bytes], step: asyncio.Future[bytes] | None, pieces: AsyncGenerator[bytes]
) -> AsyncGenerator[bytes]:
    """Pieces that were held, then that which is under way, then all others."""
    try:
        for piece in filter(None, held):
            yield piece
        if step is not None and (piece := await step):
            yield piece
        async for piece in pieces:
            yield piece
    finally:
        if step is not None and not step.done():
            step.cancel()
            await asyncio.wait({step})
        await pieces.aclose()
