"""Nano: encoder and readout as one model. Knows pages and cells; files are checkpoints' business."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from torch import nn

from microfiche.decoder.readout import Readout
from microfiche.encoder.nano import NanoEncoder


@dataclass(frozen=True)
class NanoConfig:
    """Widths and depths of a nano model."""

    stem: tuple[int, int, int, int] = (32, 64, 128, 192)
    local_layers: int = 2
    token_width: int = 1280
    global_width: int = 384
    global_layers: int = 2
    readout_layers: int = 2
    square_width: int = 128
    hidden: int = 256


class Nano(nn.Module):
    """The nano codec: `encoder` makes vision tokens of ink, `readout` makes characters of them."""

    def __init__(self, config: NanoConfig = NanoConfig()) -> None:  # noqa: B008
        super().__init__()
        self.config = config
        c = asdict(config)
        self.encoder = NanoEncoder(
            c["stem"], c["local_layers"], c["token_width"], c["global_width"], c["global_layers"]
        )
        self.readout = Readout(
            config.stem[-1], config.token_width, config.readout_layers, config.square_width, config.hidden
        )
