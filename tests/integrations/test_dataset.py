"""Datasets of pages: the same by number and in turn, as torch's DataLoader and Hugging Face's datasets take them."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_chunks import Dim, picture
from torch.utils.data import DataLoader

import microfiche
from microfiche.errors import FicheError, InputError
from microfiche.integrations.dataset import DocumentPages, PackedPages
from microfiche.limits import Limits

ALICE = (Path(__file__).parents[2] / "examples/alice-1.txt").read_text("utf-8")


@pytest.fixture(scope="module")
def fiches(tmp_path_factory: Any) -> list[Path]:
    """A text on two pages that is stored too, and one that is not."""
    folder = tmp_path_factory.mktemp("fiches")
    microfiche.pack(ALICE[:3500] + "Cafe\u0301", folder / "a.fiche", density="7x13", mode="tiny", keep_text=True)
    microfiche.pack(ALICE[:300], folder / "b.fiche", density="6x12", mode="tiny")
    return [folder / "a.fiche", folder / "b.fiche"]


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def test_packed_pages_have_their_picture_tokens_text_and_boxes(fiches: list[Path]) -> None:
    pages = PackedPages(fiches)
    items = list(pages)
    assert len(pages) == len(items) >= 3 and [item["page"] for item in items] == [*range(1, len(items)), 1]
    assert "".join(item["truth"] for item in items) == ALICE[:3500] + "Café", "the second file holds no text"
    for item in items:
        assert item["picture"].dtype == np.uint8 and item["picture"].shape[1] == 512
        assert len(item["tokens"]) == len(item["places"]) and item["tokens"].shape[1] == 1280
        assert item["boxes"].shape == (len(item["text"]), 4) and item["confidence"].shape == (len(item["text"]),)
        assert not item["truth"] or item["right"] == (item["text"] == item["truth"])
    assert items[-1]["truth"] == "" and items[-1]["right"] == (items[-1]["text"] == ALICE[:300])
    assert same(pages[-1], items[-1]) and same(pages[0], items[0]) and len(pages[:2]) == 2
    with pytest.raises(IndexError):
        pages[len(items)]
    assert same(pickle.loads(pickle.dumps(pages))[1], items[1])


def test_pages_of_documents_are_the_same_by_number_and_in_turn(tmp_path: Path) -> None:
    picture(tmp_path / "a.tiff", 3)
    picture(tmp_path / "b.png")
    reader = microfiche.load("nano-pages")
    pages = DocumentPages(tmp_path, engine="dim", pictures=Dim(), reader=reader)
    items = list(pages)
    assert [(Path(item["name"]).name, item["page"], item["status"]) for item in items] == [
        ("a.tiff", 1, "ok"), ("a.tiff", 2, "failed"), ("a.tiff", 3, "ok"), ("b.png", 1, "ok"),
    ]  # fmt: skip
    assert items[1]["reason"] == "too dark" and items[1]["text"] == "" and items[1]["boxes"].shape == (0, 4)
    assert items[2]["text"] == "page 3" and items[2]["boxes"].tolist() == [[10, 0, 90, 9]]
    assert items[2]["kinds"] == ["text"] and items[2]["picture"].shape == (40, 60, 3)
    assert all(item["tokens"].ndim == 2 and item["tokens"].dtype == np.float32 for item in items)
    assert all(same(pages[number], item) for number, item in enumerate(items))
    assert "tokens" not in DocumentPages(tmp_path / "b.png", engine="dim", pictures=Dim())[0]


def test_a_page_that_cannot_be_opened_has_a_picture_of_one_pixel(tmp_path: Path) -> None:
    small, large = Image.new("RGB", (60, 40), "white"), Image.new("RGB", (200, 200), "white")
    small.save(tmp_path / "a.tiff", save_all=True, append_images=[large])
    reader = microfiche.load("nano-pages")
    page = DocumentPages(tmp_path / "a.tiff", limits=Limits(pixels=5000), reader=reader)[1]
    assert page["status"] == "failed" and "the limit pixels" in page["reason"]
    assert page["picture"].shape == (1, 1, 3) and page["tokens"].ndim == 2


def test_a_file_that_is_none_is_named_when_the_dataset_is_made(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7 and no more")
    (tmp_path / "a.fiche").write_bytes(b"PK and no more")
    for made, error in ((lambda: DocumentPages(tmp_path / "a.pdf"), InputError),
                        (lambda: DocumentPages(tmp_path), InputError),
                        (lambda: PackedPages(tmp_path / "a.fiche"), FicheError),
                        (lambda: PackedPages(tmp_path / "none.fiche"), FicheError)):  # fmt: skip
        with pytest.raises(error, match=r"\.(pdf|fiche): "):
            made()


def test_torch_s_loader_takes_them_one_by_one_shuffled_and_batched(fiches: list[Path]) -> None:
    pages = PackedPages(fiches)
    ones = list(DataLoader(pages, batch_size=None))  # type: ignore[arg-type]
    assert isinstance(ones[0]["tokens"], torch.Tensor) and ones[0]["text"] == pages[0]["text"]
    shuffled = DataLoader(pages, batch_size=2, shuffle=True, collate_fn=list)  # type: ignore[arg-type]
    assert sorted(item["text"] for batch in shuffled for item in batch) == sorted(item["text"] for item in pages)


def test_hugging_face_s_datasets_take_them(fiches: list[Path], tmp_path: Path) -> None:
    if not os.environ.get("MICROFICHE_CLIENTS"):
        pytest.importorskip("datasets", reason="datasets is an extra of its own, test-clients")
    from datasets import Dataset

    pages = PackedPages(fiches)
    table = Dataset.from_generator(pages.__iter__, cache_dir=str(tmp_path / "cache")).with_format("numpy")
    assert len(table) == len(pages)
    for row, item in zip(table, pages, strict=True):
        assert row["text"] == item["text"] and np.array_equal(row["tokens"], item["tokens"])
        assert np.array_equal(row["picture"], item["picture"]) and np.array_equal(row["boxes"], item["boxes"])
