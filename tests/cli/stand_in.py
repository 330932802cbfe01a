"""A stand-in for a vision-language model's server, OpenAI-compatible: it reads no pictures, it counts what it is sent.

    python tests/cli/stand_in.py 8001

Its answers say how many pictures, words and pages there were, and cite the first and the last page; its usage counts
pictures by gpt-4o's tiles and text in DeepSeek's vocabulary. Tests put an `answer` of their own in its place.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from microfiche.memory.models import hosted
from microfiche.precision import text_tokens

Body = dict[str, Any]
CUT = "<cut>"  #: in an answer: here the stand-in breaks off a stream


def parts_of(body: Body) -> tuple[str, list[bytes]]:
    """All text of a request, and its pictures."""
    words, pictures = [], []
    for message in body["messages"]:
        content = message.get("content") or ""
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            if part["type"] == "text":
                words.append(part["text"])
            elif part["type"] == "image_url" and part["image_url"]["url"].startswith("data:"):
                pictures.append(base64.b64decode(part["image_url"]["url"].split(",", 1)[1]))
    return "\n".join(words), pictures


def counted(body: Body) -> int:
    """Prompt tokens of a request."""
    words, pictures = parts_of(body)
    sizes = [struct.unpack(">II", picture[16:24]) for picture in pictures]
    return text_tokens(words) + sum(hosted("gpt-4o").tokens(width, height) for width, height in sizes)


def says(body: Body) -> str:
    """What the stand-in answers."""
    words, pictures = parts_of(body)
    pages = re.findall(r"\[page (\d+):", words)
    cited = f" [pages {pages[0]}, {pages[-1]}]" if pages else ""
    return f"I was sent {len(pictures)} pictures and {len(words.split())} words.{cited}"


class StandIn:
    """The server; remembers what it was `asked`."""

    def __init__(self, port: int = 0, answer: Callable[[Body], str] = says) -> None:
        self.answer, self.asked, self.keys = answer, list[Body](), list[str | None]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(body)
                outer.keys.append(self.headers["Authorization"])
                if body.get("model") == "no such model":
                    self._send(404, {"error": {"message": "no such model", "type": "invalid_request_error"}})
                elif body.get("stream"):
                    self._stream(body)
                else:
                    text = outer.answer(body)
                    used = {"prompt_tokens": counted(body), "completion_tokens": text_tokens(text)}
                    used["total_tokens"] = sum(used.values())
                    message = {"role": "assistant", "content": text}
                    self._send(200, {
                        "id": "stand-in", "object": "chat.completion", "model": body.get("model"), "usage": used,
                        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                    })

            def do_GET(self) -> None:
                self._send(200, {"object": "list", "data": [{"id": "stand-in", "object": "model"}]})

            def _stream(self, body: Body) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                text = outer.answer(body)
                for piece in re.findall(r"\S+\s*", text.split(CUT)[0]):
                    self._event({"choices": [{"index": 0, "delta": {"content": piece}}]})
                if CUT in text:
                    self.wfile.write(b'data: {"choi')
                    return
                if (body.get("stream_options") or {}).get("include_usage"):
                    self._event({"choices": [], "usage": {"prompt_tokens": counted(body), "completion_tokens": 1}})
                self.wfile.write(b"data: [DONE]\n\n")

            def _event(self, data: Body) -> None:
                self.wfile.write(f"data: {json.dumps(data)}\n\n".encode())
                self.wfile.flush()

            def _send(self, code: int, data: Body) -> None:
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(data).encode())

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"


@contextmanager
def standing_in(answer: Callable[[Body], str] = says) -> Iterator[StandIn]:
    """A stand-in on a free port."""
    made = StandIn(answer=answer)
    thread = threading.Thread(target=made.http.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield made
    finally:
        made.http.shutdown()
        thread.join()
        made.http.server_close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    StandIn(parser.parse_args().port).http.serve_forever()
