"""The reader sees a page arranged as DeepSeek-OCR's is, and generates by its cache what it reads without."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from microfiche.decoder.moe import Routing, balance_loss
from microfiche.nano.prompted import NANO_READER, AnswerDecoder
from microfiche.nano.vocabulary import BEGIN, END
from microfiche.training.stage import Use

SIZES = {"width": 16, "layers": 3, "heads": 2, "dense": 16, "experts": 4, "chosen": 2, "expert": 8, "context": 96}


@pytest.fixture(scope="module")
def reader() -> AnswerDecoder:
    torch.manual_seed(0)
    made = AnswerDecoder(replace(NANO_READER, **SIZES), 12).eval().requires_grad_(False)
    torch.nn.init.normal_(made.decoder.lm_head.weight)
    torch.nn.init.normal_(made.decoder.embed_tokens.weight)
    return made


@pytest.fixture(scope="module")
def pages(reader: AnswerDecoder) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [reader.arranged(torch.randn(h * w, 12, generator=generator), h, w) for h, w in ((2, 3), (1, 1), (4, 2))]


QUESTIONS = [torch.tensor(ids) for ids in ([10, 11], [12], [13, 14, 15, 16])]


def test_rows_end_in_a_newline_and_pages_in_a_separator(reader: AnswerDecoder) -> None:
    values = torch.randn(6, 12)
    page = reader.arranged(values, 2, 3)
    assert page.shape == (2 * 4 + 1, 16)
    assert torch.equal(page[[3, 7]], reader.newline.expand(2, -1)) and torch.equal(page[8], reader.separator)
    assert torch.allclose(page[[0, 1, 2, 4, 5, 6]], reader.projector(values), atol=1e-6)
    prompt = reader.prompt(page, torch.tensor([10, 11]))
    begin, *asked = reader.decoder.embed_tokens(torch.tensor([BEGIN, 10, 11]))
    assert torch.equal(prompt, torch.cat([begin[None], page, torch.stack(asked)]))


def test_generating_by_the_cache_reads_as_without(reader: AnswerDecoder, pages: list[Tensor]) -> None:
    found = reader.generate(pages, QUESTIONS, limit=20)
    assert len({one.tokens for one in found}) == 3
    for page, question, one in zip(pages, QUESTIONS, found, strict=True):
        read: list[int] = []
        while len(read) < 20 and END not in read:
            logits, _ = reader([page], [question], [torch.tensor([*read, END])])
            read.append(int(logits[-1].argmax()))
        assert tuple(i for i in read if i != END) == one.tokens
        assert one.status == ("ok" if END in read else "truncated")


def test_what_others_are_asked_and_padding_change_nothing(reader: AnswerDecoder, pages: list[Tensor]) -> None:
    answers = [torch.tensor(ids) for ids in ([20, 21, END], [22, 23, 24, 25, END], [END])]
    together, real = reader(pages, QUESTIONS, answers)
    alone = [reader([p], [q], [a])[0] for p, q, a in zip(pages, QUESTIONS, answers, strict=True)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)
    assert real.sum(1).tolist() == [1 + len(p) + len(q) + len(a) - 1
                                    for p, q, a in zip(pages, QUESTIONS, answers, strict=True)]  # fmt: skip


def test_use_of_experts_counts_real_tokens_alone(reader: AnswerDecoder, pages: list[Tensor]) -> None:
    routings: list[Routing] = []
    _, real = reader(pages, QUESTIONS, [torch.tensor([END])] * 3, routings)
    use = Use.of(routings, balance_loss(routings, real), real)
    assert use.chosen.shape == (2, 4) and use.chosen.sum(-1).tolist() == [2.0 * int(real.sum())] * 2
    line = (use + use).line(torch.device("cpu"))
    assert line["balance"] == pytest.approx(float(balance_loss(routings, real)), abs=1e-3)
    assert [sum(layer) for layer in line["experts"]] == pytest.approx([1, 1], abs=1e-3)
