"""Recipes are read with what was likely meant, and shares are drawn as they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from microfiche.errors import UsageError
from microfiche.training.codec import Recipe
from microfiche.training.recipe import Choice, Plan, recipe_file

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
hidden = 32
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("steps = 8", "steps = 'many'", "steps: Input should be a valid integer"),
        ("tokens_per_step", "token_per_step", "unknown key 'token_per_step'; did you mean 'tokens_per_step'?"),
        ("tokens_per_step = 4", "tokens_per_step = 0", "tokens_per_step: Input should be greater than or equal to 1"),
        ("save_every = 2", "save_every = 0", "save_every: Input should be greater than or equal to 1"),
        ("7x13", "7x12", "unknown key '7x12'; did you mean '7x13'?"),
        ("stem =", "stems =", "unknown key 'stems'; did you mean 'stem'?"),
        ("hidden = 32", "xyz = 32", "unknown key 'xyz'; there are global_layers, global_width, hidden, "),
        ("[8, 8, 16, 32]", "[8, 16, 32]", "stem is [8, 16, 32]; it has four widths"),
        ("[8, 8, 16, 32]", "[8, 8, 16, 30]", "stem's last width is 30; it must be a multiple of 32"),
        ("local_layers = 1", "local_layers = -1", "local_layers is -1; it must be a whole number from 0 to 64"),
        ("hidden = 32", "hidden = 'wide'", "hidden is 'wide'; it must be a whole number"),
        ("token_width = 64", "token_width = 100", "token_width is 100; it must be a multiple of 16"),
        ("token_width = 64", "token_width = 1024", "token_width is 1024; 16 patches of stem's last width, 32, hold"),
        ("global_width = 64", "global_width = 32", "global_width is 32; it must be a multiple of 64"),
        ("64 = 0.5", "65 = 0.5", "a page side of 65 px: sides must be multiples of 64 up to 1280"),
        ("64 = 0.5, 128 = 0.5", "64 = 0", "page_sides: the shares must all be 0 or more, and one of them above 0"),
        ("64 = 0.5, 128 = 0.5", "64 = -1, 128 = 2", "page_sides: the shares"),
        ("64 = 0.5, 128 = 0.5", "", "page_sides: the shares"),
        ("local_steps = 3", "local_steps = 9", "local_steps must lie within steps"),
        ("local_steps = 3", "random_share = 2", "random_share: Input should be less than or equal to 1"),
        ("local_steps = 3", 'scales = {"0.1" = 1}', "a scale of 0.1: scales must be from 0.2 to 1"),
        ("decay_steps = 3", "decay_steps = 9", "decay_steps must lie within steps"),
        ("local_steps = 3", 'start = "nano"', "with start there are no local_steps and no model"),
        ("[model]", "[model", "not a recipe"),
        ("[model]", "a = " + 100_000 * "[", "not a recipe: maximum recursion depth"),
    ],
)
def test_bad_recipes_are_named_with_what_was_meant(refused, old: str, new: str, said: str) -> None:
    refused(Recipe, RECIPE.replace(old, new, 1), said)


def test_a_recipe_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    for name, mark in (("marked.toml", "\ufeff"), ("bare.toml", "")):
        (tmp_path / name).write_text(mark + RECIPE)
    assert Recipe.read(tmp_path / "marked.toml") == Recipe.read(tmp_path / "bare.toml")


def test_a_recipe_that_ships_is_found_by_its_name(tmp_path: Path) -> None:
    assert Recipe.read(recipe_file("nano-small")).steps == 2000
    (tmp_path / "mine.toml").write_text(RECIPE)
    assert recipe_file(str(tmp_path / "mine.toml")) == tmp_path / "mine.toml"
    with pytest.raises(UsageError, match=r"no recipe 'none'; give a TOML file or one of deepseek-ocr, nano-codec, "):
        recipe_file("none")


def test_the_rate_rises_stays_and_falls() -> None:
    plan = Plan(steps=100, decay_steps=50, warmup_steps=10, learning_rate=1.0)
    rates = [plan.learning_rate_at(step) for step in range(101)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3]) and rates[9:51] == [1.0] * 42
    assert rates[75] == pytest.approx(1 - 0.5**0.5) and rates[100] == 0


def test_a_choice_draws_what_the_generator_does() -> None:
    shares = {"a": 3.0, "b": 0.0, "c": 1.0, "d": 0.7}
    choice, p = Choice.of(shares), np.array(list(shares.values())) / sum(shares.values())
    ours, theirs = np.random.default_rng(0), np.random.default_rng(0)
    assert [choice.one(ours) for _ in range(5000)] == ["abcd"[theirs.choice(4, p=p)] for _ in range(5000)]
    for bad in ({}, {"a": 0.0}, {"a": -1.0, "b": 2.0}):
        with pytest.raises(ValueError, match="the shares must all be 0 or more"):
            Choice.of(bad)
