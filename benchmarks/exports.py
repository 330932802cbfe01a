"""What of nano ONNX Runtime could do: `python benchmarks/exports.py examples/alice-1.txt examples/scan.jpg`.

The heavy parts of nano and of nano-pages are exported for pages of any size, in float32, and take their place in the
models, while all that chooses, gathers and corrects stays in torch. Printed are the size of each file, how many stored
numbers (int8) of the vision tokens differ from torch's in float32, and how many characters are read otherwise. Needs
`pip install onnx onnxscript`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image
from rapidfuzz.distance import Levenshtein
from torch import Tensor, nn
from torch.export import Dim

import microfiche
from microfiche.page import Page, VisionTokens, quantise
from microfiche.readers import Reader, load

DENSITIES = ("7x13", "6x12", "5x8", "4x6")
PAGES = 3  #: of each density


class Part(nn.Module):
    """A function of a model's part, as a module of its own."""

    def __init__(self, owner: nn.Module, does: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.owner, self.does = owner, does

    def forward(self, x: Tensor) -> Tensor:
        return self.does(x)


class Session(nn.Module):
    """A graph of one input, as a module that ONNX Runtime runs."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self.session.run(None, {self.name: x.numpy()})[0])


def exported(name: str, part: nn.Module, example: Tensor, sizes: dict[int, Dim]) -> Session:
    """A part of a model by ONNX Runtime; the `sizes` of its input's axes may be any."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "part.onnx"
        torch.onnx.export(
            part, (example,), str(file), dynamo=True, verbose=False, external_data=False, dynamic_shapes=(sizes,)
        )
        print(f"{name}: {file.stat().st_size / 1e6:.1f} MB")
        return Session(file)


def compared(name: str, other: Reader, reader: Reader, pages: list[Page]) -> None:
    """Prints how the tokens and the readings of `other` differ from those of `reader`."""
    ours, theirs = reader.encode(pages), other.encode(pages)
    numbers = [(stored(one), stored(two)) for one, two in zip(ours, theirs, strict=True)]
    texts = [(a.text, b.text) for a, b in zip(reader.read(ours), other.read(theirs), strict=True)]
    print(
        f"{name}: {sum(int((a != b).sum()) for a, b in numbers):,} of {sum(a.size for a, _ in numbers):,} numbers and "
        f"{sum(Levenshtein.distance(*both) for both in texts):,} of {sum(len(a) for a, _ in texts):,} characters differ"
    )


def stored(tokens: VisionTokens) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
    """The int8 numbers of a page's tokens."""
    return quantise(tokens.values, "int8")["tokens"].numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    height, width = Dim("height", min=2, max=64), Dim("width", min=2, max=64)
    nano, other = load(dtype=torch.float32), load(dtype=torch.float32)
    ink = torch.rand(1, 128, 192)
    other.encoder = exported("nano's encoder", nano.encoder, ink, {1: 64 * height, 2: 64 * width})
    unfold, example = Part(nano.readout, nano.readout.unfold), torch.rand(1, 12, 1280)
    session = exported("its tokens unfolded", unfold, example, {1: Dim("tokens", min=2, max=4096)})
    other.readout.unfold = session.forward
    text = given.text.read_text("utf-8") * 4
    for density in DENSITIES:
        compared(f"nano at {density}", other, nano, list(microfiche.typeset(text, density=density)[:PAGES]))
    rows, columns = Dim("rows", min=2, max=256), Dim("columns", min=2, max=256)
    pages, other = load("nano-pages", dtype=torch.float32), load("nano-pages", dtype=torch.float32)
    encoder = pages.encoder
    patches = Part(encoder, lambda x: encoder._patches(encoder.local(x)))
    session = exported("nano-pages' patches", patches, ink, {1: 16 * rows, 2: 16 * columns})
    other.encoder._patches = session.forward
    other.encoder.local.forward = lambda x: x
    compared("nano-pages", other, pages, [Page(np.asarray(Image.open(given.picture).convert("L")))])


if __name__ == "__main__":
    main()
