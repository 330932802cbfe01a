"""What it takes to train the prompted reader by a recipe: tokens, operations, and CPU time of a batch.

    python benchmarks/reader.py RECIPE CORPUS [--encoder FILE] [--batches 3]

RECIPE is a file, or the name of a recipe that ships. The questions are the first ones of the training. A multiply-add
counts as two operations, and the backward pass as twice the forward pass. The encoder's operations are counted by
torch, forward only, since it learns nothing; the decoder's come from the weights that a position passes through and
from attention. CPU times are of one process on as many threads as OMP_NUM_THREADS says, with the backward pass and
without the optimiser's step.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from microfiche.decoder.moe import MoEConfig
from microfiche.nano.prompted import NANO_READER, AnswerDecoder
from microfiche.readers import load
from microfiche.training.reader import Asked, Recipe, losses, seen
from microfiche.training.recipe import recipe_file

QUESTIONS = 300


def forth(config: MoEConfig, positions: int, answer: int) -> int:
    """Operations of the decoder's forward pass over a sequence, with logits only for its answer."""
    d, sparse = config.width, config.layers - config.dense_layers
    weights = config.layers * 4 * d * d + config.dense_layers * 3 * d * config.dense
    weights += sparse * (3 * d * config.expert * (config.chosen + config.shared) + d * config.experts)
    attention = config.layers * positions * (positions + 1) * d  # QK and AV over half of the square
    return 2 * (weights * positions + attention + answer * d * config.vocabulary)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--encoder", default="")
    parser.add_argument("--batches", type=int, choices=range(1, 100), default=3)
    arguments = parser.parse_args()
    recipe = Recipe.read(recipe_file(arguments.recipe))
    nano = load(arguments.encoder or recipe.encoder)
    reader = AnswerDecoder(replace(NANO_READER, **recipe.decoder), nano.config.token_width)
    stream = recipe.stream(arguments.corpus)
    start = time.process_time()
    asked = [Asked.of(stream[i], recipe.longest) for i in range(QUESTIONS)]
    making = (time.process_time() - start) / QUESTIONS
    with FlopCounterMode(display=False) as counted:
        vision = sum(map(len, seen(nano, asked[:50]))) / 50
    question, answer = (float(np.mean([len(getattr(one, part)) for one in asked])) for part in ("question", "answer"))
    decoder = 3 * np.mean([forth(reader.config, one.length, len(one.answer)) for one in asked])
    pages = recipe.steps * recipe.batches_per_step * recipe.questions_per_batch
    encoder = counted.get_total_flops() / 50
    print(f"parameters of the reader: {sum(p.numel() for p in reader.parameters()):,}")
    print(f"a question: {vision:.1f} vision tokens, {question:.0f} tokens of question, {answer:.0f} of answer")
    print(f"operations a question: encoder {encoder / 1e9:.2f} G, decoder {decoder / 1e9:.2f} G")
    print(f"the recipe: {pages:,} questions, {pages * answer / 1e6:.1f} M tokens of answers")
    print(f"operations of the recipe: {pages * (encoder + decoder) / 1e15:.2f} P")
    print(f"a page and its question take {1e3 * making:.1f} ms of CPU to make")
    size, answers, losing = recipe.questions_per_batch, 0, 0.0
    for number in range(arguments.batches):
        some = asked[number * size : (number + 1) * size]
        start = time.process_time()
        loss = losses(nano, reader, some, recipe.balance, torch.device("cpu"))
        loss.total.backward()  # type: ignore[no-untyped-call]
        losing += time.process_time() - start
        answers += loss.count
    speed = (encoder + decoder) * size * arguments.batches / losing
    print(f"batches of {size}: {losing / arguments.batches:.2f} s of CPU each")
    print(f"a second of CPU: {answers / losing:.0f} tokens of answers, {speed / 1e9:.1f} G operations")


if __name__ == "__main__":
    main()
