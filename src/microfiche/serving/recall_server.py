"""The MCP server, with the protocol's official SDK, by stdio or HTTP.

search, read_lines and show_page recall what was drawn. read_document and pack (desk_tools.py) work with files.

Arguments are checked by their schemas, and again by what they ask.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from microfiche import __version__
from microfiche.errors import MicroficheError, UsageError
from microfiche.serving.allowed import Allowed
from microfiche.serving.desk import Desk
from microfiche.serving.recall import HITS, NAME, QUERY, Recall, Size

PORT = 8766
INSTRUCTIONS = (
    "Parts of this conversation may stand on pages, which are pictures of text that a proxy on the user's machine "
    "drew. Each page has a name in the line before it. What you need exactly, such as identifiers, hashes, numbers, "
    "paths or code to edit, read it with read_lines, and do not guess it from the picture. search finds pages by their "
    "words, and show_page shows one again, in larger print if you want. read_document reads PDFs and pictures of pages "
    "as Markdown."
)
Query = Annotated[str, Field(min_length=1, max_length=QUERY, description="The words to look for.")]
Count = Annotated[int, Field(ge=1, le=HITS, description="The most passages.")]
PageName = Annotated[str, Field(min_length=1, max_length=NAME, description="The page's name, as its caption gives it.")]
Number = Annotated[int, Field(ge=1, le=10**9)]


def server(recall: Recall, desk: Desk | None = None, allowed: Allowed = Allowed(), roots: bool = True) -> Any:
    """The MCP server (an `mcp.server.MCPServer`) that answers from `recall` and, if there is one, works at a `desk`.

    It works there with files in the folders that are `allowed` or, if there are none, below the client's roots, unless
    `roots` is false. Raises UsageError where the SDK is missing."""
    try:
        from mcp.server import MCPServer
        from mcp.server.mcpserver import Image
        from mcp.server.mcpserver.exceptions import ToolError
        from mcp_types import ToolAnnotations
    except ImportError as error:
        raise UsageError("recall by MCP needs its SDK: pip install 'microfiche[mcp]'") from error
    logging.getLogger("mcp").setLevel(logging.CRITICAL)  # what the SDK would log names arguments
    made: Any = MCPServer("microfiche", instructions=INSTRUCTIONS, version=__version__, log_level="ERROR")
    reads = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)

    def search(query: Query, count: Count = 5) -> str:
        """Finds what was drawn, or is remembered, by its words: names of pages, lines, and the passages exactly."""
        try:
            found = recall.search(query, count)
        except MicroficheError as error:
            raise ToolError(str(error)) from error
        if not found:
            return "Nothing is found. Try other words."
        return "\n\n".join(f"{one.page}, line {one.line} ({one.source}):\n{one.text}" for one in found)

    def read_lines(page: PageName, first: Number | None = None, last: Number | None = None, column: Number = 1) -> str:
        """Reads lines exactly as they were, each after its number and a tab: all that stand on the page, or from
        `first` to `last`. Use it whenever an exact value matters."""
        try:
            return str(recall.read_lines(page, first, last, column))
        except MicroficheError as error:
            raise ToolError(str(error)) from error

    def show_page(page: PageName, size: Size = "page") -> Any:
        """Shows a page again: as it was drawn ("page"), at half its size ("small"), or in larger print ("large")."""
        try:
            shown = recall.show_page(page, size)
        except MicroficheError as error:
            raise ToolError(str(error)) from error
        return [shown.caption, *(Image(data=data, format="png") for data in shown.pictures)]

    for tool in (search, read_lines, show_page):
        made.tool(description=inspect.getdoc(tool), annotations=reads, structured_output=False)(tool)
    if desk is not None:
        from microfiche.serving.desk_tools import add_desk

        add_desk(made, desk, allowed, roots and not allowed.folders)
    return made



def serve_stdio(made: Any) -> None:
    """Lets a server answer on standard input and output until the client leaves."""
    made.run("stdio")


def serve_http(made: Any, port: int, ready: Callable[[str], None]) -> None:
    """Lets a server answer at http://127.0.0.1:PORT/mcp, to this machine alone, until it is stopped. `ready` is called
    with the address; port 0 takes a free one."""
    application = made.streamable_http_app(host="127.0.0.1")
    from microfiche.proxy.server import bound, serve

    listening = bound("127.0.0.1", port)
    ready(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp")
    serve(application, listening)
