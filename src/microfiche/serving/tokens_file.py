"""Vision tokens in a safetensors file, as /v1/encode gives them and /v1/read takes them: for page N the tensors
tokens.N (n, D) int8 with scale.N (n, 1) float16, places.N (n, 3) and origin.N (2,) where they say something, and in the
metadata, as JSON, the checkpoint and each page's size and setting. Nothing in it is evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import safe_open
from safetensors.torch import save

from microfiche.errors import FicheError, UsageError, first_of
from microfiche.fiche.manifest import DIGEST, KeptEntry
from microfiche.limits import Limits
from microfiche.page import Checkpoint, Corrected, Kept, Layout, Setting, VisionTokens, dequantise, quantise
from microfiche.typesetting.density import density

WIDEST = 1 << 14  #: numbers of a token


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SetHow(_Strict):
    """How a typeset page was set, and what of it is kept as text."""

    density: str
    layout: Layout
    scale: float = Field(gt=0, le=1)
    kept: list[KeptEntry]
    lettered: list[int]
    corrected: list[tuple[int, int, str]]


class PageHead(_Strict):
    """The size of a page in squares of 64 px, and its setting where it was typeset."""

    height: int = Field(gt=0, le=64)
    width: int = Field(gt=0, le=64)
    setting: SetHow | None


class TokensHead(_Strict):
    """The metadata of the file."""

    format: str = Field(pattern="^microfiche-tokens-1$")
    checkpoint: str
    checkpoint_sha256: str = Field(pattern=DIGEST)
    pages: list[PageHead]


def stored(pages: Sequence[VisionTokens], checkpoint: Checkpoint) -> bytes:
    """The file with the tokens of these pages, in their order."""
    tensors: dict[str, torch.Tensor] = {}
    heads = []
    for number, page in enumerate(pages, 1):
        parts = quantise(page.values, "int8")
        if page.places is not None:
            parts["places"] = torch.from_numpy(page.places.copy())
        if page.origin != (0, 0):
            parts["origin"] = torch.tensor(page.origin, dtype=torch.int32)
        tensors |= {f"{name}.{number}": part.contiguous() for name, part in parts.items()}
        heads.append(PageHead(height=page.height, width=page.width, setting=_how(page.setting)))
    head = TokensHead(format="microfiche-tokens-1", checkpoint=checkpoint.name, checkpoint_sha256=checkpoint.sha256,
                      pages=heads)  # fmt: skip
    return save(tensors, {"microfiche": head.model_dump_json()})


def _how(setting: Setting | None) -> SetHow | None:
    if setting is None:
        return None
    return SetHow(
        density=setting.density, layout=setting.layout, scale=setting.scale,
        kept=[KeptEntry(**one._asdict()) for one in setting.kept], lettered=list(setting.lettered),
        corrected=[(one.row, one.at, one.text) for one in setting.corrected],
    )  # fmt: skip


def tokens_in(path: Path, limits: Limits) -> list[VisionTokens]:
    """The tokens of each page in a file; FicheError for anything that `stored` did not write so."""
    try:
        with safe_open(path, "pt") as file:
            head = TokensHead.model_validate_json((file.metadata() or {}).get("microfiche", "{}"))
            if len(head.pages) > limits.pages:
                raise FicheError(f"{len(head.pages):,} pages; the limit pages is {limits.pages:,}")
            names = set(file.keys())
            checkpoint = Checkpoint(head.checkpoint, head.checkpoint_sha256)
            return [_page(file, names, number, page, checkpoint) for number, page in enumerate(head.pages, 1)]
    except FicheError:
        raise
    except ValidationError as error:
        raise FicheError(f"not a file of tokens: its metadata: {first_of(error)}") from error
    except UsageError as error:
        raise FicheError(f"not a file of tokens: {error}") from error
    except Exception as error:  # whatever safetensors raises for damaged data
        raise FicheError("not a whole safetensors file") from error


def _page(file: Any, names: set[str], number: int, page: PageHead, checkpoint: Checkpoint) -> VisionTokens:
    parts = {name: file.get_tensor(f"{name}.{number}") for name in ("tokens", "scale", "places", "origin")
             if f"{name}.{number}" in names}  # fmt: skip
    tokens, places, origin = parts.get("tokens"), parts.get("places"), parts.get("origin")
    if tokens is None or tokens.dtype != torch.int8 or tokens.ndim != 2 or not 0 < tokens.shape[1] <= WIDEST:
        raise FicheError(f"page {number}: tokens.{number} is not int8 (n, D)")
    n = page.height * page.width if places is None else len(places)
    if len(tokens) != n:
        raise FicheError(f"page {number}: {len(tokens)} tokens, and {n} places")
    for name, kind, shape in (("scale", "float16", (n, 1)), ("places", "int32", (n, 3)), ("origin", "int32", (2,))):
        part = parts.get(name)
        if (part is None and name == "scale") or (
            part is not None and (part.dtype, tuple(part.shape)) != (getattr(torch, kind), shape)
        ):
            raise FicheError(f"page {number}: {name}.{number} is not {kind} {shape}")
    return VisionTokens(
        dequantise({"tokens": tokens, "scale": parts["scale"]}), page.height, page.width, _setting(page.setting),
        checkpoint, None if places is None else places.numpy(),
        (0, 0) if origin is None else (int(origin[0]), int(origin[1])),
    )  # fmt: skip


def _setting(how: SetHow | None) -> Setting | None:
    if how is None:
        return None
    density(how.density)
    return Setting(
        how.density, how.layout, how.scale, tuple(Kept(one.row, one.rows, one.text) for one in how.kept),
        tuple(how.lettered), tuple(Corrected(*one) for one in how.corrected),
    )  # fmt: skip
