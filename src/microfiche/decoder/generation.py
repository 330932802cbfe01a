"""Greedy generation for many sequences at once, with the published ban on repeated n-grams and a watch for loops.

It takes the vectors of prompts and returns token ids and how each sequence ended; it knows nothing of images or text.
Every step moves one (B,) tensor of tokens to the host and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from microfiche.decoder.cache import Cache
from microfiche.decoder.moe import MoEDecoder
from microfiche.decoder.prompts import BANS, NEVER_BANNED, Kind, ModelName
from microfiche.errors import UsageError
from microfiche.page import Status


@dataclass(frozen=True)
class NoRepeat:
    """Bans any n-gram that already occurs in the last `window` generated tokens. The `allowed` tokens are never
    banned."""

    n: int = 30
    window: int = 90
    allowed: tuple[int, ...] = (128821, 128822)  # <td> and </td>

    def ban(self, logits: Float[Tensor, "b v"], generated: Int[Tensor, "b t"]) -> Float[Tensor, "b v"]:
        """Sets (B, V) logits, in place, to −∞ for each token that would complete an n-gram of the (B, t) tokens
        generated so far."""
        recent = generated[:, -self.window :]
        if recent.shape[1] < self.n:
            return logits
        grams = recent.unfold(1, self.n, 1)  # (B, grams, n)
        last = grams[..., -1]
        again = (grams[..., :-1] == recent[:, None, recent.shape[1] - self.n + 1 :]).all(-1)
        for token in self.allowed:
            again &= last != token
        return logits.scatter_reduce_(1, last, torch.where(again, -torch.inf, torch.inf), "amin")


def published_ban(model: ModelName, kind: Kind) -> NoRepeat:
    """Returns the ban that a model was published with for what is read."""
    return NoRepeat(*BANS[model][kind], NEVER_BANNED[model])


@dataclass(frozen=True)
class Generated:
    """The `tokens` of an answer, without the end token. The status is "ok" if it ended by itself, "truncated" if it
    reached the limit, and "looped" if it repeated a block of tokens and was cut after the first occurrence."""

    tokens: tuple[int, ...]
    status: Status


class LoopWatch:
    """Detects when a sequence keeps repeating a block of up to `longest` tokens.

    For each period it counts how many of the latest tokens equal the token one period before. A loop is a block that
    occurred `REPEATS` times and covers at least `TEXT` tokens, or `CELLS` tokens if a quarter of the block are
    `allowed` tokens, because the empty cells of a real table repeat as well.
    """

    REPEATS = 4
    TEXT = 128
    CELLS = 1024

    def __init__(self, rows: int, steps: int, longest: int = 2048, allowed: Sequence[int] = ()) -> None:
        longest = max(1, min(longest, steps // self.REPEATS))
        self._period = np.arange(1, longest + 1)
        self._tokens = np.full((rows, longest + steps), -1, np.int64)  # padded in front with −1, which equals no token
        self._run = np.zeros((rows, longest), np.int32)
        self._allowed = np.array(allowed, np.int64)
        self._length = 0

    def add(self, tokens: NDArray[np.int64]) -> dict[int, int]:
        """Takes the next (rows,) tokens. Returns, for each row that loops, how many of its tokens to keep."""
        longest = len(self._period)
        now = longest + self._length
        before = self._tokens[:, self._length : now][:, ::-1]  # by period
        self._tokens[:, now] = tokens
        self._length += 1
        self._run += 1
        self._run *= before == tokens[:, None]
        repeats = self._run >= np.maximum((self.REPEATS - 1) * self._period, self.TEXT - self._period)
        rows = np.flatnonzero(repeats.any(1)).tolist()
        return {row: end for row in rows if (end := self._end(row, repeats[row]))}

    def _end(self, row: int, repeats: NDArray[np.bool_]) -> int:
        """How many tokens to keep of a row whose latest tokens repeat; 0 if the repetition is allowed."""
        period = int(self._period[repeats.argmax()])
        run = int(self._run[row, period - 1])
        now = len(self._period) + self._length
        block = self._tokens[row, now - period : now]
        cells = np.isin(block, self._allowed).mean() >= 0.25
        return 0 if cells and run + period < self.CELLS else self._length - run

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Drops all rows except these."""
        self._tokens, self._run = self._tokens[rows], self._run[rows]


@torch.inference_mode()
def generate(
    decoder: MoEDecoder,
    prompts: Sequence[Float[Tensor, "_ d"]],
    end: int,
    limit: int | None = None,
    no_repeat: NoRepeat | None = NoRepeat(),
) -> list[Generated]:
    """Returns the greedy continuation of each (T, D) prompt, up to the token `end`, `limit` tokens, or the end of the
    context.

    Raises UsageError for a prompt that leaves no room in the context.
    """
    context = decoder.config.context
    lengths = [len(prompt) for prompt in prompts]
    if not prompts:
        return []
    if max(lengths) >= context:
        raise UsageError(f"a prompt of {max(lengths)} tokens leaves no room in a context of {context}")
    steps = context - min(lengths) if limit is None else min(limit, context - min(lengths))
    room = [min(steps, context - length) for length in lengths]  # how many tokens each sequence may still take
    device = prompts[0].device

    hidden, cache = prefill(decoder, prompts, max(lengths) + steps)
    generated = torch.zeros(len(prompts), steps, dtype=torch.int64, device=device)
    watch = LoopWatch(len(prompts), steps, context // LoopWatch.REPEATS, allowed=no_repeat.allowed if no_repeat else ())
    rows = np.arange(len(prompts))  # the prompt that each row of the batch continues
    alive = np.ones(len(prompts), bool)
    tokens: list[list[int]] = [[] for _ in prompts]
    status: list[Status] = ["truncated"] * len(prompts)

    for step in range(steps):
        logits = decoder.logits(hidden)
        if no_repeat:
            no_repeat.ban(logits, generated[:, :step])
        generated[:, step] = logits.argmax(-1)
        new = generated[:, step].cpu().numpy()
        loops = watch.add(new)
        for i in np.flatnonzero(alive).tolist():
            row = rows[i]
            if new[i] == end:
                status[row] = "ok"
            else:
                tokens[row].append(int(new[i]))
            if i in loops:
                status[row] = "looped"
                del tokens[row][loops[i] :]
            alive[i] = new[i] != end and i not in loops and step + 1 < room[row]
        if not alive.any():
            break
        if 2 * alive.sum() <= len(alive):  # drop the sequences that are done
            kept = torch.from_numpy(np.flatnonzero(alive)).to(device)
            generated = generated[kept]
            cache.keep(kept)
            watch.keep(np.flatnonzero(alive))
            rows, alive = rows[alive], alive[alive]
        hidden = decode(decoder, generated[:, step], cache)
    return [Generated(tuple(t), s) for t, s in zip(tokens, status, strict=True)]


def prefill(
    decoder: MoEDecoder, prompts: Sequence[Float[Tensor, "_ d"]], capacity: int
) -> tuple[Float[Tensor, "b d"], Cache]:
    """Runs the decoder over the (T, D) prompts. Returns its (B, D) output at the end of each prompt, and a cache that
    contains all of them and has room for `capacity` tokens a sequence, or for as many as the decoder's window keeps."""
    config, device = decoder.config, prompts[0].device
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    padded = torch.nn.utils.rnn.pad_sequence(list(prompts), batch_first=True)
    if config.window is not None:
        capacity = min(capacity, padded.shape[1] + config.window)
    cache = Cache(
        config.layers, len(prompts), config.heads, capacity, config.head_width, device, padded.dtype, config.window
    )
    hidden = decoder(padded, cache)
    cache.advance(lengths, padded.shape[1])
    return hidden[torch.arange(len(prompts), device=device), lengths - 1], cache


def decode(decoder: MoEDecoder, tokens: Int[Tensor, " b"], cache: Cache) -> Float[Tensor, "b d"]:
    """Runs the decoder over one more token (B,) of each sequence and returns its (B, D) output."""
    hidden = decoder(decoder.embed_tokens(tokens)[:, None], cache)
    cache.advance(1, cache.longest + 1)
    return hidden[:, 0]
