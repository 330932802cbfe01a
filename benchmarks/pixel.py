"""What PIXEL gains by pretraining, and how well it reads misspelled and disguised text beside a subword model.

    python benchmarks/pixel.py FOLDER [--encoder pixel-small] [--subword FOLDER] [--plot docs/pixel-robustness.png]

The data come from packages (benchmarks/pixel_data.py) into FOLDER. What is trained is kept there, too, so that the same
command goes on. It prints two tables.

1. Every task is tuned with the pretrained encoder and with one of the same shape that learned nothing, by the same
   recipe, steps and seeds. Scores are those of the test part, by the model that was best on the development part:
   mean and standard deviation over the seeds. The learning rate of each kind of model and, for texts with a label,
   how it pools (mean or maximum) are those with which seed 0 came furthest on the task's development part.
2. On the English tagging task, beside these two, subword models of the same width, depth and heads (benchmarks/
   subword.py): one that learned nothing and, with --subword, one pretrained as PIXEL was. Each is tuned on the same
   sentences for the same steps and tested on attacked ones; the attacks are the same for all.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import subword
import torch
from attacks import ATTACKS, Attack, attacked_words
from pixel_data import SOURCES, data
from safetensors.torch import load_file, save_file

from microfiche.pixel.checkpoint import load_tuned
from microfiche.pixel.examples import Sentence, labels
from microfiche.pixel.heads import Pooling
from microfiche.pixel.tasks import Tag
from microfiche.pixel.tuned import Setup, Task, Tuned
from microfiche.training.finetune import RANDOM, FinetuneStage, Recipe, evaluate, recipe_of, task_of, train, tune

NAMES = ("en-pos", "zh-pos", "he-pos", "he-parse", "en-genre", "zh-sentiment")
ATTACKED = "en-pos"
KINDS: tuple[Attack, ...] = tuple(kind for kind in ATTACKS if kind != "spaces")
RATES = (0.0, 0.2, 0.5, 0.8)
LONGEST = 96  #: patches of a strip, or pieces of words
SENTENCES = 150  #: of the test that are attacked
LEARNING_RATES = (6.25e-4, 1.25e-3, 2.5e-3, 5e-3, 1e-2, 2e-2, 4e-2)
LONGER = {"he-parse": 2, "en-genre": 2, "zh-sentiment": 4}  #: times as many steps
Predict = Callable[[Sequence[Sentence]], list[Any]]


@dataclass(frozen=True)
class Tuning:
    """What is chosen on the development part; for a task that does not pool, `pooling` stays at the mean."""

    rate: float
    pooling: Pooling = "mean"

    def __str__(self) -> str:
        return f"{self.rate:g}" + ("" if self.pooling == "mean" else f", {self.pooling}")

    @property
    def file_name(self) -> str:
        return str(self).replace(", ", "-")


def changes(options: argparse.Namespace, name: str, seed: int, tuning: Tuning) -> dict[str, Any]:
    """How the recipe differs from the one that ships."""
    steps = options.steps * LONGER.get(name, 1)
    return {"seed": seed, "steps": steps, "decay_steps": steps, "longest": LONGEST,
            "validate_every": max(1, steps // 2), "save_every": steps, "learning_rate": tuning.rate,
            "pooling": tuning.pooling}  # fmt: skip


def choices(task: str) -> list[Tuning]:
    """All tunings to try on a task."""
    poolings: tuple[Pooling, ...] = ("mean", "max") if task == "classify" else ("mean",)
    return [Tuning(rate, pooling) for pooling in poolings for rate in LEARNING_RATES]


def best(options: argparse.Namespace, name: str, encoder: str) -> Tuning:
    """The tuning of a kind of encoder with the best score on the task's development part."""

    def score(tuning: Tuning) -> float:
        scores = json.loads((tuned(options, name, encoder, tuning, 0) / "metrics.json").read_text())["scores"]
        return float(next(iter(scores.values())))

    return max(choices(SOURCES[name][0]), key=score)


def tuned(options: argparse.Namespace, name: str, encoder: str, tuning: Tuning, seed: int) -> Path:
    """The folder of a tuned PIXEL, which is tuned if it is not there."""
    found = data(options.folder, name)
    kind = "random" if encoder == RANDOM else "pixel"
    out: Path = options.folder / "runs" / f"{name}-{kind}-{tuning.file_name}-{seed}"
    if not (out / "metrics.json").exists():
        start = time.process_time()
        train(recipe_of(found.task, None), found.train, found.dev, out, torch.device("cpu"),
              changes={"encoder": encoder, **changes(options, name, seed, tuning)})  # fmt: skip
        tell(options, f"{out.name}: {time.process_time() - start:.0f} s of CPU")
    return out


def best_subword(options: argparse.Namespace, pretrained: bool) -> Tuning:
    """The tuning of a kind of subword model that is best on the attacked task's development part."""
    held = Tag.read(data(options.folder, ATTACKED).dev)

    @torch.no_grad()
    def score(tuning: Tuning) -> float:
        model, task = tuned_subword(options, pretrained, tuning, 0)
        return task.scores(held, task.predict(model, held))["accuracy"]

    return max(choices("tag"), key=score)


def tuned_subword(
    options: argparse.Namespace, pretrained: bool, tuning: Tuning, seed: int
) -> tuple[Tuned, Task[Any, Any]]:
    """A subword model tuned on the attacked task; it is tuned if it is not there."""
    found = data(options.folder, ATTACKED)
    examples, held = Tag.read(found.train), Tag.read(found.dev)
    recipe = Recipe.read(recipe_of("tag", None)).model_copy(update=changes(options, ATTACKED, seed, tuning))
    body, tokenizer = subword.load(options.subword, pretrained, recipe.dropout, seed)
    setup = Setup("tag", labels(Tag.labels(examples)), LONGEST, dropout=recipe.dropout)
    task = Tag(setup)
    task.renderer = subword.Pieces(tokenizer)
    model = subword.TunedSubword(body, task.head(body.config.width), setup)
    kind = "subword" if pretrained else "subword-random"
    file = options.folder / "runs" / f"{kind}-{tuning.file_name}-{seed}.safetensors"
    if not file.exists():
        start = time.process_time()

        def keep(best: Tuned, path: Path, scores: dict[str, float]) -> None:
            save_file(best.state_dict(), path)

        with tempfile.TemporaryDirectory() as folder:
            tune(FinetuneStage(recipe, model.train(), task, examples, held, Path(folder), keep))
            best = load_file(Path(folder) / "model.safetensors")
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(best, file)
        tell(options, f"{file.stem}: {time.process_time() - start:.0f} s of CPU")
    model.load_state_dict(load_file(file))
    return model.eval(), task


def tasks(options: argparse.Namespace) -> None:
    """Prints the first table."""
    print("| task | score | pretrained | at | learned nothing | at | difference, seed by seed |")
    print("|---|---|---|---|---|---|---|")
    for name in options.tasks:
        task, script, _ = SOURCES[name]
        test = data(options.folder, name).test
        found: dict[str, list[float]] = {}
        chosen = {encoder: best(options, name, encoder) for encoder in (options.encoder, RANDOM)}
        for encoder, tuning in chosen.items():
            for seed in range(options.seeds):
                out = tuned(options, name, encoder, tuning, seed)
                scores = kept(out / "test.json", lambda out=out, test=test: evaluate(out / "model.safetensors", test))
                score = next(iter(scores))
                found.setdefault(encoder, []).append(100 * scores[score])
        ours, others = found.values()
        apart = ", ".join(f"{a - b:+.1f}" for a, b in zip(ours, others, strict=True))
        cells = f"{spread(ours)} | {chosen[options.encoder]} | {spread(others)} | {chosen[RANDOM]}"
        print(f"| {name} ({script}, {task}) | {score} | {cells} | {apart} |", flush=True)


def robustness(options: argparse.Namespace) -> None:
    """Prints the second table and draws its curves."""
    sentences = Tag.read(data(options.folder, ATTACKED).test)[:SENTENCES]
    curves: dict[str, dict[str, list[list[float]]]] = {}
    for model, seed, predict in models(options):
        for kind in KINDS:
            for i, rate in enumerate(RATES):
                if not rate and kind != KINDS[0]:
                    accuracy = curves[model][KINDS[0]][0][seed]
                else:
                    accuracy = kept(
                        options.folder / "runs" / f"attack-{model.replace(', ', '-')}-{seed}-{kind}-{rate:g}.json",
                        lambda kind=kind, rate=rate, predict=predict: hit(sentences, kind, rate, predict),
                    )["accuracy"]
                rows = curves.setdefault(model, {}).setdefault(kind, [[] for _ in RATES])
                rows[i].append(accuracy)
    print("\n| attack | model | " + " | ".join(f"{rate:.0%}" for rate in RATES) + " |")
    print("|---|---|" + "---|" * len(RATES))
    for kind in KINDS:
        for model, by_kind in curves.items():
            cells = " | ".join(spread([100 * value for value in values]) for values in by_kind[kind])
            print(f"| {kind} | {model} | {cells} |")
    if options.plot:
        plot(curves, options.plot)


def models(options: argparse.Namespace) -> Iterator[tuple[str, int, Predict]]:
    """(name, seed, what it predicts) of every model of the second table."""
    for encoder in dict.fromkeys((options.encoder, RANDOM)):
        name = "PIXEL, random" if encoder == RANDOM else "PIXEL"
        tuning = best(options, ATTACKED, encoder)
        for seed in range(options.seeds):
            model, _ = load_tuned(tuned(options, ATTACKED, encoder, tuning, seed) / "model.safetensors")
            yield name, seed, lambda few, model=model: task_of(model).predict(model, few)
    if options.subword:
        given = [(False, "subword, random")]
        if (options.subword / "model.safetensors").exists():
            given.insert(0, (True, "subword"))
        for pretrained, name in given:
            tuning = best_subword(options, pretrained)
            for seed in range(options.seeds):
                other, task = tuned_subword(options, pretrained, tuning, seed)
                yield name, seed, lambda few, other=other, task=task: task.predict(other, few)


@torch.no_grad()
def hit(sentences: Sequence[Sentence], kind: Attack, rate: float, predict: Predict) -> dict[str, float]:
    """The accuracy on attacked sentences."""
    few = [
        Sentence(attacked_words(s.words, kind, rate, np.random.default_rng([7, i])), s.tags)
        for i, s in enumerate(sentences)
    ]
    right = [a == b for s, tags in zip(few, predict(few), strict=True) for a, b in zip(s.tags, tags, strict=True)]
    return {"accuracy": sum(right) / len(right)}


def plot(curves: dict[str, dict[str, list[list[float]]]], file: Path) -> None:
    """Draws a panel for each attack, with a curve for each model and its spread shaded."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(KINDS), figsize=(3 * len(KINDS), 3.2), sharey=True, layout="constrained")
    looks = {"PIXEL": ("C0", "-"), "PIXEL, random": ("C0", ":"), "subword": ("C3", "-"), "subword, random": ("C3", ":")}
    for panel, kind in zip(panels, KINDS, strict=True):
        for model, by_kind in curves.items():
            means = [100 * statistics.mean(values) for values in by_kind[kind]]
            apart = [100 * statistics.pstdev(values) for values in by_kind[kind]]
            colour, dashes = looks[model]
            panel.plot(RATES, means, dashes, color=colour, label=model)
            low, high = ([m + sign * a for m, a in zip(means, apart, strict=True)] for sign in (-1, 1))
            panel.fill_between(RATES, low, high, color=colour, alpha=0.15, linewidth=0)
        panel.set_title(kind)
        panel.set_xlabel("rate")
    panels[0].set_ylabel(f"accuracy of {ATTACKED}, %")
    panels[0].legend(fontsize=8)
    figure.savefig(file, dpi=110)


def kept(file: Path, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """The figures in a file, or if it is missing those that are measured now."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(measure()))
    found: dict[str, float] = json.loads(file.read_text())
    return found


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation, as text."""
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values) if len(values) > 1 else 0:.1f}"


def tell(options: argparse.Namespace, line: str) -> None:
    """Adds a line to the log of what was done."""
    with (options.folder / "runs" / "log.txt").open("a") as file:
        file.write(line + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--encoder", default="pixel-small", help="a PIXEL checkpoint, or random, without table 1")
    parser.add_argument("--subword", type=Path, help="the folder that benchmarks/subword.py wrote")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--tasks", nargs="*", default=NAMES, choices=list(SOURCES))
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.encoder != RANDOM:
        tasks(options)
    robustness(options)


if __name__ == "__main__":
    main()
