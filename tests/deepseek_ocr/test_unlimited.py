"""Unlimited-OCR against the oracle: its attention while generating, its memory, its views, several pages at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from microfiche.decoder.cache import Cache
from microfiche.decoder.generation import Generated, LoopWatch, generate
from microfiche.decoder.moe import MoEConfig, MoEDecoder
from microfiche.deepseek_ocr import views
from microfiche.deepseek_ocr.family import MODELS
from microfiche.deepseek_ocr.model import DeepSeekOCR
from microfiche.deepseek_ocr.slots import official_tensors
from microfiche.deepseek_ocr.views import RESOLUTIONS, RESOLUTIONS_UNLIMITED
from microfiche.errors import CheckpointError, UsageError
from microfiche.page import UNTRAINED, Reading, VisionTokens

CLOSE = 1e-4
NEVER = -1  #: no token ends the text
NO_END = 1000
GUNDAM = RESOLUTIONS_UNLIMITED["gundam"]


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (-(-height // 20), -(-width // 20), 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height))


def test_it_has_the_tensors_of_deepseek_ocr_and_another_decoder() -> None:
    config = MODELS["unlimited-ocr"].config
    assert official_tensors(config) == official_tensors(MODELS["deepseek-ocr"].config)
    assert (config.decoder.context, config.decoder.window) == (32768, 128)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("length", [60, 5])
@torch.inference_mode()
def test_greedy_tokens_are_the_oracles(model_unlimited: DeepSeekOCR, oracle_unlimited: Any, length: int) -> None:
    ids = torch.randint(500, (1, length), generator=torch.Generator().manual_seed(0))
    arguments = {"max_new_tokens": 64, "do_sample": False, "eos_token_id": NO_END, "pad_token_id": 510}
    theirs = oracle_unlimited.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **arguments)
    theirs = theirs[0, length:].tolist()
    embedded = model_unlimited.decoder.embed_tokens(ids[0])
    (ours,) = generate(model_unlimited.decoder, [embedded], NEVER, 64, None)
    assert list(ours.tokens) == theirs and len(set(theirs)) > 20


@torch.inference_mode()
def test_a_token_sees_the_prompt_and_the_window(model: DeepSeekOCR, model_unlimited: DeepSeekOCR) -> None:
    decoder, c = model_unlimited.decoder, model_unlimited.config.decoder
    ids = torch.randint(500, (80,), generator=torch.Generator().manual_seed(1))
    cache = Cache(c.layers, 1, c.heads, 20 + 24, c.head_width, window=24)
    decoder(decoder.embed_tokens(ids[None, :20]), cache)
    cache.advance(20, 20)
    outs = []
    for t in range(20, 80):
        outs.append(decoder(decoder.embed_tokens(ids[None, t : t + 1]), cache)[:, 0])
        cache.advance(1, cache.longest + 1)
    query, key = torch.arange(80)[:, None], torch.arange(80)
    mask = (key <= query) & ((key < 20) | (query - key < 24))
    whole = with_mask(decoder, decoder.embed_tokens(ids[None]), mask)
    torch.testing.assert_close(torch.cat(outs), whole[0, 20:], atol=CLOSE, rtol=0)
    everything = model.decoder(model.decoder.embed_tokens(ids[None]))[0, 20:]
    torch.testing.assert_close(torch.cat(outs)[:24], everything[:24], atol=CLOSE, rtol=0)
    assert (torch.cat(outs)[24:] - everything[24:]).abs().max() > 0.01


def with_mask(decoder: MoEDecoder, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The decoder over a whole sequence whose attention is masked so."""

    class Masked(Cache):
        def append(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> Any:
            return keys, values, mask[None, None]

    c = decoder.config
    return decoder(x, Masked(c.layers, 1, c.heads, 1, c.head_width))


@torch.inference_mode()
def test_a_batch_of_different_lengths_gives_what_each_gives_alone(model_unlimited: DeepSeekOCR) -> None:
    decoder = model_unlimited.decoder
    ids = [torch.randint(500, (n,), generator=torch.Generator().manual_seed(n)) for n in (37, 5, 90)]
    prompts = [decoder.embed_tokens(one) for one in ids]
    alone = [generate(decoder, [one], NEVER, 60, None)[0] for one in prompts]
    assert generate(decoder, prompts, NEVER, 60, None) == alone
    end = alone[1].tokens[30]  # where one ends early, the others go on
    together = generate(decoder, prompts, end, 60, None)
    for one, whole in zip(together, alone, strict=True):
        assert one.tokens == (whole.tokens[: whole.tokens.index(end)] if end in whole.tokens else whole.tokens)


@torch.inference_mode()
def test_memory_stays_flat_over_4096_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    sizes = MoEConfig(64, width=16, layers=1, heads=1, dense=16, dense_layers=1, context=8192, window=128)
    decoder, kept, attended = MoEDecoder(sizes).eval(), [], []
    append = Cache.append

    def counted(self: Cache, layer: int, keys: torch.Tensor, values: torch.Tensor) -> Any:
        seen = append(self, layer, keys, values)
        kept.append(self.keys.untyped_storage().nbytes() + self.values.untyped_storage().nbytes())
        attended.append(seen[0].shape[2])
        return seen

    monkeypatch.setattr(Cache, "append", counted)
    monkeypatch.setattr(LoopWatch, "add", lambda *_: {})  # random weights repeat themselves
    (answer,) = generate(decoder, [torch.randn(300, 16)], NEVER, 4096, None)
    assert len(answer.tokens) == 4096 and len(attended) == 4096
    assert set(kept) == {2 * (300 + 128) * 16 * 4}
    assert attended[:129] == list(range(300, 429)) and set(attended[129:]) == {428}


@pytest.mark.parametrize(
    ("size", "expected", "count"),
    [
        ((640, 640), (0, 0), 273),
        ((1191, 1684), (2, 3), 903),
        ((2480, 3508), (4, 6), 2733),
        ((2550, 3300), (3, 4), 1513),
        ((1920, 1080), (7, 4), 3113),
        ((10, 20000), (1, 32), 3793),
    ],
)
def test_known_sizes_are_cut_as_published(size: tuple[int, int], expected: tuple[int, int], count: int) -> None:
    assert views.tiling(GUNDAM, *size) == expected
    assert views.vectors(1024, 640, expected) == count


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9000), st.integers(1, 9000))
def test_a_page_has_at_most_32_tiles_of_the_nearest_shape(width: int, height: int) -> None:
    w, h = views.tiling(GUNDAM, width, height)
    shapes = [(a, b) for a in range(1, 33) for b in range(1, 33) if 2 <= a * b <= 32]
    if max(width, height) <= 640:
        assert (w, h) == (0, 0)
    else:
        assert abs(width / height - w / h) == min(abs(width / height - a / b) for a, b in shapes)
        assert (w, h) in shapes


def test_only_what_was_published_is_asked(model_unlimited: DeepSeekOCR, model_2: DeepSeekOCR) -> None:
    for task in ("free", "ocr", "locate:it"):
        with pytest.raises(UsageError, match=r"unlimited-ocr was published without a task .*; there is markdown"):
            model_unlimited.asking("gundam", task)
    with pytest.raises(UsageError, match="no mode 'tiny'; there are base, gundam"):
        model_unlimited.asking("tiny")
    with pytest.raises(UsageError, match="read in the mode base"):
        model_unlimited.asking("gundam", together=True)
    for call in (lambda: model_2.asking("base", together=True), lambda: model_2.read_together([])):
        with pytest.raises(UsageError, match="deepseek-ocr-2 was not trained to read several pages in one request"):
            call()


def seen(model: DeepSeekOCR, *pages: int) -> list[VisionTokens]:
    """Tokens of pages in the mode base, each full of its number."""
    places = np.full((273, 3), -1, np.int32)
    values = [torch.full((273, 64), float(page)) for page in pages]
    return [VisionTokens(one, 16, 12, None, model.checkpoint, places) for one in values]


@pytest.fixture
def asked(model_unlimited: DeepSeekOCR, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Answers requests by what is given for the pages in them; keeps the pages of each request."""

    def answers(given: dict[tuple[int, ...], tuple[str, str]]) -> list[tuple[int, ...]]:
        requests: list[tuple[int, ...]] = []

        def _answers(requested: Sequence[Sequence[VisionTokens]], *_: Any) -> list[Generated]:
            first = len(requests)
            requests.extend(tuple(int(page.values[0, 0]) for page in pages) for pages in requested)
            return [
                Generated((number,), given[requests[number]][1])  # type: ignore[arg-type]
                for number in range(first, len(requests))
            ]

        monkeypatch.setattr(model_unlimited, "_answers", _answers)
        monkeypatch.setattr(model_unlimited, "_text", lambda answer: given[requests[answer.tokens[0]]][0])
        return requests

    return answers


def test_pages_in_one_request_are_told_apart(model_unlimited: DeepSeekOCR, asked: Any) -> None:
    requests = asked({(1, 2, 3): ("<PAGE>one\n<PAGE>two<PAGE>", "ok"), (4, 5): ("four<PAGE>\n\nfive", "ok")})
    readings = model_unlimited.read_together(seen(model_unlimited, 1, 2, 3, 4, 5))
    assert summary(readings) == [(text, "ok", "") for text in ("one", "two", "", "four", "five")]
    assert requests == [(1, 2, 3), (4, 5)]  # three fit into the small context with room for their text


def summary(readings: list[Reading]) -> list[tuple[str, str, str]]:
    return [(one.text, one.status, one.reason) for one in readings]


@pytest.mark.parametrize(("text", "pages"), [("<PAGE>one<PAGE>two", 2), ("<PAGE>a<PAGE>b<PAGE>c<PAGE>d", 4), ("", 0)])
def test_pages_whose_marks_do_not_match_are_read_alone(
    model_unlimited: DeepSeekOCR, asked: Any, text: str, pages: int
) -> None:
    alone = {(n,): (f"page {n}", "ok") for n in (1, 2)} | {(3,): ("page", "looped")}
    asked({(1, 2, 3): (text, "ok"), **alone})
    why = f"{pages} pages were read of 3 in one request; read alone"
    assert summary(model_unlimited.read_together(seen(model_unlimited, 1, 2, 3))) == [
        ("page 1", "ok", why), ("page 2", "ok", why), ("page", "looped", f"{why}, looped")
    ]  # fmt: skip


def test_pages_behind_a_cut_are_asked_for_again(model_unlimited: DeepSeekOCR, asked: Any) -> None:
    requests = asked({
        (1, 2, 3): ("<PAGE>one<PAGE>two<PAGE>thr", "truncated"),
        (3, 4): ("<PAGE>th", "truncated"),
        (3,): ("three", "ok"),
        (4,): ("four", "ok"),
    })  # fmt: skip
    readings = model_unlimited.read_together(seen(model_unlimited, 1, 2, 3, 4))
    why = "truncated among 2 pages in one request; read alone"
    assert summary(readings) == [("one", "ok", ""), ("two", "ok", ""), ("three", "ok", why), ("four", "ok", "")]
    assert requests == [(1, 2, 3), (3, 4), (3,), (4,)]


def test_a_page_that_loops_among_others_is_cut_and_marked(model_unlimited: DeepSeekOCR, asked: Any) -> None:
    requests = asked({
        (1, 2, 3): ("<PAGE>one<PAGE>again and", "looped"), (2,): ("again and", "looped"), (3,): ("three", "ok")
    })  # fmt: skip
    why = "looped among 3 pages in one request; read alone, looped"
    assert summary(model_unlimited.read_together(seen(model_unlimited, 1, 2, 3))) == [
        ("one", "ok", ""), ("again and", "looped", why), ("three", "ok", "")
    ]  # fmt: skip
    assert requests == [(1, 2, 3), (2,), (3,)]


@pytest.mark.filterwarnings("ignore")
@torch.inference_mode()
def test_several_pages_stand_at_one_image(
    model_unlimited: DeepSeekOCR, oracle_unlimited: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = replace(model_unlimited.config, end=NO_END, name="deepseek-ocr")  # whose views are smaller and quicker
    monkeypatch.setattr(model_unlimited, "config", tiny)
    pictures = [picture(300, 400), picture(400, 300, 1)]
    tokens = model_unlimited.encode(pictures, "tiny")
    assert [len(one) for one in tokens] == [73, 73]
    pages = torch.stack([views.views(one, RESOLUTIONS["tiny"]).page for one in pictures])
    after = model_unlimited.prompt("", "<image>Multi page parsing.")[1]
    ids = torch.tensor([[0, *[500] * 146, *after]])
    theirs = oracle_unlimited.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=pages,
        max_new_tokens=40, do_sample=False, eos_token_id=NO_END, pad_token_id=510,
    )[0, ids.shape[1] :].tolist()  # fmt: skip
    (ours,) = model_unlimited._answers([tokens], "<image>Multi page parsing.", 40, None)
    assert list(ours.tokens) == theirs


def test_tokens_of_another_mode_or_model_are_refused(model_unlimited: DeepSeekOCR) -> None:
    tokens = seen(model_unlimited, 1, 2)
    with pytest.raises(CheckpointError, match="cannot be read by unlimited-ocr"):
        model_unlimited.read_together([replace(one, checkpoint=UNTRAINED) for one in tokens])
    wide = replace(tokens[0], values=torch.zeros(903, 64), places=np.full((903, 3), -1, np.int32))
    with pytest.raises(UsageError, match="read in the mode base"):
        model_unlimited.read_together([tokens[0], wide])
