"""Other readers of pictures: Tesseract and RapidOCR. They get the same pixels as nano and give lines of text."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rapidocr import RapidOCR

_BESIDE = 1.5  #: heights of type between two boxes of a line, at most


def tesseract(image: Image.Image, layout: int = 3, language: str = "eng") -> list[str]:
    """The lines that Tesseract reads on one thread. `layout` is its --psm: 3 finds columns, 6 takes one block."""
    png = io.BytesIO()
    image.save(png, "PNG")
    command = ["tesseract", "-", "-", "--psm", str(layout), "-l", language]
    alone = {**os.environ, "OMP_THREAD_LIMIT": "1"}  # its threads slow each other down tenfold
    done = subprocess.run(command, input=png.getvalue(), capture_output=True, check=True, env=alone)
    return [line for line in done.stdout.decode().splitlines() if line.strip()]


def rapidocr(threads: int = -1) -> Callable[[Image.Image], list[str]]:
    """A function that reads the lines of a picture, from the top down, by RapidOCR with the models of its wheel."""
    limits = {"intra_op_num_threads": threads, "inter_op_num_threads": threads}
    engine = RapidOCR(
        params={"Global.log_level": "error"}
        | {f"EngineConfig.onnxruntime.{name}": number for name, number in limits.items()},
    )

    def read(image: Image.Image) -> list[str]:
        found: Any = engine(np.asarray(image.convert("RGB")))
        return joined(np.asarray(found.boxes), list(found.txts)) if found.boxes is not None and found.txts else []

    return read


def joined(boxes: NDArray[np.floating], texts: list[str]) -> list[str]:
    """(N, 4, 2) boxes of corners (x, y) in px and their texts → lines from the top down. Boxes beside each other are
    parts of one line that were found separately, and are joined by a space."""
    edges = np.concatenate([boxes.min(1), boxes.max(1)], 1)
    lines: list[list[int]] = []
    for i in np.argsort(edges[:, 0], kind="stable").tolist():
        left, top, _, bottom = edges[i]
        for line in lines:
            _, above, right, below = edges[line[-1]]
            low = min(bottom - top, below - above)
            if min(bottom, below) - max(top, above) > 0.6 * low and abs(left - right) < _BESIDE * low:
                line.append(i)
                break
        else:
            lines.append([i])
    lines.sort(key=lambda line: float(edges[line, 1].mean() + edges[line, 3].mean()))
    return [" ".join(texts[i] for i in line) for line in lines]
