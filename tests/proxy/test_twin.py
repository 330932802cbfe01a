"""What the same session would have cost as text: the twin of a session that was drawn, beside the bill of the session
itself as text; and splicing, as it goes up."""

from __future__ import annotations

import base64
import json
import zlib
from io import BytesIO

import pytest
from agent import ClaudeCode, Codex, tool_script
from between import all_to, post, proxying
from PIL import Image
from provider.cache import pictures_in
from provider.server import Provider, provider

from microfiche.memory.billing import Usage
from microfiche.memory.models import hosted
from microfiche.proxy.account import Account
from microfiche.proxy.edits import Edits
from microfiche.proxy.exchange import Drawing
from microfiche.proxy.places import places_in
from microfiche.proxy.protocols import Asked, Block, Route, asked
from microfiche.proxy.relay import Relay
from microfiche.proxy.splice import Body, Replacement, Value
from microfiche.proxy.twin import Manner, Twins

WIDTH, HEIGHT = 1092, 364
MESSAGES = Manner("messages", 1024, True)


def page(text: str) -> bytes:
    """A picture that stands for a text: the same for the same text, and another for another."""
    made = BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), f"#{zlib.crc32(text.encode()) % (1 << 24):06x}").save(made, "PNG")
    return made.getvalue()


class Painter:
    """Draws every long tool result, as it comes."""

    def flush(self) -> None:
        """Keeps nothing."""

    def draw(self, route: Route, body: Body, asked: Asked) -> Drawing:
        found, pages, weights = [], [], []
        for value in self.results(route, body.root):
            if value.text is not None and len(value.text) > 2000:
                pages.append(page(value.text))
                weights.append((len(value.text), hosted(asked.model).tokens(WIDTH, HEIGHT)))
                found.append(Replacement(value.start, value.end, self.as_picture(route, pages[-1])))
        return Drawing(tuple(found), tuple(weights), tuple(pages), ("tool results",))

    def results(self, route: Route, root: Value) -> list[Value]:
        if route.dialect == "responses":
            items = [item for item in root.each("input") if item.words("type") == "function_call_output"]
            return [value for item in items if (value := item.at("output")) is not None]
        blocks = [block for message in root.each("messages") for block in message.each("content")]
        return [value for block in blocks if block.words("type") == "tool_result" and block.at("is_error") is None
                and (value := block.at("content")) is not None]  # fmt: skip

    def as_picture(self, route: Route, png: bytes) -> str:
        data = base64.b64encode(png).decode()
        if route.dialect == "responses":
            return json.dumps([{"type": "input_image", "image_url": f"data:image/png;base64,{data}"}])
        source = {"type": "base64", "media_type": "image/png", "data": data}
        return json.dumps([{"type": "image", "source": source}])


def test_only_what_is_drawn_changes_on_its_way(vendor: Provider) -> None:
    vendor.script = tool_script(3)
    account = Account()
    with proxying(Relay(all_to(vendor.url), books=account, drawer=Painter())) as url, ClaudeCode(url) as agent:
        agent.play("Read.")
        for recorded, body in zip(vendor.requests, agent.bodies, strict=True):
            said = [block for message in json.loads(body)["messages"] for block in message["content"]]
            texts = [block["content"] for block in said if block["type"] == "tool_result"]
            drawn = {page(text): json.dumps(text, ensure_ascii=False) for text in texts}
            sent = recorded.body.decode()
            for png, text in drawn.items():
                sent = sent.replace(Painter().as_picture(Route("messages", "anthropic", "answer"), png), text)
            assert sent.encode() == body and len(pictures_in(recorded.json)) == len(drawn)
        answer = post(url + "/v1/messages", content=agent.body(stream=False), headers=agent.headers)
        assert answer.headers["x-microfiche-pictures"] == "3" and "microfiche" not in answer.text
        for switch in ("off", "OFF, off", "off,off"):
            off = post(url + "/v1/messages", content=agent.body(), headers={**agent.headers, "x-microfiche": switch})
            assert vendor.requests[-1].body == agent.body() and "x-microfiche-pictures" not in off.headers
        count = post(url + "/v1/messages/count_tokens", content=agent.body(), headers=agent.headers)
        assert count.status_code == 200 and len(pictures_in(vendor.requests[-1].json)) == 3


@pytest.mark.parametrize("kind", [ClaudeCode, Codex])
def test_the_twin_of_a_drawn_session_is_the_bill_of_it_as_text(kind: type[ClaudeCode] | type[Codex]) -> None:
    """Ten turns with results of 60 lines. The twin estimates tokens; it is within 1 % of what the text really costs."""
    with provider() as vendor, provider() as plain:
        vendor.script, plain.script = tool_script(10), tool_script(10)
        account = Account()
        with proxying(Relay(all_to(vendor.url), books=account, drawer=Painter())) as url, kind(url) as agent:
            agent.play("Read it all.")
        with kind(plain.url) as agent:
            agent.play("Read it all.")
        assert account.total.dollars == pytest.approx(float(vendor.cache.bill.dollars), abs=1e-9)
        assert account.total.text_dollars == pytest.approx(float(plain.cache.bill.dollars), rel=0.01)
        bill = sum((usage for _, usage, _ in plain.cache.bill.lines), Usage())
        assert account.total.text_tokens["read"] == pytest.approx(bill.read, rel=0.01)
        assert account.total.text_tokens["output"] == bill.output
        assert account.total.saved == account.total.text_dollars - account.total.dollars > 0
        assert account.total.pages > 50 and len(account.pages) in (9, 10)


def blocks(*sizes: int, marks: tuple[int, ...] = ()) -> tuple[Block, ...]:
    return tuple(Block(bytes([n]), size, 0, 3600 if n in marks else 0, n + 1) for n, size in enumerate(sizes))


def drawn(characters: int, tokens: int) -> Drawing:
    """The first block as one picture."""
    return Drawing((Replacement(0, 1, ""),), ((characters, tokens),), (b"png",))


def test_a_session_without_pictures_is_its_own_twin() -> None:
    twins = Twins()
    odd = Usage(3, 5, 7, 11, 13)
    assert twins.of(Asked("m", True, "s", blocks(5000, 10)), MESSAGES, odd, Drawing(), 0.0) == odd


def test_what_is_drawn_loses_where_the_text_was_cached() -> None:
    """A text that is cached is drawn late: what the twin would have read from the cache is written anew."""
    twins, asked = Twins(), Asked("m", True, "s", blocks(8000, 400, marks=(0,)))
    first = twins.of(asked, MESSAGES, Usage(100, 0, 2000, 0, 5), Drawing(), 0.0)
    assert first.written_hour == 2000
    late = twins.of(asked, MESSAGES, Usage(100, 0, 1500, 0, 5), drawn(8000, 1500), 10.0)
    assert late.read > 1900 and late.written_hour == 0 and late.uncached < 120
    gone = twins.of(asked, MESSAGES, Usage(100, 0, 0, 1500, 5), drawn(8000, 1500), 4000.0)
    assert gone.read > 1900, "the twin is at least as warm as what was sent"


@pytest.mark.parametrize("line", ["alpha | beta" + " " * 480 + "|", "=" * 500, "-" * 250 + "+" + "-" * 249])
def test_a_padded_text_that_became_pages_is_a_loss(line: str) -> None:
    """Runs are a token or two each, so that 70 such lines are a few hundred tokens, and not 9,000."""
    table = "\n".join([line] * 70)
    result = {"type": "tool_result", "tool_use_id": "a", "content": table}
    said = {"model": "claude-fable-5-1", "system": "word " * 400, "messages": [{"role": "user", "content": [result]}]}
    body, route = Body.read(json.dumps(said).encode()), Route("messages", "anthropic", "answer")
    (place,) = places_in("messages", body)
    edits = Edits("messages", body)
    edits.put(place, [("[page 1]", b"PNG", None)], "", 2000)
    drawing = Drawing(*edits.drawing(), (b"PNG",))
    usage = Usage(2000 + 500)  # two pages, and a system prompt of 2,000 characters
    twin = Twins().of(asked(route, body, {}), MESSAGES, usage, drawing, 0.0)
    assert 500 < twin.input < 500 + 70 * 8 < usage.input


def test_caches_die_and_clocks_that_jump_do_no_harm() -> None:
    twins, asked = Twins(), Asked("m", True, "s", blocks(8000, 400, marks=(0,)))
    for now in (0.0, 1e9, -1e9, 5.0):
        twin = twins.of(asked, MESSAGES, Usage(100, 0, 1500, 0, 5), drawn(8000, 1500), now)
        assert twin.input > 1600 and min(vars(twin).values()) >= 0


def test_a_state_that_the_provider_keeps_goes_on_in_the_twin() -> None:
    twins, manner = Twins(), Manner("responses", 1024, True)
    usage = Usage(600, 0, 0, 0, 5)
    first = twins.of(Asked("m", False, "s", blocks(8000, 400)), manner, usage, drawn(8000, 500), 0.0, "resp_1")
    assert first.input > 1500
    follow = Asked("m", False, "s", blocks(30), follows="resp_1")
    second = twins.of(follow, manner, Usage(20, 0, 0, 600, 5), Drawing(), 1.0, "resp_2")
    assert second.input - 620 == first.input - 600 and second.read > 600
