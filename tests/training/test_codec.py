"""A training that was broken off ends where an unbroken one does."""

from __future__ import annotations

import lzma
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from microfiche.cli import app
from microfiche.errors import CheckpointError, InputError, TrainingError, UsageError
from microfiche.training import codec
from microfiche.training.codec import Recipe, train
from microfiche.training.corpus import Corpus, documents, held_out, text_files

RECIPE = """
steps = 8
local_steps = 3
decay_steps = 3
tokens_per_step = 4
save_every = 2
validate_every = 4
page_sides = {64 = 0.5, 128 = 0.5}
densities = {7x13 = 0.5, 16x16 = 0.5}
[model]
stem = [8, 8, 16, 32]
local_layers = 1
token_width = 64
global_width = 64
global_layers = 1
readout_layers = 1
square_width = 16
hidden = 32
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    documents = [f"Document {i}: the quick brown fox, and the lazy dog. " * 6 for i in range(200)]
    (tmp_path / "text").mkdir()
    (tmp_path / "text/a.txt").write_text("\n\f\n".join(documents))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def run(corpus: Path, out: str, stop_at: int = 8) -> bytes:
    recipe, device = corpus / "recipe.toml", torch.device("cpu")
    train(recipe, corpus / "text", corpus / out, device, lambda line: None, lambda step: step >= stop_at)
    return (corpus / out / "state.safetensors").read_bytes()


def test_resuming_changes_nothing(corpus: Path) -> None:
    unbroken = run(corpus, "unbroken")
    for stop in (2, 3, 4):
        run(corpus, "broken", stop)
    assert run(corpus, "broken") == unbroken
    weights = [(corpus / out / "model.safetensors").read_bytes() for out in ("unbroken", "broken")]
    assert weights[0] == weights[1]


#: The command line, which sends itself a signal before it makes batch 5, when state 4 is saved.
STOPPED = """
import os, sys
from microfiche.cli import main
from microfiche.training import codec
sent, batch_at = int(sys.argv.pop()), codec.batch_at
def batch(pages, recipe, number):
    if number == 5:
        os.kill(os.getpid(), sent)
    return batch_at(pages, recipe, number)
codec.batch_at = batch
main()
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_training_that_is_stopped_goes_on_with_the_same_command(corpus: Path, sent: signal.Signals) -> None:
    unbroken = run(corpus, "unbroken")
    command = ["train", "codec", "--recipe", str(corpus / "recipe.toml"), "--text", str(corpus / "text")]
    command += ["--out", str(corpus / "broken")]
    program = [sys.executable, "-c", STOPPED, *command, str(int(sent))]
    stopped = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (corpus / "broken/state.safetensors").exists() and not (corpus / "broken/model.safetensors").exists()
    if sent == signal.SIGINT:
        assert stopped.returncode == 130, stopped.stderr
        assert stopped.stderr.splitlines()[-1].endswith("stopped after step 6; the same command goes on from there")
    else:
        assert stopped.returncode == -sent, stopped.stderr
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert (corpus / "broken/state.safetensors").read_bytes() == unbroken
    assert not list((corpus / "broken").glob(".*"))


def test_a_damaged_state_is_refused(corpus: Path) -> None:
    data = run(corpus, "out", 2)
    (corpus / "out/state.safetensors").write_bytes(data[:1000])
    with pytest.raises(CheckpointError, match="cannot resume"):
        run(corpus, "out")


def test_held_out_documents_are_never_trained_on(corpus: Path) -> None:
    trained, held = Corpus.load(corpus / "text", False), Corpus.load(corpus / "text", True)
    documents = (corpus / "text/a.txt").read_text().split("\n\f\n")
    kept = [d for d in documents if held_out(d)]
    assert 0 < len(kept) < 40
    assert len(held.narrow[0]) == len("\n".join(kept))
    assert len(trained.narrow[0]) + len(held.narrow[0]) + 1 == len("\n".join(documents))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("steps = 8", "steps = 'many'", "steps: Input should be a valid integer"),
        ("tokens_per_step", "token_per_step", "'token_per_step' is no key; 'tokens_per_step' is"),
        ("tokens_per_step = 4", "tokens_per_step = 0", "tokens_per_step: Input should be greater than or equal to 1"),
        ("save_every = 2", "save_every = 0", "save_every: Input should be greater than or equal to 1"),
        ("7x13", "7x12", "'7x12' is no key; '7x13' is"),
        ("stem =", "stems =", "'stems' is no key; 'stem' is"),
        ("[8, 8, 16, 32]", "[8, 16, 32]", "stem is [8, 16, 32]; it has four widths"),
        ("[8, 8, 16, 32]", "[8, 8, 16, 30]", "stem's last width is 30; it must be a multiple of 32"),
        ("local_layers = 1", "local_layers = -1", "local_layers is -1; whole numbers from 0 to 64 are possible"),
        ("hidden = 32", "hidden = 'wide'", "hidden is 'wide'; whole numbers"),
        ("token_width = 64", "token_width = 100", "token_width is 100; it must be a multiple of 16"),
        ("token_width = 64", "token_width = 1024", "token_width is 1024; 16 patches of stem's last width, 32, hold"),
        ("global_width = 64", "global_width = 32", "global_width is 32; it must be a multiple of 64"),
        ("64 = 0.5", "65 = 0.5", "a page side of 65 px"),
        ("64 = 0.5, 128 = 0.5", "64 = 0", "page_sides: the shares"),
        ("local_steps = 3", "local_steps = 9", "local_steps must lie within steps"),
        ("[model]", "[model", "not a recipe"),
        ("[model]", "a = " + 100_000 * "[", "not a recipe: maximum recursion depth"),
    ],
)
def test_bad_recipes_are_named_with_what_was_meant(corpus: Path, old: str, new: str, said: str) -> None:
    (corpus / "recipe.toml").write_text(RECIPE.replace(old, new, 1))
    with pytest.raises(UsageError, match=re.escape(said)) as error:
        Recipe.read(corpus / "recipe.toml")
    assert "\n" not in str(error.value)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = run(corpus, "out", 4)
    ours = codec.losses

    def losses(*args: Any) -> Any:
        total, *rest = ours(*args)
        return total * float("nan"), *rest

    monkeypatch.setattr(codec, "losses", losses)
    with pytest.raises(TrainingError, match=r"the loss is nan at step 5 .*holds the last good state"):
        run(corpus, "out")
    assert (corpus / "out/state.safetensors").read_bytes() == good


def test_a_training_is_not_resumed_with_another_recipe(corpus: Path) -> None:
    run(corpus, "out", 2)
    (corpus / "recipe.toml").write_text(RECIPE.replace("decay_steps = 3", "decay_steps = 4", 1))
    with pytest.raises(UsageError, match="begun by another recipe"):
        run(corpus, "out")


def test_a_recipe_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    for name, mark in (("marked.toml", "\ufeff"), ("bare.toml", "")):
        (tmp_path / name).write_text(mark + RECIPE)
    assert Recipe.read(tmp_path / "marked.toml") == Recipe.read(tmp_path / "bare.toml")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.pdf", b"not text", "no training text in it: looked in .txt, .txt.xz, .md, .py"),
        ("a.txt", b"too short", "for files of 1000 characters or more"),
        ("a.txt", b"\x89PNG\r\n\x1a\n" * 1000, "a.txt: not UTF-8 at byte 0"),
        ("a.txt", b"text and \0\0\0" * 1000, "a.txt: NUL at character 9; this is not a text file"),
        ("a.txt.xz", b"\xfd7zXZ\0 cut", "a.txt.xz: not a whole .xz file"),
    ],
)
def test_folders_without_text_are_named(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=re.escape(said)) as error:
        Corpus.load(tmp_path, False)
    assert "\n" not in str(error.value)


def test_packed_text_is_unpacked_within_bounds_and_a_pipe_not_opened(tmp_path: Path) -> None:
    text = "\n\f\n".join(f"Document {i} of those that are packed. " * 30 for i in range(60))
    (tmp_path / "a.txt.xz").write_bytes(lzma.compress(text[:1000].encode()) + lzma.compress(text[1000:].encode()))
    assert "\n\f\n".join(documents(tmp_path / "a.txt.xz")) == text
    (tmp_path / "bomb.txt.xz").write_bytes(lzma.compress(b"words " * 12_000_000, preset=0))
    with pytest.raises(InputError, match=r"bomb\.txt\.xz: unpacks to over 67,108,864 bytes; the limit ratio is 1,000"):
        Corpus.load(tmp_path, False)
    (tmp_path / "bomb.txt.xz").unlink()
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(InputError, match=r"pipe\.txt: neither file nor folder"):
        Corpus.load(tmp_path, False)


def test_text_may_be_linked_from_elsewhere_and_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "away.txt").write_text("\ufeffSome text that is trained on.")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").symlink_to(tmp_path / "away.txt")
    assert [documents(file) for file in text_files(tmp_path / "in")] == [["Some text that is trained on."]]


def test_of_one_long_book_some_is_held_out(tmp_path: Path) -> None:
    book = "\n".join(f"Line {i} of a book that has no chapters." for i in range(30_000))
    (tmp_path / "book.txt").write_text(book)
    trained, held = Corpus.load(tmp_path, False), Corpus.load(tmp_path, True)
    assert "".join(documents(tmp_path / "book.txt")) == book
    assert 0 < len(held.narrow[0]) < 0.3 * len(trained.narrow[0])


def test_a_gradient_that_is_no_number_spoils_no_weight(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = run(corpus, "out", 4)
    ours = codec.losses

    def losses(*args: Any) -> Any:
        total, *rest = ours(*args)
        return total + (0 * total).sqrt(), *rest  # finite, its slope is not

    monkeypatch.setattr(codec, "losses", losses)
    with pytest.raises(TrainingError, match=r"its gradient (nan|inf) at step 5 \(batches 4 to 4\); .*of step 4"):
        run(corpus, "out")
    assert (corpus / "out/state.safetensors").read_bytes() == good


def test_a_full_disk_keeps_the_last_state_and_the_same_command_goes_on(corpus: Path) -> None:
    unbroken = run(corpus, "unbroken")
    good = run(corpus, "out", 4)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(good) // 2, limits[1]))
    try:
        with pytest.raises(TrainingError, match=r"state\.safetensors: cannot be written .*holds step 4"):
            run(corpus, "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (corpus / "out/state.safetensors").read_bytes() == good
    assert not list((corpus / "out").glob(".*"))
    assert run(corpus, "out") == unbroken
