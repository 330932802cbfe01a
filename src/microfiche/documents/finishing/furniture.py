"""Running heads, running feet and page numbers: what stands at the edge of pages and is no text of theirs.

A line at the top or at the foot is furniture if the same words stand in the same place on other pages near it, or if
only its page number differs there and rises with the pages; one and the same number, where it stands so on four pages.
A page alone shows it only where a page number, with or without words, or its own title once more stands by itself at
the edge of a full page. What an engine says about a line does not count.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from rapidfuzz.distance import Levenshtein

from microfiche.documents.document import Kind, PageRead
from microfiche.documents.finishing.edges import BANDS, LARGE, NUMBER, SIGN, EdgeLine, cut, edge_lines, letters_of
from microfiche.documents.finishing.lone_page import BEFORE, HEADING_WORD, PAGE_WORD, furniture_of, page_number

SHORT = 120  #: characters of a line that is one indeed, not a paragraph
MOST = 200  #: lines that repeat, among which a misread one is looked for
VERY_EDGE = 0.12  #: of the page's height, from its edge: within which a line on two pages stands
SAME_PLACE = 0.025  #: of the page's height, by which a line may be higher or lower on another page
CLOSE = 0.03  #: of the page's height between two rows of furniture that are not at the very edge, at most
NEAR = 4  #: pages between two with the same line, at most
#: Of the pages, those on which a large title repeats that is furniture, and how many these, or those with one and the
#: same number, are.
NEARLY_ALL, FORM = 0.8, 4
COPIES = 0.5  #: of a page's text that stands on another page as well: then the two are copies of one form
LABELLED = re.compile(
    rf"^\W*(?:(?:{HEADING_WORD.pattern})\W+)?(?:\d{{1,3}}(?:\.\d{{1,3}})*|[ivxlc]{{1,6}}|[a-z])(?:\\?[.:)])?\s+"
)


def marked(pages: Sequence[PageRead]) -> list[PageRead]:
    """The pages, with the kind header or footer for each block that is furniture, and for no other."""
    pages = cut([_unmarked(page) for page in pages])
    lines = [line for index, page in enumerate(pages) for line in edge_lines(index, page)]
    if len({line.page for line in lines}) < 2:
        furniture = furniture_of(lines, pages[0]) if len(pages) == 1 else []
    else:
        _count(lines)
        furniture = _peeled(_repeated(lines, pages), lines)
    kinds: dict[tuple[int, int], Kind] = {
        (line.page, line.place): "header" if line.top else "footer" for line in furniture
    }
    touched = {index for index, _ in kinds}
    return [
        page.model_copy(update={"blocks": [
            block.model_copy(update={"kind": kinds[index, place]}) if (index, place) in kinds else block
            for place, block in enumerate(page.blocks)
        ]})
        if index in touched else page
        for index, page in enumerate(pages)
    ]


def _unmarked(page: PageRead) -> PageRead:
    """The page with what an engine, or an earlier run, took for furniture as the text or title that it may be."""
    if not any(block.kind in ("header", "footer") for block in page.blocks):
        return page
    return page.model_copy(update={"blocks": [
        block.model_copy(update={"kind": "title" if block.size else "text"})
        if block.kind in ("header", "footer") else block
        for block in page.blocks
    ]})


def _count(lines: Sequence[EdgeLine]) -> None:
    """Finds the page number in each line: a number that, in lines alike on pages near, rises by one (or, with two
    pages on a sheet, by two) from page to page."""
    alike: dict[tuple[str, bool], list[EdgeLine]] = defaultdict(list)
    for line in lines:
        alike[line.folded, line.top].append(line)
    for group in alike.values():
        around = _around(group, 2 * NEAR)
        for line in group:
            rising = [
                slot for slot, value in enumerate(line.values)
                if any(_rises(line, other, slot, value) for other in around[line.page])
            ]
            parts = line.folded.split(SIGN)
            numbers = NUMBER.findall(line.words)
            shown = [SIGN if k in rising else number for k, number in enumerate(numbers)]
            line.key = "".join(x for pair in zip(parts, [*shown, ""], strict=True) for x in pair)
            line.rising = tuple(rising)


def _around(group: Sequence[EdgeLine], reach: int) -> dict[int, list[EdgeLine]]:
    """For each page of a group of lines, those of the group on other pages that are `reach` pages away at most."""
    on: dict[int, list[EdgeLine]] = defaultdict(list)
    for line in group:
        on[line.page].append(line)
    return {
        page: [line for k in range(page - reach, page + reach + 1) if k != page for line in on.get(k, ())]
        for page in list(on)
    }


def _rises(line: EdgeLine, other: EdgeLine, slot: int, value: int) -> bool:
    apart = other.number - line.number
    return apart != 0 and other.values[slot] - value in (apart, 2 * apart) and other.values[slot] > 0


def _repeated(lines: Sequence[EdgeLine], pages: Sequence[PageRead]) -> list[EdgeLine]:
    """The lines that repeat, wherever at the edge they stand; of a large title, all but the first."""
    found: list[EdgeLine] = []
    groups: dict[tuple[str, bool], list[EdgeLine]] = defaultdict(list)
    for line in lines:
        groups[line.key, line.top].append(line)
    _join_noisy(groups)
    copies = _copies(lines, pages)
    counted = {line.page for line in lines if line.counts}  # copies of a form do not count their pages
    for group in groups.values():
        around = _around(group, NEAR)
        for line in group:
            line.near = [
                other for other in around[line.page]
                if _alike(line, other)
                and (
                    line.counts or (pair := frozenset((line.page, other.page))) not in copies
                    or (pair <= counted and len(line.words) < SHORT)
                )
            ]
        its = [line for line in group if _furniture(line, len(pages))]
        large = [line for line in its if line.large and _wordy(line)]
        if large and len({line.page for line in large}) < max(FORM, NEARLY_ALL * len(pages)):
            its = [line for line in its if not (line.large and _wordy(line))]
        elif large:
            its.remove(min(large, key=lambda line: line.page))
        found += its
    first = [line for line in found if line.page == 0 and line.block.kind == "title" and _wordy(line)]
    if first and not any(b.kind == "title" and all(b is not x.block for x in first) for b in pages[0].blocks):
        found.remove(first[0])  # the title of the document, which is its running head as well
    found += _numbered(found, lines)
    found += _counting(found, lines, pages)
    return found + _named(found, lines, pages)


def _numbered(found: Sequence[EdgeLine], lines: Sequence[EdgeLine]) -> list[EdgeLine]:
    """Further lines that begin or end with the number of their page, where the lines `found` have theirs, though the
    words beside it are not repeated."""
    counted = [line for line in found if line.counts]
    offsets = {line.values[slot] - line.number for line in counted for slot in line.rising}
    have = {line.page for line in counted}
    more = []
    for line in lines:
        numbers = list(NUMBER.finditer(line.words))
        if line.page in have or not numbers or line.band or line.edge >= VERY_EDGE or line.large:
            continue
        ends = [k for k, at in enumerate(numbers) if at.start() <= 1 or at.end() >= len(line.words) - 1]
        if not any(line.values[k] - line.number in offsets for k in ends):
            continue
        before = BEFORE.search(line.folded)
        labelled = before is not None and HEADING_WORD.fullmatch(before[1])
        beside = [x for x in counted if x.top == line.top and abs(x.middle - line.middle) <= SAME_PLACE]
        if not any(c.isalpha() for c in line.folded) or (len(beside) >= 2 and not labelled and len(line.words) < 100):
            more.append(line)
    return more


def _counting(found: Sequence[EdgeLine], lines: Sequence[EdgeLine], pages: Sequence[PageRead]) -> list[EdgeLine]:
    """Further lines that each would be furniture on a page alone, as they begin or end with a page number, and that
    count the pages: running heads whose words differ on left and right pages, or from page to page."""
    chosen = {id(line) for line in found}
    left = [line for line in lines if id(line) not in chosen and line.band == 0 and any(map(str.isalpha, line.words))]
    numbers = [(line, *number) for line in left if (number := page_number(line, pages[line.page]))]
    return [
        line for line, number, last in numbers
        if any(
            (last or also_last)  # lines that all begin with their numbers are titles
            and other.top == line.top and abs(other.middle - line.middle) <= SAME_PLACE
            and 0 < abs(other.number - line.number) <= NEAR and its - number == other.number - line.number
            for other, its, also_last in numbers
        )
    ]


def _named(found: Sequence[EdgeLine], lines: Sequence[EdgeLine], pages: Sequence[PageRead]) -> list[EdgeLine]:
    """Further lines in one place at the very edge whose words are those of titles of the document: of a chapter, of a
    section, or of both side by side."""
    titles = Counter(
        name for page in pages for block in page.blocks if block.kind == "title"
        for name in {letters_of(block.text), letters_of(LABELLED.sub("", block.text.casefold()))} if name
    )

    def known(words: str, own: bool) -> bool:
        names = (letters_of(words), letters_of(LABELLED.sub("", words)))
        return not words or any(titles[name] > own for name in names if name)

    chosen = {id(line) for line in found}
    more = []
    for line in lines:
        own = line.block.kind == "title"
        large = line.large or (own and (line.block.size or 1) >= 1.1)
        if id(line) in chosen or line.band or line.edge >= VERY_EDGE or large or len(line.words) > 200:
            continue
        words = line.words.split()
        if any(known(" ".join(words[:k]), own) and known(" ".join(words[k:]), own) for k in range(len(words))):
            more.append(line)
    return [
        line for line in more
        if any(x.page != line.page and x.top == line.top and abs(x.middle - line.middle) <= SAME_PLACE for x in more)
    ]


def _alike(line: EdgeLine, other: EdgeLine) -> bool:
    """Whether two lines of the same words stand in the same place, in type of about the same size."""
    if _bare(line):
        return line.large == other.large
    high, low = max(line.height, other.height), min(line.height, other.height)
    return abs(line.middle - other.middle) <= SAME_PLACE and high < 1.6 * low + 0.004


def _wordy(line: EdgeLine) -> bool:
    return any(c.isalpha() for c in line.key)


def _bare(line: EdgeLine) -> bool:
    """Whether a line is a page number, with words that go with page numbers at most."""
    words = re.findall(r"[^\W\d_]+", line.key)
    return line.counts and all(PAGE_WORD.fullmatch(word) for word in words)


def _says_page(line: EdgeLine) -> bool:
    """Whether a line is a page number that says so ("page 1 of 2"), with nothing between it and the edge."""
    return line.band == 0 and _bare(line) and any(map(str.isalpha, line.words))


def _furniture(line: EdgeLine, pages: int) -> bool:
    """Whether a line is furniture by those like it on pages near."""
    if not line.near:
        return False
    together = {line.page, *(other.page for other in line.near)}
    if _bare(line):
        if line.large or (line.block.kind == "title" and (line.block.size or 0) >= LARGE):
            return False
        years = max(line.values) >= 1000 and len(together) < 4
        return not years and (line.edge < VERY_EDGE or _says_page(line) or len(together) >= 3)
    if not _wordy(line):  # the same year or number on each page, by itself at the very edge
        alone = line.words.strip("-–— ").isdigit() and line.band == 0 and not line.large
        return alone and line.edge < VERY_EDGE and len(together) >= FORM
    if line.counts:
        before = BEFORE.search(line.key)
        paged = before is not None and PAGE_WORD.fullmatch(before[1])
        if not paged and (line.large or (before and HEADING_WORD.fullmatch(before[1]))):
            return False
        if not paged and len(re.findall(r"[^\W\d_]+", line.key)) == 1 and len(together) < 5:
            return False
    if len(together) == 2 and line.words[-1] in ",;:":
        return False  # how a letter begins
    if len(together) == 2 and pages > 2:
        near = min(abs(other.page - line.page) for other in line.near)
        return line.edge < VERY_EDGE and near <= 2 and line.block.kind != "title"
    return line.edge < VERY_EDGE or len(together) >= 3


def _join_noisy(groups: dict[tuple[str, bool], list[EdgeLine]]) -> None:
    """Adds each line that OCR read once, with an error or two, to the group of lines that it is one of."""
    common = sorted((key for key, group in groups.items() if len(group) >= 2), key=lambda key: -len(groups[key]))[:MOST]
    for key in [key for key, group in groups.items() if len(group) == 1 and group[0].noisy and len(key[0]) >= 8]:
        line = groups[key][0]
        for other in common:
            if other[1] == key[1] and other != key and _misread(line.words, groups[other]):
                line.rising = groups[other][0].rising
                groups[other].append(line)
                del groups[key]
                break


def _misread(words: str, group: Sequence[EdgeLine]) -> bool:
    """Whether `words` are those of a line of the group, read with few errors: no short word and no number differs but
    the page number."""
    for other in group[:3]:
        if Levenshtein.normalized_distance(words, other.words, score_cutoff=0.15) > 0.15:
            continue
        ours, theirs = re.findall(r"[^\W\d_]+", words), re.findall(r"[^\W\d_]+", other.words)
        if len(ours) != len(theirs):
            return "".join(ours) == "".join(theirs)
        return all(
            a == b or (min(len(a), len(b)) >= 4 and Levenshtein.normalized_distance(a, b) <= 0.34)
            for a, b in zip(ours, theirs, strict=True)
        ) and (other.counts or re.findall(r"\d+", words) == re.findall(r"\d+", other.words))
    return False


def _copies(lines: Sequence[EdgeLine], pages: Sequence[PageRead]) -> set[frozenset[int]]:
    """The pairs of pages that are copies of one form: most of their text is the same."""
    wanted = {line.page for line in lines}
    texts = [
        {
            " ".join(block.text.split()): len(block.text) for block in page.blocks
            if block.text and block.box and VERY_EDGE < (block.box[1] + block.box[3]) / 2 / page.height < 1 - VERY_EDGE
        } if i in wanted else {}
        for i, page in enumerate(pages)
    ]
    found = set()
    for i, first in enumerate(texts):
        for j in range(i + 1, min(len(texts), i + NEAR + 1)):
            second = texts[j]
            same = sum(n for text, n in first.items() if text in second)
            if same > COPIES * max(1, min(sum(first.values()), sum(second.values()))):
                found.add(frozenset((i, j)))
    return found


def _peeled(furniture: Iterable[EdgeLine], lines: Sequence[EdgeLine]) -> list[EdgeLine]:
    """Of lines that repeat, those with nothing but such lines between them and the edge."""
    chosen = {(line.page, line.place) for line in furniture}
    bands: dict[tuple[int, bool], dict[int, list[EdgeLine]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        bands[line.page, line.top][line.band].append(line)
    out = []
    for its in bands.values():
        inner = 0.0  # how far from the edge the furniture reaches
        for band in range(BANDS):
            kept = [line for line in its.get(band, []) if (line.page, line.place) in chosen]
            kept = [
                line for line in kept
                if line.edge < VERY_EDGE or line.edge - line.height / 2 - inner < CLOSE or _says_page(line)
            ]
            if not kept:
                break
            inner = max(line.edge + line.height / 2 for line in kept)
            out += kept
    return out
