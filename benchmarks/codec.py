"""How fast the codec is: against the machine's own limit, and against what reads the same pages otherwise.

    python benchmarks/codec.py examples/alice-1.txt --rivals 1

It prints pages a second for typesetting, the encoder, the readout and the line decoder, and the same for Tesseract 5
and RapidOCR where they are installed.
"""

from __future__ import annotations

import argparse
import re
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel
from rivals import rapidocr, tesseract
from torch.utils.flop_counter import FlopCounterMode

from microfiche.nano.cells import NANO, Nano, line_decoder
from microfiche.nano.lines import LineDecoder, Lines
from microfiche.page import TypesetPage, VisionTokens
from microfiche.precision import precision
from microfiche.sources import Source
from microfiche.typesetting.atlas import atlas, draw, draw_torch
from microfiche.typesetting.density import density, mode
from microfiche.typesetting.typesetter import Typesetter, drawable
from microfiche.weights.stored import load

_SIDE = 2048  #: of the matrices whose product is the limit
DENSITY, MODE = density("7x13"), mode("small")


class Read(BaseModel):
    """What one reader took and got wrong: seconds a page, and strict error. White space is left out, since the rivals
    lose the spaces at line ends."""

    name: str
    seconds_per_page: float
    error: float


class Speculative(BaseModel):
    """Reading by the line decoder, which checks the readout's draft: pages a second without the encoder, pages a day
    with it, the share of cells where the draft was accepted, decoder passes a page, how many times as fast it is as
    greedy decoding, and the share of cells where both read the same."""

    read: float
    pages_per_day: int
    accepted: float
    passes: float
    times_faster: float
    as_greedy: float


class Bench(BaseModel):
    """All that is measured. Rates are pages a second, for 640² pages at 7×13; gflops are 10⁹ floating-point operations
    a second."""

    typeset_one: float
    typeset_numpy: float
    typeset_torch: float
    encode: float
    read: float
    pages_per_day: int
    encoder_gflops: float
    machine_gflops: float
    share: float
    speculative: Speculative | None
    readers: list[Read]
    times_faster: float | None


def rate(work: Callable[[], int], seconds: float = 1.0) -> float:
    """Items a second that `work` does; it returns how many it did. The first call is to warm up and does not count."""
    work()
    start, done, spent = time.perf_counter(), 0, 0.0
    while not done or spent < seconds:
        done += work()
        spent = time.perf_counter() - start
    return done / spent


def rates(*works: Callable[[], int], rounds: int = 4, seconds: float = 0.75) -> list[float]:
    """The best rate of each of `works` over some rounds. They take turns, so that whatever else the machine does slows
    all of them alike."""
    found = [[rate(work, seconds) for work in works] for _ in range(rounds)]
    return [max(each) for each in zip(*found, strict=True)]


def bench(text: str, model: Nano, rivals: int = 2, decoder: LineDecoder | None = None) -> Bench:
    """Measures the codec on the pages of `text`, speculative reading too if there is a `decoder`, and Tesseract and
    RapidOCR on `rivals` of these pages.

    Line ends become spaces, since the rivals do not know the mark of a line end.
    """
    text = re.sub(r"\s+", " ", text)
    typesetter = Typesetter(DENSITY, MODE)
    pages = list(islice(typesetter.pages([text]), 8))
    tokens = model.encode(pages)
    product = _product(next(model.parameters()).dtype)
    encode, read, products = rates(
        lambda: len(model.encode(pages)), lambda: len(model.read(tokens)), product
    )
    with FlopCounterMode(display=False) as counter:
        model.encode(pages[:1])
    encoder = counter.get_total_flops() * encode / 1e9
    machine = products * 2 * _SIDE**3 / 1e9
    own = Read(
        name="nano",
        seconds_per_page=1 / encode + 1 / read,
        error=_error([r.text for r in model.read(tokens)], pages),
    )
    others = others_on(pages[:rivals]) if rivals else []
    return Bench(
        **_typesetting(text, typesetter),
        encode=encode,
        read=read,
        pages_per_day=int(86400 / own.seconds_per_page),
        encoder_gflops=encoder,
        machine_gflops=machine,
        share=encoder / machine,
        speculative=speculative(model, tokens, decoder, encode) if decoder else None,
        readers=[own, *others],
        times_faster=min(o.seconds_per_page for o in others) / own.seconds_per_page if others else None,
    )


@torch.inference_mode()
def speculative(
    model: Nano, tokens: list[VisionTokens], decoder: LineDecoder, encode: float, seconds: float = 3
) -> Speculative:
    """Measures speculative reading of `tokens` and greedy decoding, each for about so many `seconds`; `encode` is how
    many pages a second the encoder does."""

    def seen(page: VisionTokens) -> Lines:
        return model.lines(page.values.to(model.readout.table), page.height, page.width, DENSITY)

    cells = accepted = same = passes = 0
    for lines in map(seen, tokens):
        draft = lines.base.argmax(-1)
        read, _, gone_over = decoder.verified(lines, draft)
        cells, passes = cells + read.numel(), passes + len(gone_over)
        accepted += int((read == draft).sum())
        same += int((read == decoder.greedy(lines)).sum())
    fast = rate(lambda: len(model.read(tokens, decoder)), seconds)
    slow = rate(lambda: len([decoder.greedy(seen(page)) for page in tokens]), seconds)
    return Speculative(
        read=fast,
        pages_per_day=int(86400 / (1 / encode + 1 / fast)),
        accepted=accepted / cells,
        passes=passes / len(tokens),
        times_faster=fast / slow,
        as_greedy=same / cells,
    )


def _typesetting(text: str, typesetter: Typesetter) -> dict[str, float]:
    pictures = atlas(DENSITY).cells
    ids = np.resize(atlas(DENSITY).glyphs(text), (64, typesetter.rows, typesetter.columns))
    cells, cells_torch = torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(pictures)
    return {
        "typeset_one": rate(lambda: sum(1 for _ in typesetter.pages([text]))),
        "typeset_numpy": rate(lambda: len(draw(ids, pictures, MODE.side, MODE.side))),
        "typeset_torch": rate(lambda: len(draw_torch(cells, cells_torch, MODE.side, MODE.side))),
    }


def _product(dtype: torch.dtype) -> Callable[[], int]:
    """A product of two square matrices, whose rate is the machine's limit."""
    a, b = (torch.randn(_SIDE, _SIDE).to(dtype) for _ in range(2))
    return lambda: len([torch.mm(a, b)])


def _error(read: list[str], pages: Sequence[TypesetPage]) -> float:
    squeezed = [("".join(r.split()), "".join(p.text.split())) for r, p in zip(read, pages, strict=True)]
    return 1 - sum(precision(r, truth) for r, truth in squeezed) / len(pages)


def others_on(pages: Sequence[TypesetPage]) -> list[Read]:
    """Tesseract and RapidOCR, where they are installed, on `pages` as they are and enlarged three times; what they read
    is compared without white space."""
    readers: list[tuple[str, Callable[[Image.Image], list[str]]]] = []
    if shutil.which("tesseract"):
        readers.append(("Tesseract", partial(tesseract, layout=6)))
    if find_spec("rapidocr"):
        readers.append(("RapidOCR", rapidocr()))
    results = []
    for name, reader in readers:
        for scale in (1, 3):
            start = time.perf_counter()
            images = [Image.fromarray(page.image) for page in pages]
            read = ["".join(reader(i.resize((i.width * scale, i.height * scale)))) for i in images]
            seconds = (time.perf_counter() - start) / len(pages)
            title = name if scale == 1 else f"{name}, page enlarged {scale}×"
            results.append(Read(name=title, seconds_per_page=seconds, error=_error(read, pages)))
    return results


def shown(result: Bench) -> str:
    """The figures as text, one on a line."""
    lines = [
        f"typesetting, one page at a time: {result.typeset_one:,.0f} pages/s",
        f"typesetting, batched NumPy: {result.typeset_numpy:,.0f} pages/s",
        f"typesetting, batched torch: {result.typeset_torch:,.0f} pages/s",
        f"encoder: {result.encode:.1f} pages/s",
        f"readout: {result.read:.1f} pages/s",
        f"encoder and readout: {result.pages_per_day:,} pages a day",
        f"encoder's arithmetic: {result.encoder_gflops:.0f} of {result.machine_gflops:.0f} GFLOP/s, {result.share:.0%}",
    ]
    if spec := result.speculative:
        lines += [
            f"line decoder checking the readout: {spec.read:.1f} pages/s",
            f"encoder and line decoder: {spec.pages_per_day:,} pages a day",
            f"its draft accepted: {spec.accepted:.2%} of cells, {spec.passes:.1f} passes a page",
            f"against greedy decoding: {spec.times_faster:.1f} times as fast, {spec.as_greedy:.2%} of cells the same",
        ]
    lines += [f"{one.name}: {one.seconds_per_page:.3f} s a page, error {one.error:.4f}" for one in result.readers]
    if result.times_faster:
        lines.append(f"nano against the fastest of the others: {result.times_faster:.0f} times as fast")
    return "\n".join(lines)


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="a text of at least two pages")
    parser.add_argument("--rivals", type=int, default=2, help="pages for Tesseract and RapidOCR; 0 leaves them out")
    parser.add_argument("--checkpoint", default="nano", help="a file of nano's weights (default: those that ship)")
    parser.add_argument("--decoder", default="nano-lines", help="a file of the line decoder's weights, or none")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    source = Source(given.file, Path(given.file))
    model = load(NANO, given.checkpoint)
    decoder = None if given.decoder == "none" else line_decoder(model, given.decoder)
    result = bench("".join(drawable(source, DENSITY, "?")), model, given.rivals, decoder)
    print(result.model_dump_json() if given.json else shown(result))


if __name__ == "__main__":
    main()
