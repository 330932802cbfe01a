"""Which runtime nano's encoder and readout are fastest in: `python benchmarks/runtimes.py examples/alice-1.txt`.

Full 640² pages at 7×13 go through one graph, ink to logits, in torch (fp32, bf16, int8), ONNX Runtime (fp32, int8) and
OpenVINO (fp32, bf16). They take turns, again and again, so that whatever else the machine does slows all of them alike.
bf16 is left out where the processor has none. The table gives pages a second by the clock; the processor time of a
page; how many times as long torch takes in its fast type (the median over rounds, which tells most on a shared
machine); which share of the rate of matrix products of that type is reached, in processor time; and how many characters
are read otherwise than in torch fp32. The last row is the codec as it ships, with all that `read` does besides. Needs
`pip install onnx onnxscript openvino`; what is not installed is left out.
"""

from __future__ import annotations

import argparse
import copy
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
from codec import DENSITY, MODE
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from microfiche.devices import fast_dtype
from microfiche.nano.cells import Nano, grid
from microfiche.nano.encoder import ink_of
from microfiche.nano.readout import OFFSETS, SQUARE, places
from microfiche.page import TOKEN_SIDE
from microfiche.readers import load
from microfiche.typesetting.typesetter import Typesetter

Array = NDArray[np.float32]
Run = Callable[[Array], NDArray[np.int64]]  #: (1, H, W) ink → the class read in each cell
SIDE = MODE.side // TOKEN_SIDE
FAST = "bf16" if fast_dtype("cpu") is torch.bfloat16 else "fp32"


class Page(nn.Module):
    """Encoder and readout of a full page as one graph of fixed shape, in which all that depends only on places is
    constant."""

    def __init__(self, nano: Nano) -> None:
        super().__init__()
        self.encoder, self.readout = nano.encoder, nano.readout
        at = places(DENSITY, *grid(DENSITY, SIDE, SIDE), SIDE, SIDE)
        place, squares = torch.from_numpy(at.place.reshape(-1)), torch.from_numpy(at.squares.reshape(-1, 4))
        offset = place % OFFSETS
        corner = (offset // SQUARE >= SQUARE // 2) * 2 + (offset % SQUARE >= SQUARE // 2)
        order = corner.argsort()
        self.counts: list[int] = corner.bincount(minlength=4).tolist()
        squares = squares[order]
        self.register_buffer("squares", squares.flatten().clamp(min=0))
        self.register_buffer("on_page", (squares.flatten() >= 0)[:, None])
        self.register_buffer("back", order.argsort())
        scale, shift = nano.readout.table.detach()[place[order]].chunk(2, dim=-1)
        self.register_buffer("scale", 1 + scale)
        self.register_buffer("shift", shift.clone())

    def forward(self, ink: Tensor) -> Tensor:
        squares = self.readout.unfold(self.encoder(ink))
        gathered = (squares.index_select(0, self.squares) * self.on_page).view(len(self.back), 4, -1)
        near = gathered[:, 1:].flatten(1).split_with_sizes(self.counts)
        around = torch.cat([linear(some) for linear, some in zip(self.readout.around, near, strict=True)])
        x = self.readout.fc1(gathered[:, 0]) + around
        seen = F.gelu(torch.addcmul(self.shift, x, self.scale))
        logits: Tensor = self.readout.half_head(seen).index_select(0, self.back)
        return logits


def in_torch(page: nn.Module, dtype: torch.dtype, threads: int) -> Run:
    """Runs `page` in torch."""

    def run(ink: Array) -> NDArray[np.int64]:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            return page(torch.from_numpy(ink).to(dtype)).argmax(-1).numpy()

    return run


def in_onnxruntime(file: Path, threads: int) -> Run:
    """Runs the graph in `file` by ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda ink: session.run(None, {name: ink})[0].argmax(-1)


def in_openvino(file: Path, precision: str, threads: int) -> Run:
    """Runs the graph in `file` by OpenVINO, computed in `precision`."""
    import openvino

    core = openvino.Core()
    hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    compiled = core.compile_model(core.read_model(str(file)), "CPU", hints)
    return lambda ink: compiled(ink)[0].argmax(-1)


def as_shipped(threads: int, pages: dict[bytes, object]) -> Run:
    """The codec: `encode`, then `read`."""
    nano = load()

    def run(ink: Array) -> NDArray[np.int64]:
        torch.set_num_threads(threads)
        nano.read(nano.encode([pages[ink.tobytes()]]))  # type: ignore[list-item]
        return np.empty(0, np.int64)

    return run


def exported(page: Page, folder: Path) -> tuple[Path, Path]:
    """The files of the graph as ONNX in fp32, and with its matrices in int8 (dynamic, a scale for each output)."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    whole, prepared, small = (folder / name for name in ("fp32.onnx", "prepared.onnx", "int8.onnx"))
    ink = (torch.zeros(1, MODE.side, MODE.side),)
    torch.onnx.export(page, ink, str(whole), dynamo=True, verbose=False, external_data=False)
    quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)
    kinds = ["MatMul", "Gemm"]  # convolutions are slower in int8 than in fp32 there
    quantize_dynamic(
        str(prepared), str(small), weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=kinds
    )
    return whole, small


def matrix_rates(threads: int) -> dict[str, float]:
    """By type, operations of 2048³ matrix products in a second of processor time, the best of five."""
    torch.set_num_threads(threads)
    a = torch.randn(2048, 2048)
    b, c = a.bfloat16(), (a * 30).clamp(-127, 127).to(torch.int8)
    products = {"fp32": lambda: a @ a, "int8": lambda: torch._int_mm(c, c)}
    if FAST == "bf16":
        products["bf16"] = lambda: b @ b
    rates = {}
    for name, product in products.items():
        product()
        seconds = []
        for _ in range(5):
            start = time.process_time()
            product()
            seconds.append(time.process_time() - start)
        rates[name] = 2 * 2048**3 / min(seconds)
    return rates


def runners(threads: int, page: Page, graphs: tuple[Path, Path] | None, pages: dict[bytes, object]) -> dict[str, Run]:
    """A function for each runtime and type that is installed, by its name."""
    found = {"torch fp32": in_torch(page, torch.float32, threads)}
    if FAST == "bf16":
        found["torch bf16"] = in_torch(copy.deepcopy(page).bfloat16(), torch.bfloat16, threads)
    try:
        from torch.ao.quantization import quantize_dynamic

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is going to leave torch
            small = quantize_dynamic(copy.deepcopy(page), {nn.Linear}, torch.qint8)
        found["torch int8"] = in_torch(small, torch.float32, threads)
    except (ImportError, RuntimeError) as error:
        print(f"torch int8 is left out: {error}", file=sys.stderr)
    if graphs:
        found["ONNX Runtime fp32"] = in_onnxruntime(graphs[0], threads)
        found["ONNX Runtime int8"] = in_onnxruntime(graphs[1], threads)
        try:
            found["OpenVINO fp32"] = in_openvino(graphs[0], "f32", threads)
            if FAST == "bf16":
                found["OpenVINO bf16"] = in_openvino(graphs[0], "bf16", threads)
        except ImportError as error:
            print(f"OpenVINO is left out: {error}", file=sys.stderr)
    found[f"the codec {FAST}"] = as_shipped(threads, pages)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    text = re.sub(r"\s+", " ", given.text.read_text())
    typeset = [p for p in Typesetter(DENSITY, MODE).pages([text * 3]) if p.image.shape[0] == MODE.side][:4]
    inks = [ink_of(p)[None] for p in typeset]
    by_ink: dict[bytes, object] = {ink.tobytes(): p for ink, p in zip(inks, typeset, strict=True)}
    page = Page(load(dtype=torch.float32)).eval().requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        page(torch.from_numpy(inks[0]))
    work = counter.get_total_flops()
    with tempfile.TemporaryDirectory() as folder:
        try:
            graphs = exported(page, Path(folder))
        except ImportError as error:
            graphs = None
            print(f"ONNX Runtime and OpenVINO are left out: {error}", file=sys.stderr)
        for threads in given.threads:
            report(threads, runners(threads, page, graphs, by_ink), inks, work, given.rounds)


def report(threads: int, found: dict[str, Run], inks: list[Array], work: int, rounds: int) -> None:
    """Measures on so many threads and prints the table."""
    truth = [found["torch fp32"](ink) for ink in inks]

    def otherwise(run: Run) -> int:
        return sum(int((run(ink) != right).sum()) for ink, right in zip(inks, truth, strict=True))

    differ = {name: otherwise(run) for name, run in found.items() if not name.startswith("the codec")}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in found}
    limits = [matrix_rates(threads)]
    for ink in islice(cycle(inks), rounds):
        for name, run in found.items():
            run(ink)  # its weights come back to the caches
            clock, processor = time.perf_counter(), time.process_time()
            run(ink)
            seconds[name].append((time.perf_counter() - clock, time.process_time() - processor))
    limits.append(matrix_rates(threads))
    limit = {kind: max(rates[kind] for rates in limits) for kind in limits[0]}
    shown = ", ".join(f"{kind} {rate / 1e9:.0f}" for kind, rate in limit.items())
    print(f"\nThreads: {threads}. A page takes {work / 1e9:.1f} GFLOP; matrix products, GFLOP/s: {shown}\n")
    columns = ("runtime", "pages/s", "best", "processor ms", f"torch {FAST} takes", "share of limit", "read otherwise")
    print("|", " | ".join(columns), "|")
    print("|---|---|---|---|---|---|---|")
    for name, spent in seconds.items():
        clocks, processor = [c for c, _ in spent], median(p for _, p in spent)
        against = median(usual / own for (_, usual), (_, own) in zip(seconds[f"torch {FAST}"], spent, strict=True))
        share = work / processor / limit[name.split()[-1]]
        other = f"{differ[name]} of {sum(map(len, truth)):,}" if name in differ else ""
        rates = f"{1 / median(clocks):.1f} | {1 / min(clocks):.1f} | {processor * 1e3:.0f} | {against:.2f}× as long"
        print(f"| {name} | {rates} | {share:.0%} | {other} |", flush=True)


if __name__ == "__main__":
    main()
