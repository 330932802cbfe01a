"""LangChain: a loader that reads PDFs and pictures to documents with boxes, pages and statuses.

    from microfiche.integrations.langchain import MicroficheLoader
    documents = MicroficheLoader("papers", by="heading").load()

`PagesMiddleware`, which keeps old messages of an agent as pages of a memory, can be imported from here as well. It
needs all of LangChain, the loader only its core.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Unpack

from microfiche.errors import UsageError
from microfiche.integrations.chunks import Names, Options, Reading

try:
    from langchain_core.document_loaders import BaseLoader
    from langchain_core.documents import Document
except ImportError as error:
    raise UsageError("this loader is for LangChain: pip install langchain-core") from error

if TYPE_CHECKING:
    from microfiche.integrations.langchain_middleware import PagesMiddleware as PagesMiddleware


class MicroficheLoader(BaseLoader):
    """Loads `sources` (files, folders, addresses) as LangChain documents of Markdown, one for each page, block or
    heading, as `by` says. `chunks.Chunk` says what their metadata are.

    What was read in part, or not at all, says so by its status and reasons, and a page or a section by a comment in
    its text too; with `strict` it is an InputError. `engine`, `pages`, `dpi`, `password`, `pictures` and `limits` are
    those of `microfiche.read`. A document is read when its first piece is asked for.
    """

    def __init__(self, sources: Names, **options: Unpack[Options]) -> None:
        self.sources = sources
        self.reading = Reading(**options)

    def lazy_load(self) -> Iterator[Document]:
        """The documents, one after the other."""
        for chunk in self.reading.chunks(self.sources):
            yield Document(id=chunk.id or None, page_content=chunk.text, metadata=chunk.metadata)


def __getattr__(name: str) -> Any:
    if name == "PagesMiddleware":
        from microfiche.integrations.langchain_middleware import PagesMiddleware

        return PagesMiddleware
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
