"""`microfiche train`: every stage of its table is there, and what Ctrl-C stops the same command goes on with."""

from __future__ import annotations

import os
import signal
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from microfiche.cli import app
from microfiche.cli.train import STAGES
from microfiche.training.codec import CodecStage
from microfiche.training.recipe import recipe_file
from microfiche.training.stage import Stage

RECIPE = """
steps = 4
local_steps = 1
decay_steps = 1
tokens_per_step = 1
save_every = 2
validate_every = 2
page_sides = {64 = 1}
densities = {7x13 = 1}
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


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_is_there_with_its_recipe_and_its_help(name: str) -> None:
    entry = STAGES[name]
    stage = getattr(import_module(f"microfiche.training.{name.replace('-', '_')}"), entry.stage)
    assert issubclass(stage, Stage) and stage.recipe_type.read(recipe_file(entry.recipe)).steps > 0
    shown = CliRunner().invoke(app, ["train", name, "--help"])
    said = " ".join(shown.output.split())
    assert shown.exit_code == 0 and entry.help.split(".")[0] in said and "Ctrl-C stops it" in said


def test_ctrl_c_stops_after_the_step_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").mkdir()
    documents = (f"Document {i}: the quick brown fox, and the lazy dog. " * 6 for i in range(200))
    (tmp_path / "text/a.txt").write_text("\n\f\n".join(documents))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    out = tmp_path / "out"
    command = ["train", "codec", "--recipe", str(tmp_path / "recipe.toml"), "--text", str(tmp_path / "text")]
    command += ["--out", str(out)]
    ours = CodecStage.batch

    def batch(self: CodecStage, number: int) -> object:
        if number == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return ours(self, number)

    monkeypatch.setattr(CodecStage, "batch", batch)
    stopped = CliRunner().invoke(app, command)
    assert stopped.exit_code == 130, stopped.output
    assert stopped.stderr.splitlines()[-1].endswith("stopped after step 3; the same command goes on from there")
    assert (out / "curve.png").exists() and not (out / "model.safetensors").exists()
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines()[0].startswith("step 4 loss ")
    assert done.stderr.splitlines()[-1] == f"{out / 'model.safetensors'} is done"
    failed = CliRunner().invoke(app, [*command[:5], str(tmp_path / "none"), *command[6:]])
    assert failed.exit_code == 2 and failed.stderr.strip().endswith("none: not a folder of text")


def test_an_unknown_key_is_told_with_the_one_meant(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("page_sides", "page_size"))
    command = ["train", "codec", "--text", str(tmp_path), "--out", str(tmp_path / "out")]
    failed = CliRunner().invoke(app, [*command, "--recipe", str(tmp_path / "recipe.toml")])
    assert failed.exit_code == 2
    assert failed.stderr.strip().endswith("not a recipe: unknown key 'page_size'; did you mean 'page_sides'?")
