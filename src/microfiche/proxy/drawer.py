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
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from microfiche.errors import InputError, StoreError
from microfiche.memory.models import HostedModel, hosted, plain_name
from microfiche.memory.paper import to_bytes
from microfiche.proxy.budget import Budget
from microfiche.proxy.edits import Edits
from microfiche.proxy.exchange import LEDGER, Drawing
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
    told_by,
    weighed,
)
from microfiche.proxy.places import Place, first_answer, opening, places_in
from microfiche.proxy.protocols import Asked, Route
from microfiche.proxy.secret import asks
from microfiche.proxy.sessions import Session, Sessions, Talk
from microfiche.proxy.sight import Sight, sight_of
from microfiche.proxy.slab import slab_in
from microfiche.proxy.splice import Body, Replacement
from microfiche.proxy.verdict import Draw, Verdict

CACHED = (1800, 300)  #: seconds for which a cache keeps a prompt without marks, and Anthropic's one with short marks
LOOSE = b"thoughts"  #: what notes of a session that its thoughts may be bound to pages that are text now
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
        self._told = ""

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
        talk, model = talk_of(route, body, asked), hosted(asked.model)
        old, before = list[tuple[Stretch, Verdict]](), set[bytes]()
        try:
            session = self._sessions.at(talk, self.now())
            chosen, reasons = self._chosen(talk, session, sight, _told_apart(places, session.verdicts), body)
            every = chosen
            if route.dialect in DIALECTS:
                before = set(session.verdicts)
                old, more = self._old_turns(talk, session, sight, chosen, route, body, asked)
                reasons += more
                chosen = _outside(old, every)
            session.seen = self.now()
        except StoreError as error:
            return Drawing(reasons=(f"text: {error if sight else known}", *self._trouble()))
        reasons = [f"pages: {known}", *reasons] if chosen or old else reasons
        if sight is None:
            reasons = [f"text: {known}"]  # but for what was drawn before
        loose = loosened(body.root) if route.dialect == "messages" and has_thoughts(body.root) else None
        reasons += self._trouble()
        drawing = self._drawing_of(route, body, model, chosen, old, reasons)
        if loose is not None and (old or LOOSE in session.verdicts):
            drawing = _loose(drawing, loose)
        if not drawing.pages:
            return drawing
        drawn = {place.digest for place, _ in chosen} | {turns.digest for turns, _ in old}
        instead = None
        if not has_thoughts(body.root):
            instead = Drawing(taken=partial(self._sessions.refuse, talk, drawn))
        elif loose is not None:
            instead = replace(_loose(Drawing(), loose), taken=partial(self._sessions.refuse, talk, drawn | {LOOSE}))
        older = [one for one in old if one[0].digest in before]
        answered = [one for one in _outside(older, every) if not one[0].new]
        new = drawn - {place.digest for place, _ in answered} - {turns.digest for turns, _ in older}
        if new and (answered or older):
            kept = self._drawing_of(route, body, model, answered, older, reasons)
            kept = _loose(kept, loose) if loose is not None and (older or LOOSE in session.verdicts) else kept
            instead = replace(kept, instead=instead, taken=partial(self._sessions.refuse, talk, new))
        elif new:
            instead = Drawing(taken=partial(self._sessions.refuse, talk, new))
        return replace(drawing, fresh=bool(new), instead=instead)

    def _trouble(self) -> list[str]:
        """What is wrong with the ledger, once for each time that it begins."""
        trouble, before = self._sessions.trouble, self._told
        self._told = trouble
        return [f"{LEDGER}{trouble}"] if trouble and trouble != before else []

    def flush(self) -> None:
        """Waits until all that is to be kept is kept."""
        self._sessions.flush()

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
        self, talk: Talk, session: Session, sight: Sight | None, places: Sequence[Place], body: Body
    ) -> tuple[list[tuple[Place, Verdict]], list[str]]:
        """The places that become pages, each with its verdict, and the reasons for all that is new."""
        reasons: list[str] = []
        if sight is not None and any(place.new and place.digest not in session.verdicts for place in places):
            try:
                with self._drawing:
                    session = self._sessions.at(talk, self.now())  # another request may have been first
                    new = self._decided(session, sight, places, body)
                    kept = self._sessions.keep(talk, session, new, self.now()) if new else {}
                by_digest = {place.digest: place for place in places}
                reasons = [_said(by_digest[digest], verdict) for digest, verdict in kept.items()]
            except StoreError as error:  # what is new goes up as text, and what was drawn before as it was
                reasons = [f"text: {error}"]
        both = [(place, session.verdicts.get(place.digest)) for place in places]
        drawn = [(place, verdict) for place, verdict in both if verdict is not None and verdict.block]
        shared = _shared(place for place, _ in drawn)
        return [one for one in drawn if one[0].value.start not in shared or one[0].stubs], reasons

    def _decided(
        self, session: Session, sight: Sight, places: Sequence[Place], body: Body
    ) -> dict[bytes, Verdict]:
        """The verdicts on all that is new and has none."""
        ledger, verdicts, new = self._sessions.ledger(), session.verdicts, dict[bytes, Verdict]()
        held = [verdict for place in places if (verdict := verdicts.get(place.digest))]
        held += [verdict for verdict in verdicts.values() if verdict.stop]
        bannered = any(verdict.banner for verdict in held)
        budget = Budget(sight.model, body, [verdict.block for verdict in held if verdict.block])
        shared = set[int]()
        for place in places:
            digest = place.digest
            if place.kind == TOGETHER and (drawn_so := verdicts.get(digest) or new.get(digest)) and drawn_so.block:
                shared |= _shared([place])
            if not place.new or digest in verdicts or digest in new or place.value.start in shared:
                continue
            if session.pinned:
                new[digest] = Verdict(session.pinned)
                continue
            if asks(place.asked):
                new[digest] = Verdict("the call that it answers asks for a secret")
                continue
            try:
                known = ledger.drawn(block_digest(place.kind, place.text, sight, place.around))
                drawn = weighed(known) if known else draft(
                    place.kind, place.text, sight, self.read, ledger.has, place.around)  # fmt: skip
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
        self, talk: Talk, session: Session, sight: Sight | None, chosen: Sequence[tuple[Place, Verdict]],
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
            drawn = draft("history", new.text, sight, self.read, self._sessions.ledger().has, new.around, new.secret)
        except Undrawable as error:
            return found, [f"old turns: text, {error}"]
        cost = drawn.tokens + sum(map(len, new.words)) // 4 + caption_tokens(BANNER)
        turns = turns_to_pay(prices, cost * MARGIN, as_text, behind, whole, cold)
        if turns is None or turns > sum(m.words("role") == "assistant" for m in messages) / 2:
            return found, ["old turns: text, since pages would not pay in the turns that are to be expected"]
        others = [v.block for _, v in found] + [v.block for p, v in chosen if not new.start <= p.value.start < new.end]
        if not Budget(sight.model, body, [*filter(None, others)]).take(drawn.block):
            return found, ["old turns: text, since a request may not hold more pictures"]
        verdict = Verdict("it pays", drawn.block, not any(v.banner for _, v in found), new.stop)
        verdict = self._sessions.keep(talk, session, {new.digest: verdict}, self.now())[new.digest]
        said = f"old turns: {new.stop - new.first} messages, pages: {len(drawn.block.pages)}"
        return [*found, (new, verdict)], [said]

    def _drawing_of(
        self, route: Route, body: Body, model: HostedModel, chosen: Sequence[tuple[Place, Verdict]],
        old: Sequence[tuple[Stretch, Verdict]], reasons: list[str],
    ) -> Drawing:  # fmt: skip
        edits, every = Edits(route.dialect, body), list[bytes]()
        told = _is_told(body)
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
                said = "".join(f"\n{words}" for words in place.words)
                note = f"{NOTE[:-1]} Who speaks there begins with [{place.mark}…]" if place.mark else NOTE
                edits.collapse(place.start, place.end, f"{note}{said}", pages, tokens + len(said) // 4)
            else:
                names = f"{block.name}-1" + (f" to {block.name}-{len(pages)}" if len(pages) > 1 else "")
                edits.put(place, pages, NOTES[place.kind].format(names), tokens)
            every += [page.png for page in block.pages]
        return Drawing(*edits.drawing(), tuple(every), tuple(reasons))


def _loose(drawing: Drawing, loose: Replacement) -> Drawing:
    """The same, with what has thoughts dropped whose pages are no longer there."""
    both = sorted([*zip(drawing.replacements, drawing.weights, strict=True), (loose, (0, 0))])
    replacements, weights = tuple(one for one, _ in both), tuple(weight for _, weight in both)
    return replace(drawing, replacements=replacements, weights=weights, betas=(BINDING,))


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


def talk_of(route: Route, body: Body, asked: Asked) -> Talk:
    """What the conversation of a request is known by: how it opens, and the model that reads it, or what it goes on
    from, where the provider holds the rest."""
    seed = f"{route.dialect}\0{plain_name(asked.model)}\0"
    if asked.follows is not None:
        head = _hashed(f"{seed}follows\0{asked.session if asked.named else asked.follows}")
        return Talk(head, head, None, asked.session)
    head, answer = _hashed(seed + opening(route.dialect, body)), first_answer(route.dialect, body.root)
    own = None if answer is None else _hashed(f"{head.hex()}answer\0{answer}")
    return Talk(head, _hashed(f"{head.hex()}name\0{asked.session}"), own, asked.session)


def _hashed(text: str) -> bytes:
    return hashlib.sha256(to_bytes(text)).digest()[:16]


def _told_apart(places: Iterable[Place], verdicts: Mapping[bytes, Verdict]) -> list[Place]:
    """Places with their digests: by their kind, their text, the call that they answer, what around them calls something
    in them secret, and how often all of that stood before. Ledgers of before had no calls in theirs."""
    seen, found = Counter[bytes](), list[Place]()
    for place in places:
        text, call = to_bytes(place.text), to_bytes(place.call)
        alone = hashlib.sha256(f"{place.kind}\0".encode() + text).digest()
        context = to_bytes(told_by(place.text, place.around))
        parts = (alone, call, context) if context else (alone, call)
        digest = hashlib.sha256(b"\0".join(parts)).digest() if call or context else alone
        seen[digest] += 1
        if (times := seen[digest]) > 1:
            digest = hashlib.sha256(digest + str(times).encode()).digest()
        if not place.new and digest not in verdicts and alone in verdicts and not context:
            digest = alone
        found.append(replace(place, digest=digest))
    return found


def _said(place: Place, verdict: Verdict) -> str:
    what = f"{place.kind} of {len(place.text):,} characters"
    if verdict.block is None:
        return f"{what}: text, {verdict.reason}"
    pages = verdict.block.pages
    return f"{what}: {len(pages)} page{'s' * (len(pages) > 1)}, {sum(page.tokens for page in pages):,} tokens"
