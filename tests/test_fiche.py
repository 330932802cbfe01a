"""A .fiche comes back whole or is refused in one line."""

from __future__ import annotations

import json
import lzma
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load as load_tensors
from safetensors.torch import save, save_file
from typer.testing import CliRunner

import microfiche
from microfiche.cli import app
from microfiche.errors import FicheError
from microfiche.fiche import Fiche, FicheWriter, sha256
from microfiche.page import (
    Checkpoint,
    Page,
    Pieces,
    Setting,
    TokenType,
    TypesetPage,
    VisionTokens,
    dequantise,
    quantise,
)

TEXT = "It was the best of times,\n\tit was the worst of times.\n" * 3


def run(*args: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(args))
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.fixture(scope="module")
def fiche(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fiche")
    (folder / "a.txt").write_text(TEXT)
    run("pack", str(folder / "a.txt"), "-o", str(folder / "a.fiche"), "--mode", "tiny", "--text")
    return folder / "a.fiche"


def changed(fiche: Path, out: Path, **entries: bytes | None) -> Path:
    with zipfile.ZipFile(fiche) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = entries.pop(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
        for name, extra in entries.items():
            new.writestr(name, extra or b"")
    return out


def test_text_comes_back(fiche: Path) -> None:
    assert run("unpack", str(fiche), "--text") == TEXT
    assert run("unpack", str(fiche), "--allow-errors").startswith("It was")


def test_same_text_same_bytes(fiche: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    run("pack", str(fiche.with_name("a.txt")), "-o", str(tmp_path / "b.fiche"), "--mode", "tiny", "--text")
    assert (tmp_path / "b.fiche").read_bytes() == fiche.read_bytes()


def test_a_page_read_wrong_is_named(fiche: Path, tmp_path: Path) -> None:
    manifest = json.loads(zipfile.ZipFile(fiche).read("manifest.json"))
    manifest["pages"][0]["text"] = "0" * 64
    bad = changed(fiche, tmp_path / "bad.fiche", **{"manifest.json": json.dumps(manifest).encode()})
    result = CliRunner().invoke(app, ["unpack", str(bad)])
    assert result.exit_code == 1
    assert "pages read with errors, 1 of 1: 1" in result.stderr
    run("unpack", str(bad), "--allow-errors")


Edit = tuple[str, int, bytes]


def damaged(data: bytes, edits: list[Edit]) -> bytes:
    """`data` with bytes changed, put in, taken out, or all from a place on cut off; places count from the end, where a
    ZIP has its directory."""
    for kind, back, new in edits:
        at = max(0, len(data) - back)
        rest = {"change": len(new), "put in": 0, "take out": len(new), "cut off": len(data)}[kind]
        data = data[:at] + (new if kind in ("change", "put in") else b"") + data[at + rest :]
    return data


def edits(length: int) -> st.SearchStrategy[list[Edit]]:
    """Where the directory is (about the last 600 bytes) more often than elsewhere."""
    where = st.integers(0, 600) | st.integers(0, length)
    kinds = st.sampled_from(["change", "put in", "take out", "cut off"])
    return st.lists(st.tuples(kinds, where, st.binary(min_size=1, max_size=4)), min_size=1, max_size=4)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_damage_of_any_kind_is_told_in_one_line_or_harmless(
    fiche: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = fiche.read_bytes()
    bad = tmp_path_factory.getbasetemp() / "damaged.fiche"
    bad.write_bytes(damaged(whole, data.draw(edits(len(whole)))))
    try:
        with Fiche(bad) as opened, Fiche(fiche) as truth:
            assert torch.equal(opened.tokens(1).values, truth.tokens(1).values)
            assert (opened.page(1).image == truth.page(1).image).all()
            assert b"".join(opened.text()) == TEXT.encode()
            assert opened.manifest == truth.manifest
    except FicheError as error:
        assert str(error).startswith(f"{bad}: ") and "\n" not in str(error)


@pytest.mark.parametrize(
    "flipped",
    [(b"PK\x01\x02", 6), (b"PK\x01\x02", 24), (b"PK\x01\x02", 42), (b"PK\x01\x02", 8), (b"PK\x05\x06", 16)],
    ids=["version", "size", "place", "encryption", "directory"],
)
def test_a_damaged_directory_ends_the_command_in_one_line(
    fiche: Path, tmp_path: Path, flipped: tuple[bytes, int]
) -> None:
    data = bytearray(fiche.read_bytes())
    data[data.rindex(flipped[0]) + flipped[1]] ^= 0xA5
    (tmp_path / "bad.fiche").write_bytes(data)
    result = CliRunner().invoke(app, ["unpack", str(tmp_path / "bad.fiche"), "-o", str(tmp_path / "out.txt")])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"microfiche: {tmp_path}/bad.fiche: ") and result.stderr.count("\n") == 1
    assert not (tmp_path / "out.txt").exists()


@pytest.mark.parametrize("name", ["nothing.fiche", "folder.fiche", "pipe.fiche"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.fiche").mkdir()
    os.mkfifo(tmp_path / "pipe.fiche")
    with pytest.raises(FicheError, match=f"{name}: (no such file|not a file)$"):
        Fiche(tmp_path / name)


def test_a_density_that_there_is_not(fiche: Path, tmp_path: Path) -> None:
    manifest = json.loads(zipfile.ZipFile(fiche).read("manifest.json")) | {"density": "9x99"}
    with pytest.raises(FicheError, match=r"manifest\.json: .*9x99"):
        Fiche(changed(fiche, tmp_path / "x.fiche", **{"manifest.json": json.dumps(manifest).encode()}))


def test_a_picture_that_is_none(fiche: Path, tmp_path: Path) -> None:
    manifest = json.loads(zipfile.ZipFile(fiche).read("manifest.json"))
    png = zipfile.ZipFile(fiche).read("pages/0001.png")
    for number, picture in enumerate((b"no picture", png[:60], png[:-30], png[:40] + b"\xff\xff" + png[42:])):
        manifest["pages"][0]["picture"] = sha256(picture)
        entries = {"manifest.json": json.dumps(manifest).encode(), "pages/0001.png": picture}
        bad = changed(fiche, tmp_path / f"{number}.fiche", **entries)
        with Fiche(bad) as opened, pytest.raises(FicheError, match=r"pages/0001\.png: not a usable picture"):
            opened.page(1)


@pytest.mark.parametrize("width", [640, 1281, 0])
def test_tokens_of_another_width_than_the_checkpoints(fiche: Path, tmp_path: Path, width: int) -> None:
    manifest = json.loads(zipfile.ZipFile(fiche).read("manifest.json"))
    n = manifest["pages"][0]["height"] * manifest["pages"][0]["width"]
    data = save({"tokens": torch.zeros(n, width, dtype=torch.int8), "scale": torch.ones(n, 1, dtype=torch.float16)})
    manifest["pages"][0]["tokens"] = sha256(data)
    entries = {"manifest.json": json.dumps(manifest).encode(), "tokens/0001.safetensors": data}
    bad = changed(fiche, tmp_path / "x.fiche", **entries)
    result = CliRunner().invoke(app, ["unpack", str(bad)])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"microfiche: {bad}: tokens of {n} × {width} numbers")


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_truncated(fiche: Path, tmp_path: Path, keep: float) -> None:
    data = fiche.read_bytes()
    (tmp_path / "cut.fiche").write_bytes(data[: int(keep * len(data)) if keep < 1 else int(keep)])
    with pytest.raises(FicheError, match="not a whole"):
        Fiche(tmp_path / "cut.fiche")


def test_a_path_that_leaves_the_archive(fiche: Path, tmp_path: Path) -> None:
    with pytest.raises(FicheError, match="does not belong"):
        Fiche(changed(fiche, tmp_path / "x.fiche", **{"../evil": b"x"}))


def test_a_manifest_of_a_billion_pages(fiche: Path, tmp_path: Path) -> None:
    manifest = json.loads(zipfile.ZipFile(fiche).read("manifest.json"))
    manifest["sources"][0]["pages"] = 10**9
    with pytest.raises(FicheError, match="as many pages"):
        Fiche(changed(fiche, tmp_path / "x.fiche", **{"manifest.json": json.dumps(manifest).encode()}))


@pytest.mark.parametrize("missing", ["pages/0001.png", "tokens/0001.safetensors", "manifest.json", "text.xz"])
def test_a_missing_entry(fiche: Path, tmp_path: Path, missing: str) -> None:
    with pytest.raises(FicheError, match=missing):
        Fiche(changed(fiche, tmp_path / "x.fiche", **{missing: None}))


@pytest.mark.parametrize(
    "stored",
    [
        {"tokens": torch.zeros(2, 1280, dtype=torch.float64), "scale": torch.ones(2, 1, dtype=torch.float16)},
        {"tokens": torch.zeros(3, 1280, dtype=torch.int8), "scale": torch.ones(2, 1, dtype=torch.float16)},
        {"tokens": torch.zeros(2, 1280, dtype=torch.int8), "scale": torch.ones(1, 1, dtype=torch.float16)},
        {"values": torch.zeros(2, 1280, dtype=torch.int8)},
    ],
    ids=["dtype", "count", "scale", "name"],
)
def test_tokens_of_another_shape(fiche: Path, tmp_path: Path, stored: dict[str, torch.Tensor]) -> None:
    manifest, data = json.loads(zipfile.ZipFile(fiche).read("manifest.json")), save(stored)
    manifest["pages"][0].update(tokens=sha256(data), width=2, height=1)
    entries = {"manifest.json": json.dumps(manifest).encode(), "tokens/0001.safetensors": data}
    with pytest.raises(FicheError, match=r"tokens/0001\.safetensors"):
        Fiche(changed(fiche, tmp_path / "x.fiche", **entries)).tokens(1)


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (lzma.compress(bytes(70 << 20), preset=0), r"unpacks to over 67,108,864 bytes; the limit ratio is 1,000"),
        (lzma.compress(b"words")[:-8], r"text\.xz: not a whole \.xz file \(it ends too early\)"),
        (b"no xz at all", r"text\.xz: not a whole \.xz file \(Input format"),
    ],
    ids=["bomb", "cut off", "junk"],
)
def test_a_stored_text_that_cannot_be_trusted(fiche: Path, tmp_path: Path, packed: bytes, message: str) -> None:
    manifest = json.loads(zipfile.ZipFile(fiche).read("manifest.json")) | {"text": sha256(packed)}
    entries = {"text.xz": packed, "manifest.json": json.dumps(manifest).encode()}
    with Fiche(changed(fiche, tmp_path / "x.fiche", **entries)) as opened, pytest.raises(FicheError, match=message):
        for _ in opened.text():
            pass


@pytest.mark.parametrize("head", ["[" * 100_000, '{"format": ' + "[" * 100_000, "{"])
def test_a_checkpoint_whose_head_is_nested_without_end(fiche: Path, tmp_path: Path, head: str) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "deep.safetensors", {"microfiche": head})
    result = CliRunner().invoke(app, ["unpack", str(fiche), "--checkpoint", str(tmp_path / "deep.safetensors")])
    assert result.exit_code == 1
    assert "deep.safetensors: not a whole safetensors file" in result.stderr and result.stderr.count("\n") == 1


def test_quantised_tokens_are_near() -> None:
    values = torch.randn(7, 64) * 5
    assert (dequantise(quantise(values, "float16")) - values).abs().max() < 0.02
    step = values.abs().amax(1, keepdim=True) / 127
    assert ((dequantise(quantise(values, "int8")) - values).abs() <= 0.51 * step + 1e-3).all()


places = st.integers(1, 6).flatmap(
    lambda height: st.integers(1, 6).flatmap(
        lambda width: st.tuples(
            st.just(height),
            st.just(width),
            st.lists(
                st.tuples(st.integers(0, 2), st.integers(0, height - 1), st.integers(0, width - 1))
                | st.just((-1, -1, -1)),
                unique_by=lambda place: place if place[0] >= 0 else object(),
            )
            | st.none(),
            st.tuples(st.integers(0, height * 64 - 1), st.integers(0, width * 64 - 1)),
            st.integers(0, 63),
        )
    )
)
Pages = list[tuple[int, int, list[tuple[int, int, int]] | None, tuple[int, int], int]]


def written(path: Path, pages: Pages, token_type: TokenType) -> list[VisionTokens]:
    """A file of such pages, and their tokens: those that stand for nothing, for every square, or for some."""
    setting, checkpoint = Setting("7x13"), Checkpoint("x", "0" * 64)
    made = []
    with FicheWriter(path, checkpoint, setting, "small", token_type, False) as writer:
        writer.source("a")
        for height, width, at, origin, less in pages:
            given = None if at is None else np.asfortranarray(np.array(at, np.int32).reshape(-1, 3))
            values = torch.randn(height * width if given is None else len(given), 8)
            made.append(VisionTokens(values, height, width, setting, checkpoint, given, origin))
            image = np.full((height * 64 - less, width * 64), 255, np.uint8)
            writer.add(TypesetPage(image, setting, "x", np.zeros((1, 4), np.int32)), made[-1])
    return made


@settings(max_examples=60, deadline=None)
@given(st.lists(places, min_size=1, max_size=3), st.sampled_from(["int8", "float16"]))
def test_tokens_come_back_with_their_places(
    tmp_path_factory: pytest.TempPathFactory, pages: Pages, token_type: TokenType
) -> None:
    path = tmp_path_factory.getbasetemp() / "places.fiche"
    made = written(path, pages, token_type)
    with Fiche(path) as opened:
        for number, (tokens, (height, width, _, _, less)) in enumerate(zip(made, pages, strict=True), 1):
            read = opened.tokens(number)
            assert torch.equal(read.values, dequantise(quantise(tokens.values, token_type)))
            assert (read.height, read.width, read.origin) == (height, width, tokens.origin)
            assert (read.places is None) == (tokens.places is None)
            assert tokens.places is None or np.array_equal(read.places, tokens.places)
            assert opened.page(number).image.shape == (height * 64 - less, width * 64)
        plain = all(at is None and origin == (0, 0) for _, _, at, origin, _ in pages)
        assert opened.manifest.format == ("microfiche-1" if plain else "microfiche-2")


def test_tokens_of_every_square_are_stored_as_ever(fiche: Path) -> None:
    with zipfile.ZipFile(fiche) as file:
        stored = load_tensors(file.read("tokens/0001.safetensors"))
        assert stored.keys() == {"tokens", "scale"}
        assert json.loads(file.read("manifest.json"))["format"] == "microfiche-1"
    with Fiche(fiche) as opened:
        tokens = opened.tokens(1)
        assert tokens.places is None and tokens.origin == (0, 0) and len(tokens) == tokens.height * tokens.width


def place(*rows: tuple[float, ...], dtype: torch.dtype = torch.int32) -> torch.Tensor:
    return torch.tensor(rows, dtype=dtype)


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ({"places": place((0, 0, 0), (0, 0, 0))}, "2 tokens stand for row 0, column 0 of view 0"),
        ({"places": place((0, 0, 0), (0, 1, 0))}, "row 1, column 0 of view 0 lies off a page of 1 × 2 squares"),
        ({"places": place((0, 0, 0), (0, 0, -1))}, "row 0, column -1 of view 0 lies off"),
        ({"places": place((0, 0, 0), (-2, -2, -2))}, "row -2, column -2 of view -2 lies off"),
        ({"places": place((0, 0, 0), (0, 0, 2**31 - 1))}, "row 0, column 2147483647 of view 0 lies off"),
        ({"places": place((0, 0, 0))}, r"tokens are torch\.int8 \(2, 8\), not torch\.int8 \(1, …\)"),
        ({"places": place((0, 0), (0, 1))}, r"int32 \(2, 2\), not int32 \(2, 3\)"),
        ({"places": place((0, 0, 0), (0, 0, 1), dtype=torch.int64)}, "places of 2 tokens are int64"),
        ({"places": place((0, 0, 0), (0, 0, 1), dtype=torch.bfloat16)}, "not usable tokens"),
        ({"places": torch.tensor(3, dtype=torch.int32)}, "not usable tokens"),
        ({"boxes": place((0, 0, 9, 9)), "sources": place((0, 0, 1, 0), dtype=torch.float32),
          "lines": torch.zeros(1, dtype=torch.int32)}, "holds boxes, lines, scale, sources, tokens"),
        ({"origin": torch.tensor([64, 0], dtype=torch.int32)}, r"origin \(64, 0\) lies off a page of 1 × 2 squares"),
        ({"origin": torch.tensor([-1, 0], dtype=torch.int32)}, r"origin \(-1, 0\) lies off"),
        ({"origin": torch.tensor([1, 1, 1], dtype=torch.int32)}, r"its origin is not int32 \(2,\)"),
        ({"origin": torch.tensor([0.5, 0])}, r"its origin is not int32 \(2,\)"),
    ],
)
def test_places_that_no_page_has_are_named(tmp_path: Path, stored: dict[str, torch.Tensor], said: str) -> None:
    written(tmp_path / "good.fiche", [(1, 2, None, (0, 0), 0)], "int8")
    with zipfile.ZipFile(tmp_path / "good.fiche") as file:
        manifest = json.loads(file.read("manifest.json"))
        data = save(load_tensors(file.read("tokens/0001.safetensors")) | stored)
    manifest["pages"][0]["tokens"] = sha256(data)
    entries = {"manifest.json": json.dumps(manifest).encode(), "tokens/0001.safetensors": data}
    bad = changed(tmp_path / "good.fiche", tmp_path / "bad.fiche", **entries)
    with Fiche(bad) as opened, pytest.raises(FicheError, match=said) as told:
        opened.tokens(1)
    assert str(told.value).startswith(f"{bad}: tokens/0001.safetensors: ") and "\n" not in str(told.value)


PIECES = Pieces(
    np.array([[0, 0, 60, 12], [0, 12, 100, 24]], np.int32),
    np.array([[10, 20, 2, 0], [10.5, 60, 2, 0.01]], np.float32),
    np.array([0, 1], np.int32),
)


def of_pieces(path: Path, **changes: torch.Tensor) -> Path:
    """A file of a page whose tokens are of PIECES, with some of their arrays changed."""
    checkpoint = Checkpoint("x", "0" * 64)
    at = np.array([[1, 0, 0], [1, 0, 1]], np.int32)
    tokens = VisionTokens(torch.randn(2, 8), 3, 2, None, checkpoint, at, (0, 0), PIECES)
    with FicheWriter(path, checkpoint, None, "sure 0.98", "int8", False) as writer:
        writer.source("a")
        writer.add(Page(np.full((190, 100), 255, np.uint8)), tokens)
    if not changes:
        return path
    stored = load_tensors(zipfile.ZipFile(path).read("tokens/0001.safetensors")) | changes
    data = save(stored)
    manifest = json.loads(zipfile.ZipFile(path).read("manifest.json"))
    manifest["pages"][0]["tokens"] = sha256(data)
    entries = {"tokens/0001.safetensors": data, "manifest.json": json.dumps(manifest).encode()}
    return changed(path, path.with_suffix(".bad"), **entries)


def test_pieces_come_back(tmp_path: Path) -> None:
    with Fiche(of_pieces(tmp_path / "x.fiche")) as opened:
        assert opened.manifest.format == "microfiche-5"
        found = opened.tokens(1).pieces
        assert found is not None
        for name in ("boxes", "sources", "lines"):
            assert np.array_equal(getattr(found, name), getattr(PIECES, name))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"boxes": place((0, 0, 60, 12), (0, 12, 5000, 24))}, "off a picture of 4096×4096 px"),
        ({"boxes": place((0, 0, 60, 12), (0, 12, 0, 24))}, "boxes that are empty"),
        ({"boxes": place((0, 0, 60, 12))}, r"sources of 1 pieces are float32 \(2, 4\)"),
        ({"lines": torch.tensor([0, -1], dtype=torch.int32)}, "come from where no page is"),
        ({"sources": torch.full((2, 4), torch.nan)}, "come from where no page is"),
        ({"sources": torch.full((2, 4), 1e30)}, "come from where no page is"),
        ({"places": place((1, 0, 0), (1, 2**30, 0))}, "row 1073741824, column 0 of view 1 lies off"),
    ],
)
def test_pieces_that_no_page_has_are_named(tmp_path: Path, changes: dict[str, torch.Tensor], said: str) -> None:
    with Fiche(of_pieces(tmp_path / "x.fiche", **changes)) as opened, pytest.raises(FicheError, match=said):
        opened.tokens(1)


def test_a_format_of_tomorrow_is_refused(fiche: Path, tmp_path: Path) -> None:
    manifest = json.loads(zipfile.ZipFile(fiche).read("manifest.json")) | {"format": "microfiche-7"}
    with pytest.raises(FicheError, match=r"manifest\.json: format: Input should be 'microfiche-1', .*'microfiche-6'"):
        Fiche(changed(fiche, tmp_path / "x.fiche", **{"manifest.json": json.dumps(manifest).encode()}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "microfiche-3"}, "microfiche-3 with density '7x13' and layout 'dense'"),
        ({"density": None}, "microfiche-1 with density None"),
        ({"format": "microfiche-3", "density": None}, "microfiche-3 with density None and layout 'dense'"),
    ],
)
def test_only_pages_as_they_are_lack_a_density(fiche: Path, tmp_path: Path, changes: dict[str, str], said: str) -> None:
    manifest = json.loads(zipfile.ZipFile(fiche).read("manifest.json")) | {"density": "7x13"} | changes
    with pytest.raises(FicheError, match=f"manifest.json: {said}"):
        Fiche(changed(fiche, tmp_path / "x.fiche", **{"manifest.json": json.dumps(manifest).encode()}))


def test_typeset_pages_have_the_hash_of_their_text(fiche: Path, tmp_path: Path) -> None:
    manifest = json.loads(zipfile.ZipFile(fiche).read("manifest.json"))
    manifest["pages"][0]["text"] = None
    with pytest.raises(FicheError, match="without the SHA-256 of its text"):
        Fiche(changed(fiche, tmp_path / "x.fiche", **{"manifest.json": json.dumps(manifest).encode()}))


@pytest.mark.parametrize(
    ("changes", "kept", "said"),
    [
        ({}, [{"row": 0, "rows": 1, "text": "x"}], "microfiche-1 with layout 'dense' or lines that are kept as text"),
        ({"layout": "words"}, [], "microfiche-1 with layout 'words'"),
        ({"format": "microfiche-4"}, [{"row": 1, "rows": 2, "text": "x"}, {"row": 2, "rows": 1, "text": "y"}],
         r"pages\.0: lines that are kept as text lie on each other"),
        ({"format": "microfiche-4"}, [{"row": -1, "rows": 1, "text": "x"}], r"pages\.0\.kept\.0\.row: "),
        ({"format": "microfiche-4"}, [{"row": 1, "rows": 0, "text": "x"}], r"pages\.0\.kept\.0\.rows: "),
    ],
)
def test_lines_that_are_kept_as_text_are_checked(
    fiche: Path, tmp_path: Path, changes: dict[str, str], kept: list[dict[str, object]], said: str
) -> None:
    manifest = json.loads(zipfile.ZipFile(fiche).read("manifest.json")) | changes
    manifest["pages"][0]["kept"] = kept
    with pytest.raises(FicheError, match=f"manifest.json: {said}"):
        Fiche(changed(fiche, tmp_path / "x.fiche", **{"manifest.json": json.dumps(manifest).encode()}))


@pytest.mark.parametrize(
    ("format", "changes", "said"),
    [
        ("microfiche-4", {"lettered": [0]}, "microfiche-4 with letters beyond the alphabet or characters"),
        ("microfiche-4", {"corrected": [[0, 1, "x"]]}, "microfiche-4 with letters beyond the alphabet or characters"),
        ("microfiche-6", {"lettered": [-1]}, r"pages\.0\.lettered\.0: "),
        ("microfiche-6", {"corrected": [[0, -1, "x"]]}, r"pages\.0\.corrected\.0\.1: "),
        ("microfiche-6", {"corrected": [[0, 1]]}, r"pages\.0\.corrected\.0\.2: "),
    ],
)
def test_characters_that_are_kept_as_text_are_checked(
    fiche: Path, tmp_path: Path, format: str, changes: dict[str, object], said: str
) -> None:
    manifest = json.loads(zipfile.ZipFile(fiche).read("manifest.json")) | {"format": format}
    manifest["pages"][0] |= changes
    with pytest.raises(FicheError, match=f"manifest.json: {said}"):
        Fiche(changed(fiche, tmp_path / "x.fiche", **{"manifest.json": json.dumps(manifest).encode()}))


def test_corrections_beyond_a_page_are_no_harm(fiche: Path, tmp_path: Path) -> None:
    manifest = json.loads(zipfile.ZipFile(fiche).read("manifest.json")) | {"format": "microfiche-6"}
    manifest["pages"][0]["corrected"] = [[4000, 4000, "x"], [0, 4000, "y"], [0, 0, ""]]
    out = changed(fiche, tmp_path / "x.fiche", **{"manifest.json": json.dumps(manifest).encode()})
    assert microfiche.unpack(out).text == microfiche.unpack(fiche).text


def test_lines_that_are_kept_beyond_a_page_are_no_harm(fiche: Path, tmp_path: Path) -> None:
    manifest = json.loads(zipfile.ZipFile(fiche).read("manifest.json")) | {"format": "microfiche-4"}
    manifest["pages"][0]["kept"] = [{"row": 4000, "rows": 96, "text": "x"}]
    out = changed(fiche, tmp_path / "x.fiche", **{"manifest.json": json.dumps(manifest).encode()})
    assert microfiche.unpack(out).text == microfiche.unpack(fiche).text


def test_bad_input_ends_in_one_line(tmp_path: Path) -> None:
    cases = {"not utf-8 at byte 3": b"hi \xff", "empty": b"", "NUL at character 2": b"ab\0"}
    for message, data in cases.items():
        (tmp_path / "bad.txt").write_bytes(data)
        result = CliRunner().invoke(app, ["pack", str(tmp_path / "bad.txt"), "-o", str(tmp_path / "x.fiche")])
        assert result.exit_code == 1
        assert message in result.stderr
        assert not list(tmp_path.glob("*x.fiche*"))


def test_measure_prints_one_object(fiche: Path) -> None:
    result = json.loads(run("measure", str(fiche.with_name("a.txt")), "--json"))
    assert {"characters", "text_tokens", "vision_tokens", "ratio", "precision", "fox_precision", "pages"} <= set(result)
    assert {"seconds_typeset", "seconds_encode", "seconds_read", "density", "mode", "checkpoint"} <= set(result)
    assert result["characters"] == len(TEXT)
    assert result["vision_tokens"] == 10


@pytest.mark.parametrize("scale", [(2, 7), (2, 1), (9000, 1, 1)])
def test_tokens_have_a_scale_only_if_they_are_int8(fiche: Path, tmp_path: Path, scale: tuple[int, ...]) -> None:
    with zipfile.ZipFile(fiche) as file:
        manifest = json.loads(file.read("manifest.json"))
        tokens = load_tensors(file.read("tokens/0001.safetensors"))["tokens"]
    data = save({"tokens": tokens.half(), "scale": torch.ones(scale)})
    manifest["token_type"] = "float16"
    manifest["pages"][0]["tokens"] = sha256(data)
    entries = {"manifest.json": json.dumps(manifest).encode(), "tokens/0001.safetensors": data}
    said = pytest.raises(FicheError, match=r"tokens/0001.safetensors: holds scale, tokens")
    with Fiche(changed(fiche, tmp_path / "x.fiche", **entries)) as opened, said:
        opened.tokens(1)
