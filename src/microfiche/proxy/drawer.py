"""Decides what of a request becomes pages: at first sight or never, by what the model reads and what it costs, and from
then on always the same, as the ledger has it.

A text that is new in a request (no answer of the model follows it) and has no verdict yet gets one, which is kept
before the request goes up. A text that was seen without a verdict was sent as text, and stays it. So every request
begins with the bytes of the one before, providers' caches go on, and thoughts that are bound to what stands before them
stay valid.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from microfiche.errors import InputError, StoreError
from microfiche.memory.models import HostedModel, hosted, plain_name
from microfiche.memory.paper import to_bytes
from microfiche.proxy.budget import Budget, pictures_in
from microfiche.proxy.exchange import Drawing
from microfiche.proxy.history import (
    BINDING,
    DIALECTS,
    NOTE,
    Stretch,
    has_thoughts,
    is_near,
    loosened,
    next_stop,
    opening_of,
    stretch,
    turns_to_pay,
)
from microfiche.proxy.ledger import Ledger
from microfiche.proxy.pages import (
    BANNER,
    MARGIN,
    TOGETHER,
    Proofreader,
    Read,
    Undrawable,
    block_digest,
    caption_tokens,
    draft,
    weighed,
)
from microfiche.proxy.places import Edits, Place, opening, places_in
from microfiche.proxy.protocols import Asked, Route
from microfiche.proxy.sessions import Session, Sessions
from microfiche.proxy.sight import Sight, sight_of
from microfiche.proxy.slab import slab_in
from microfiche.proxy.splice import Body
from microfiche.proxy.verdict import Draw, Verdict

CACHED = (1800, 300)  #: seconds for which a cache keeps a prompt without marks, and Anthropic's one with short marks
SLACK = 30.0  #: seconds more for which a provider may still keep a prompt

NOTES = {
    "result": "[on page {}, which follows]",
    "results": "[on page {}, which follows]",
    "paste": "",
    "system": "\n[More of this is on page {}, at the beginning of the first message.]\n",
    "tools": "\n[More under its name on page {}, at the beginning of the first message.]",
}


class LedgerDrawer:
    """Draws by a ledger, which is opened when it is first needed. `kinds` says what may be drawn, `read` reads pages
    back, and `now` gives the second since 1970 at which a request comes."""

    def __init__(
        self, open_ledger: Callable[[], Ledger], kinds: Draw, read: Read | None = None,
        now: Callable[[], float] = lambda: time.time(),
    ) -> None:  # fmt: skip
        self.kinds, self.read, self.now = kinds, read or Proofreader(), now
        self.as_text = set[str]()  #: models of which nothing new is drawn
        self._sessions, self._drawing, self._warmed = Sessions(open_ledger), threading.Lock(), False

    def draw(self, route: Route, body: Body, asked: Asked) -> Drawing:
        """What to replace in a request."""
        if self.kinds == Draw.off:
            return Drawing()
        try:
            sight, known = sight_of(asked.model)
        except InputError as error:
            sight, known = None, str(error)
        if sight is not None:
            sight = replace(sight, graded=route.graded and bool(sight.model.pictures.grades))
            if sight.model.name in self.as_text:
                sight, known = None, "switched off for this model"
            elif not sight.graded and _is_told(body):
                sight, known = None, "the request says in which resolution pictures are seen"
        places = self._places(route, body, sight)
        if not places and not (self.kinds == Draw.full and sight):
            return Drawing(reasons=() if sight else (f"text: {known}",))
        head, model = _head(route, body, asked.model), hosted(asked.model)
        old, before = list[tuple[Stretch, Verdict]](), set[bytes]()
        try:
            session = self._sessions.at(head, asked.session, self.now())
            chosen, reasons = self._chosen(head, asked.session, session, sight, places, body)
            every = chosen
            if route.dialect in DIALECTS:
                before = set(session.verdicts)
                old, more = self._old_turns(head, session, sight, chosen, route, body, asked)
                reasons += more
                chosen = _outside(old, every)
            session.seen = self.now()
        except StoreError as error:
            return Drawing(reasons=(f"text: {error if sight else known}",))
        reasons = [f"pages: {known}", *reasons] if chosen or old else reasons
        if sight is None:
            reasons = [f"text: {known}"]  # but for what was drawn before
        drawing = self._drawing_of(route, body, model, chosen, old, reasons)
        if not drawing.replacements:
            return drawing
        drawn = {_digest(place) for place, _ in chosen} | {one.digest for one, _ in old}
        fresh = any(place.new for place, _ in chosen) or any(one.digest not in before for one, _ in old)
        drawing = replace(drawing, fresh=fresh)
        if not has_thoughts(body.root):
            return replace(drawing, refused=partial(self._sessions.refuse, head, drawn, set()))
        older = [one for one in old if one[0].digest in before]  # what thoughts may be bound to stays
        bound = [one for one in _outside(older, every) if not one[0].new]
        instead = self._drawing_of(route, body, model, bound, older, reasons) if bound or older else None
        kept = {_digest(place) for place, _ in bound} | {one.digest for one, _ in older}
        return replace(drawing, instead=instead, refused=partial(self._sessions.refuse, head, drawn, kept))

    def _places(self, route: Route, body: Body, sight: Sight | None) -> list[Place]:
        """All places of a request; of those that are not to be drawn now, what was drawn before stays drawn."""
        slab, places = slab_in(route.dialect, body.root), places_in(route.dialect, body)
        if self.kinds not in (Draw.slab, Draw.full):
            slab = [replace(place, new=False) for place in slab]
        if sight is None:
            return [replace(place, new=False) for place in [*slab, *places]]
        self._warm()
        if not sight.has_steps:  # nothing is gained where less paper costs less
            places = [replace(place, new=place.new and place.kind != TOGETHER) for place in places]
        return [*slab, *places]

    def _warm(self) -> None:
        """Has nano loaded in the background once there is a model that may be sent pages."""
        if isinstance(self.read, Proofreader) and not self._warmed:
            self._warmed = True
            threading.Thread(target=self.read.load, name="nano", daemon=True).start()

    def _chosen(
        self, head: bytes, name: str, session: Session, sight: Sight | None, places: Sequence[Place], body: Body
    ) -> tuple[list[tuple[Place, Verdict]], list[str]]:
        """The places that become pages, each with its verdict, and the reasons for all that is new."""
        digests = [_digest(place) for place in places]
        reasons: list[str] = []
        missing = {d for d, place in zip(digests, places, strict=True) if place.new and d not in session.verdicts}
        if missing and sight is not None:
            try:
                with self._drawing:
                    session = self._sessions.at(head, name, self.now())  # another request may have been first
                    new = self._decided(session, sight, places, digests, body)
                    kept = self._sessions.keep(head, name, session, new, self.now()) if new else {}
                kinds = dict(zip(digests, places, strict=True))
                reasons = [_said(kinds[digest], verdict) for digest, verdict in kept.items()]
            except StoreError as error:  # what is new goes up as text, and what was drawn before as it was
                reasons = [f"text: {error}"]
        both = [(place, session.verdicts.get(d)) for d, place in zip(digests, places, strict=True)]
        drawn = [(place, verdict) for place, verdict in both if verdict is not None and verdict.block]
        shared = _shared(place for place, _ in drawn)
        return [one for one in drawn if one[0].value.start not in shared or one[0].stubs], reasons

    def _decided(
        self, session: Session, sight: Sight, places: Sequence[Place], digests: Sequence[bytes], body: Body
    ) -> dict[bytes, Verdict]:
        """The verdicts on all that is new and has none."""
        ledger, verdicts, new = self._sessions.ledger(), session.verdicts, dict[bytes, Verdict]()
        blocks = [verdict.block for d in digests if (verdict := verdicts.get(d)) and verdict.block]
        bannered = any(verdicts[d].banner for d in digests if d in verdicts)
        budget = Budget(sight.model, body)
        for block in blocks:
            budget.take(block)
        shared = set[int]()
        for place, digest in zip(places, digests, strict=True):
            if place.kind == TOGETHER and (held := verdicts.get(digest) or new.get(digest)) and held.block:
                shared |= _shared([place])
            if not place.new or digest in verdicts or digest in new or place.value.start in shared:
                continue
            if session.pinned:
                new[digest] = Verdict(session.pinned)
                continue
            try:
                known = ledger.drawn(block_digest(place.kind, place.text, sight))
                drawn = weighed(known) if known else draft(
                    place.kind, place.text, sight, self.read, ledger.has, (place.head, place.tail))  # fmt: skip
            except (Undrawable, StoreError) as error:
                new[digest] = Verdict(str(error))
                continue
            except Exception as error:  # whatever fails in setting or reading a page, the text goes up as it came
                new[digest] = Verdict(f"it could not be drawn: {type(error).__name__}")
                continue
            banner = 0 if bannered else caption_tokens(BANNER)
            if not (drawn.pays and drawn.tokens + banner < drawn.text_tokens):
                costs = f"its pages would cost {drawn.tokens:,} tokens, and the text {drawn.text_tokens:,}"
                new[digest] = Verdict(costs)
            elif not budget.take(drawn.block):
                new[digest] = Verdict("a request may not hold more pictures")
            else:
                new[digest] = Verdict("it costs less", drawn.block, not bannered)
                bannered = True
                shared |= _shared([place]) if place.kind == TOGETHER else set()
        return new

    def _old_turns(
        self, head: bytes, session: Session, sight: Sight | None, chosen: Sequence[tuple[Place, Verdict]],
        route: Route, body: Body, asked: Asked,
    ) -> tuple[list[tuple[Stretch, Verdict]], list[str]]:  # fmt: skip
        """The stretches of old turns that are pages, as they were decided, and one more at a jump that pays."""
        messages, verdicts = body.root.each("messages"), session.verdicts
        first, found = opening_of(messages), list[tuple[Stretch, Verdict]]()
        if first is None:
            return found, []
        kept = sorted((v for v in verdicts.values() if v.stop), key=lambda verdict: verdict.stop)
        for verdict in kept:
            old = stretch(body, messages, first, verdict.stop)
            if old is None or verdicts.get(old.digest) is not verdict or not verdict.block:
                break
            found.append((old, verdict))
            first = verdict.stop
        if sight is None or self.kinds != Draw.full or session.pinned or session.seen is None:
            return found, []
        stop = next_stop(messages, first, route.dialect == "messages" and loosened(body.root) is not None)
        new = None if stop is None else stretch(body, messages, first, stop)
        if new is None or new.digest in verdicts:
            return found, []
        prices = sight.model.prices_at()
        inside = [one for one in chosen if new.start <= one[0].value.start < new.end]
        whole = _sent_tokens(body, 0, len(body.text), chosen) - sum(len(o.text) // 4 for o, _ in found)
        as_text = _sent_tokens(body, new.start, new.end, inside)
        behind = _sent_tokens(body, new.end, len(body.text), [c for c in chosen if c[0].value.start >= new.end])
        kept_for = max((block.mark for block in asked.blocks), default=0) or CACHED[route.dialect == "messages"]
        cold = self.now() - session.seen > kept_for + SLACK
        if not (cold or is_near(prices, sight.model.window, whole)):
            return found, []
        try:
            drawn = draft("history", new.text, sight, self.read, self._sessions.ledger().has)
        except Undrawable as error:
            return found, [f"old turns: text, {error}"]
        cost = drawn.tokens + sum(map(len, new.words)) // 4 + caption_tokens(BANNER)
        turns = turns_to_pay(prices, cost * MARGIN, as_text, behind, whole, cold)
        if turns is None or turns > sum(m.words("role") == "assistant" for m in messages) / 2:
            return found, ["old turns: text, since pages would not pay in the turns that are to be expected"]
        budget = Budget(sight.model, body)
        others = [v.block for _, v in found] + [v.block for p, v in chosen if not new.start <= p.value.start < new.end]
        if not all(budget.take(block) for block in [*filter(None, others), drawn.block]):
            return found, ["old turns: text, since a request may not hold more pictures"]
        verdict = Verdict("it pays", drawn.block, not any(v.banner for _, v in found), new.stop)
        verdict = self._sessions.keep(head, asked.session, session, {new.digest: verdict}, self.now())[new.digest]
        said = f"old turns: {new.stop - new.first} messages, pages: {len(drawn.block.pages)}"
        return [*found, (new, verdict)], [said]

    def _drawing_of(
        self, route: Route, body: Body, model: HostedModel, chosen: Sequence[tuple[Place, Verdict]],
        old: Sequence[tuple[Stretch, Verdict]], reasons: list[str],
    ) -> Drawing:  # fmt: skip
        edits, every = Edits(route.dialect, body), list[bytes]()
        pictures, told = pictures_in(body.root), _is_told(body)
        every_place: list[tuple[Place | Stretch, Verdict]] = [*old, *chosen]
        for place, verdict in every_place:
            block = verdict.block
            assert block is not None
            captions = [page.caption for page in block.pages]
            if verdict.banner:
                captions[0] = BANNER + captions[0]
            grades = [_grade(model, page.tokens, told) if route.graded else None for page in block.pages]
            pages = list(zip(captions, [page.png for page in block.pages], grades, strict=True))
            tokens = sum(page.tokens for page in block.pages) + sum(map(len, captions)) // 4
            if isinstance(place, Stretch):
                said = "".join(f"\nThe user said: {words}" for words in place.words)
                edits.collapse(place.start, place.end, f"{NOTE}{said}", pages, tokens + len(said) // 4)
            else:
                names = f"{block.name}-1" + (f" to {block.name}-{len(pages)}" if len(pages) > 1 else "")
                edits.put(place, pages, NOTES[place.kind].format(names), tokens)
            every += [page.png for page in block.pages]
            pictures += [(page.width, page.height, len(page.png)) for page in block.pages]
        if every and (why := model.limits.refusal(pictures, len(body.text))):
            return Drawing(reasons=(f"text: with its pages the request would have {why}",))
        replacements, weights = edits.drawing()
        loose = loosened(body.root) if old and route.dialect == "messages" and has_thoughts(body.root) else None
        if loose is not None:
            both = sorted([*zip(replacements, weights, strict=True), (loose, (0, 0))])
            replacements, weights = tuple(one for one, _ in both), tuple(weight for _, weight in both)
        betas = (BINDING,) if loose is not None else ()
        return Drawing(replacements, weights, tuple(every), tuple(reasons), betas)


def _is_told(body: Body) -> bool:
    """Whether a request to Gemini says in which resolution all pictures are seen that say none of their own."""
    ways = (("generationConfig", "mediaResolution"), ("generation_config", "media_resolution"))
    return any(body.root.at(*way) is not None for way in ways)


def _grade(model: HostedModel, tokens: int, told: bool) -> str | None:
    """The resolution in which a page of such a price is to be seen; None where that is the usual one, unless the
    request is `told` another for all pictures."""
    grades = model.pictures.grades
    found = next((name for name, one in grades.items() if one.most + model.pictures.around == tokens), None)
    return None if found == next(reversed(grades), None) and not told else found


def _outside(
    old: Sequence[tuple[Stretch, Verdict]], chosen: Sequence[tuple[Place, Verdict]]
) -> list[tuple[Place, Verdict]]:
    """The places that do not stand in old turns which are pages as a whole."""
    return [one for one in chosen if not any(o.start <= one[0].value.start < o.end for o, _ in old)]


def _shared(places: Iterable[Place]) -> set[int]:
    """Where the strings begin of results that share pages with others."""
    return {stub.value.start for place in places if place.kind == TOGETHER for stub in place.stubs}


def _sent_tokens(body: Body, start: int, end: int, chosen: Sequence[tuple[Place, Verdict]]) -> float:
    """About how many tokens what stands between two characters of a body has as it is sent."""
    tokens = (end - start) / 4
    for place, verdict in chosen:
        if verdict.block is not None:
            tokens += weighed(verdict.block).tokens - len(place.text) / 4
    return tokens


def _head(route: Route, body: Body, model: str) -> bytes:
    """Names a session by the head of its conversation, and the model that reads it."""
    seed = f"{route.dialect}\0{plain_name(model)}\0".encode("utf-8", "surrogatepass")
    return hashlib.sha256(seed + to_bytes(opening(route.dialect, body))).digest()[:16]


def _digest(place: Place) -> bytes:
    return hashlib.sha256(f"{place.kind}\0".encode() + to_bytes(place.text)).digest()


def _said(place: Place, verdict: Verdict) -> str:
    what = f"{place.kind} of {len(place.text):,} characters"
    if verdict.block is None:
        return f"{what}: text, {verdict.reason}"
    pages = verdict.block.pages
    return f"{what}: {len(pages)} page{'s' * (len(pages) > 1)}, {sum(page.tokens for page in pages):,} tokens"
