"""The stream: by number alone; and tasks whose answers stand on the page."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from microfiche.cli.train import app
from microfiche.documents import grounding
from microfiche.errors import InputError, UsageError
from microfiche.training.stream import Stream, write
from microfiche.training.tasks import NAMES, Name, positions, task
from microfiche.typesetting.fonts import BUNDLED, TYPEFACES
from microfiche.typesetting.galleys import Look
from microfiche.typesetting.print import printed

FACES = [t for t in TYPEFACES.values() if t.package == BUNDLED]
PAGE = printed(
    "# Of pears\n\nPears and apples, pears again, and a pearl. The pears are the fifth word of this sentence here.\n\n"
    "| a | b |\n| --- | --- |\n| one | 2 |\n\n- first\n- second",
    Look(FACES[0], 10, margins=(16, 16, 16, 16), number="3"),
    320,
    192,
)


def answers(name: Name, count: int = 60) -> list[tuple[str, str]]:
    found = (task(name, PAGE, np.random.default_rng(seed)) for seed in range(count))
    return [(t.prompt, t.answer) for t in found if t is not None]


def text() -> str:
    assert PAGE.page.text is not None
    return PAGE.page.text


def inside(place: str) -> str:
    """The characters whose centres lie in the box that a prompt names."""
    (box,) = grounding.parse(f"<|ref|>text<|/ref|>{place} x", 192, 320)[0]
    boxes = PAGE.page.boxes
    assert boxes is not None
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    left, top, right, bottom = box.box
    within = (x > left) & (x < right) & (y > top) & (y < bottom) & (boxes[:, 0] < boxes[:, 2])
    return "".join(c for c, here in zip(text(), within, strict=True) if here)


def place(prompt: str) -> str:
    return prompt[prompt.index("<|det|>") : prompt.index("<|/det|>") + len("<|/det|>")]


def test_free_reading_and_continuing_give_the_text() -> None:
    assert answers("free", 1) == [("<image>\nFree OCR.", text())]
    for seed in range(20):
        found = task("continue", PAGE, np.random.default_rng(seed))
        assert found is not None and found.prompt == "<image>\nFree OCR."
        assert found.prefix and found.answer and found.prefix + found.answer == text() and found.prefix[-1] == " "


@pytest.mark.parametrize("name", ["line", "box"])
def test_a_part_that_is_asked_for_stands_in_its_box(name: Name) -> None:
    found = answers(name)
    assert len({answer for _, answer in found}) > 8
    for prompt, answer in found:
        assert prompt.startswith("<image>\nRead the " + ("line" if name == "line" else "text") + " at <|det|>[[")
        stands = inside(place(prompt))
        assert set(answer) - set(" \n") <= set(stands)
        assert "".join(answer.split()) == "".join(stands.split())


def test_lines_are_read_as_they_stand() -> None:
    assert {answer for _, answer in answers("line", 200)} == {
        text()[line.start : line.stop] for line in PAGE.lines
    }  # fmt: skip


def test_a_phrase_is_located_wherever_it_stands_as_whole_words() -> None:
    for prompt, answer in answers("locate"):
        words = prompt.removeprefix("<image>\nLocate <|ref|>").removesuffix("<|/ref|> in the image.")
        assert words in text() and answer.startswith(f"<|ref|>{words}<|/ref|><|det|>[[")
        boxes = json.loads(answer[answer.index("[[") : answer.index("<|/det|>")])
        for box in boxes:
            stands = inside(f"<|det|>[{box}]<|/det|>")
            assert "".join(stands.split()) in "".join(words.split()) and stands
        if words in ("pears", "and"):
            assert len(boxes) == {"pears": 3, "and": 2}[words]
    assert len({prompt for prompt, _ in answers("locate")}) > 20


def test_the_markdown_of_blocks_is_read_by_the_engine_that_reads_the_published_model() -> None:
    ((prompt, answer),) = answers("markdown", 1)
    assert prompt == "<image>\n<|grounding|>Convert the document to markdown."
    blocks, wrong = grounding.parse(answer, 192, 320)
    assert wrong == "" and [b.kind for b in blocks] == ["title", "text", "table", "list", "footer"]
    for block, region in zip(blocks, PAGE.blocks, strict=True):
        assert np.abs(np.array(block.box) - region.box).max() <= 1
    assert "| one | 2 |" in answer and "\n- first\n- second\n" in answer and "\n# Of pears\n" in answer


def test_positions_are_thousandths() -> None:
    assert positions(np.array([[0, 0, 640, 320], [320, 32, 64, 320]]), 320, 640).tolist() == [
        [0, 0, 999, 999],
        [500, 100, 100, 999],
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("text")
    (path / "a.txt").write_text("\n\f\n".join(f"The {i} brown foxes, and the lazy dog. " * 20 for i in range(80)))
    return path


def test_an_example_depends_on_its_number_alone(folder: Path) -> None:
    sides = {(128, 192): 0.5, (192, 128): 0.5}
    stream = Stream(folder, 7, sides=sides, faces=FACES)
    ahead = list(itertools.islice(stream.examples(), 12))
    alone = Stream(folder, 7, sides=sides, faces=FACES)
    for number in (11, 3, 8):
        assert alone[number].print.lines == ahead[number].print.lines and alone[number].task == ahead[number].task
        np.testing.assert_array_equal(alone[number].page.image, ahead[number].page.image)
    thirds = [e.task for e in itertools.islice(stream.examples(1, 3), 3)]
    assert thirds == [ahead[number].task for number in (1, 4, 7)]
    assert [e.number for e in ahead] == list(range(12)) and {e.page.image.shape for e in ahead} == set(sides)
    assert Stream(folder, 8, sides=sides, faces=FACES)[0].task != ahead[0].task


def test_all_tasks_and_both_kinds_of_pages_come(folder: Path) -> None:
    stream = Stream(folder, sides={(128, 128): 1.0}, faces=FACES)
    examples = [stream[number] for number in range(120)]
    assert {e.task.name for e in examples} == set(NAMES) == set(get_args(Name))
    dense = [e for e in examples if e.page.setting is not None]
    assert 15 < len(dense) < 60
    for example in dense:
        page, height = example.page, example.print.lines[0].size
        assert page.text is not None and page.boxes is not None and len(page.text) == len(page.boxes)
        read = "".join(page.text[line.start : line.stop] for line in example.print.lines)
        assert read == page.text and all(line.size == height for line in example.print.lines)


def test_only_the_tasks_that_are_asked_for_come(folder: Path) -> None:
    stream = Stream(folder, sides={(128, 128): 1.0}, tasks={"line": 1.0, "free": 0.0}, dense_share=0, faces=FACES)
    assert {stream[number].task.name for number in range(20)} == {"line"}


def test_impossible_streams_are_refused(folder: Path) -> None:
    for wrong, message in (
        ({"sides": {(100, 64): 1.0}}, "a page side of 100 px"),
        ({"sides": {(64, 64): 0.0}}, "the shares must all be 0 or more"),
        ({"tasks": {"sing": 1.0}}, "unknown key 'sing'; "),
    ):
        with pytest.raises(UsageError, match=message):
            Stream(folder, faces=FACES, **wrong)  # type: ignore[arg-type]


def test_examples_are_written_to_look_at(folder: Path, tmp_path: Path) -> None:
    stream = Stream(folder, sides={(128, 128): 1.0}, faces=FACES)
    write(stream, [3, 4], tmp_path)
    records = [json.loads(line) for line in (tmp_path / "examples.jsonl").read_text().splitlines()]
    assert [r["page"] for r in records] == ["000003.png", "000004.png"]
    for number, record in zip((3, 4), records, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / record["page"])), stream[number].page.image)
        assert record["text"] == stream[number].page.text and len(record["boxes"]) == len(record["text"])
        assert record["task"]["answer"] == stream[number].task.answer


def test_the_command_writes_examples_and_names_bad_folders(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    chosen = ["--font", "DejaVu Sans", "--side", "128", "--count", "2"]
    result = CliRunner().invoke(app, ["data", "--text", str(folder), "-o", str(out), *chosen])
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in out.iterdir()) == ["000000.png", "000001.png", "examples.jsonl"]
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(app, ["data", "--text", str(tmp_path / "empty"), "-o", str(out), *chosen])
    assert result.exit_code == 1 and "no training text in it" in result.output
    result = CliRunner().invoke(app, ["data", "--text", str(folder), "-o", str(out), "--font", "Nonesuch"])
    assert result.exit_code == 2 and "no font 'Nonesuch'" in result.output


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no training text"):
        Stream(tmp_path, faces=FACES)
