"""LangChain's loader and LlamaIndex's reader, as these libraries call them; the examples of docs/integrations.md."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

if not os.environ.get("MICROFICHE_CLIENTS"):  # where the extra test-clients is asked for, none of them may be missing
    pytest.importorskip("langchain_core", reason="langchain-core is in an extra of its own, test-clients")
    pytest.importorskip("llama_index.core", reason="llama-index-core is in an extra of its own, test-clients")

import json

from langchain_core.document_loaders import BaseLoader
from llama_index.core import SimpleDirectoryReader
from llama_index.core.readers.base import BaseReader
from llama_index.core.schema import MetadataMode
from test_chunks import Dim, picture

from microfiche.errors import InputError
from microfiche.integrations.chunks import Reading
from microfiche.integrations.langchain import MicroficheLoader
from microfiche.integrations.llama_index import MicroficheReader

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "examples/paper.pdf"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


@pytest.mark.parametrize("by", ["page", "block", "heading"])
def test_both_give_the_chunks_with_their_ids_and_metadata(by: str) -> None:
    chunks = list(Reading(by).chunks(PAPER))  # type: ignore[arg-type]
    loader = MicroficheLoader(PAPER, by=by)  # type: ignore[typeddict-item]
    assert isinstance(loader, BaseLoader)
    assert [(d.id, d.page_content, d.metadata) for d in loader.load()] == [(c.id, c.text, c.metadata) for c in chunks]
    assert [d.id for d in asyncio.run(loader.aload())] == [c.id for c in chunks]
    reader = MicroficheReader(by=by)  # type: ignore[typeddict-item]
    assert isinstance(reader, BaseReader)
    documents = reader.load_data(PAPER)
    assert [(d.id_, d.text, d.metadata) for d in documents] == [(c.id, c.text, c.metadata) for c in chunks]
    json.dumps([d.metadata for d in documents])


def test_langchain_s_loader_reads_one_after_the_other_and_says_what_is_partial(tmp_path: Path) -> None:
    picture(tmp_path / "a.tiff", 2)
    (tmp_path / "b.pdf").write_bytes(b"no document")
    lazily = MicroficheLoader(tmp_path, engine="dim", pictures=Dim()).lazy_load()
    assert next(lazily).page_content == "page 1"
    assert [one.metadata["status"] for one in lazily] == ["failed", "failed"]
    with pytest.raises(InputError, match="page 2 failed"):
        MicroficheLoader(tmp_path, engine="dim", pictures=Dim(), strict=True).load()


def test_llama_index_s_directory_reader_uses_it_and_embeds_words_alone(tmp_path: Path) -> None:
    shutil.copy(PAPER, tmp_path)
    extractor = {".pdf": MicroficheReader(by="heading")}
    documents = SimpleDirectoryReader(str(tmp_path), file_extractor=extractor).load_data()  # type: ignore[arg-type]
    assert len(documents) == 4 and documents[1].metadata["headings"][-1] == "1. The smallest page"
    assert documents[1].metadata["file_name"] == "paper.pdf", "what the directory reader adds is there too"
    embedded = documents[1].get_content(metadata_mode=MetadataMode.EMBED)
    assert "The smallest page" in embedded and "boxes" not in embedded and "sha256" not in embedded
    assert "status: ok" in documents[1].get_content(metadata_mode=MetadataMode.LLM)


def test_llama_index_s_reader_reads_from_another_file_system() -> None:
    import fsspec

    files = fsspec.filesystem("memory")
    with files.open("/papers/paper.pdf", "wb") as file:
        file.write(PAPER.read_bytes())
    (document,) = MicroficheReader().load_data("/papers/paper.pdf", fs=files, extra_info={"shelf": 3})
    assert document.metadata["shelf"] == 3 and "Notes on Small Pages" in document.text
    assert document.metadata["source"] == "/papers/paper.pdf"


EXAMPLES = BLOCK.findall((ROOT / "docs/integrations.md").read_text("utf-8"))


def test_every_library_has_an_example() -> None:
    assert [name for name in ("langchain", "llama_index", "datasets") if not any(name in e for e in EXAMPLES)] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_of_the_document_runs(example: str, tmp_path: Path) -> None:
    if "from datasets" in example and not os.environ.get("MICROFICHE_CLIENTS"):
        pytest.importorskip("datasets", reason="datasets is an extra of its own, test-clients")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", example]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr[-2000:]
