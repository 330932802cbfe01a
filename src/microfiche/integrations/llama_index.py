"""LlamaIndex: a reader that reads PDFs and pictures to documents with boxes, pages and statuses.

    from microfiche.integrations.llama_index import MicroficheReader
    documents = MicroficheReader(by="heading").load_data("papers")

It can be given to SimpleDirectoryReader as `file_extractor={".pdf": MicroficheReader()}`. Needs llama-index-core alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

from microfiche.documents.opening import DocumentSource
from microfiche.errors import UsageError
from microfiche.integrations.chunks import Names, Options, Reading

try:
    from llama_index.core.readers.base import BaseReader
    from llama_index.core.schema import Document
except ImportError as error:
    raise UsageError("this reader is for LlamaIndex: pip install llama-index-core") from error

#: Metadata that say where a text stands and how surely it was read, which are neither embedded nor sent to models.
UNSAID = ["sha256", "notes", "pages", "page_sizes", "boxes", "kinds", "engines", "confidence"]


class MicroficheReader(BaseReader):
    """Reads files, folders and addresses as LlamaIndex documents of Markdown, one for each page, block or heading, as
    `by` says. `chunks.Chunk` says what their metadata are.

    What was read in part, or not at all, says so by its status and reasons, and a page or a section by a comment in
    its text too; with `strict` it is an InputError. `engine`, `pages`, `dpi`, `password`, `pictures` and `limits` are
    those of `microfiche.read`. A document is read when its first piece is asked for.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        self.reading = Reading(**options)

    def lazy_load_data(
        self, file: Names, extra_info: dict[str, Any] | None = None, fs: Any = None
    ) -> Iterable[Document]:
        """The documents, one after the other; `extra_info` are further metadata. With `fs`, an fsspec file system,
        `file` is one file in it."""
        if fs is None:
            chunks = self.reading.chunks(file)
        else:
            with fs.open(str(file), "rb") as opened:
                data = opened.read(self.reading.limits.bytes + 1)  # one more than is allowed is refused as such
            chunks = self.reading.chunks_of([DocumentSource(str(file), data)])
        for chunk in chunks:
            named = {"id_": chunk.id} if chunk.id else {}
            yield Document(text=chunk.text, metadata={**(extra_info or {}), **chunk.metadata},
                           excluded_embed_metadata_keys=[*UNSAID, "status", "reasons"],
                           excluded_llm_metadata_keys=UNSAID, **named)  # fmt: skip
