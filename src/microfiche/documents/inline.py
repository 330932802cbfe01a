"""Marks within a line of text: raised and lowered signs, text struck out, links, formulas; and their Markdown.

Until a block is done, its text is plain and its marks are noncharacters (Unicode 23.7), which no document can hold:
`text_lines` takes them out of whatever comes in. So lines can be joined, divided and compared, and only `markdown`,
`cell` and `html` write marks, and escape the rest. What begins a block (a #, a list's marker) is escaped where the
block is written, by `opened`.

Rules: CommonMark 0.31.2, GitHub's tables, strikethrough and formulas, and Python-Markdown's escapes.
"""

from __future__ import annotations

import html as entities
import re
import unicodedata

RAISED = ("\ufdd0", "\ufdd1")  #: begins and ends a superscript
LOWERED = ("\ufdd2", "\ufdd3")  #: begins and ends a subscript
STRUCK = ("\ufdd4", "\ufdd5")  #: begins and ends text that is struck out
LINK = ("\ufdd6", "\ufdd7", "\ufdd8")  #: begins a link's words, divides them from its address, ends it
FORMULA = ("\ufdd9", "\ufdda")  #: begins and ends LaTeX
BREAK = "\ufddb"  #: a line end that stays one, as in an address or in code
NONCHARACTERS = re.compile("[\ufdd0-\ufdef]")
LINKED = re.compile(f"{LINK[0]}([^{LINK[0]}{LINK[1]}]*){LINK[1]}([^{LINK[0]}{LINK[2]}]*){LINK[2]}")
FORMULAS = re.compile(f"{FORMULA[0]}([^{FORMULA[1]}]*){FORMULA[1]}")
STRUCK_OUT = re.compile(f"{STRUCK[0]}([^{STRUCK[1]}]*){STRUCK[1]}")
SAFE = ("http://", "https://", "mailto:")  #: how the address of a link begins
LAST_LINK = re.compile(f"{LINKED.pattern}$")
SCHEME = re.compile("^(?:https?|mailto)")
LONGEST = 300  #: characters of an address that goes on in the next line, at most
CUT = ":/.?&=_#\u00ad"  #: what such an address ends with
BEGUN = re.compile(rf"(?:https?:|(?:https?://|\bwww\.)[^\s\ufdd0-\ufdef]*[{CUT[1:]}])$")
#: Begins a word that an address may go on with.
REST = re.compile(r"(?=[\w%~?#])(?=\S*[A-Za-z])\S*?(?:\w[\w-]\.\w|[/=_~#%]\w|\w/)")
SHY = "\u00ad"
TAGS = {RAISED: ("<sup>", "</sup>"), LOWERED: ("<sub>", "</sub>"), STRUCK: ("<del>", "</del>")}

# Characters that are not seen, and those that turn the order of what is seen, which only right-to-left text needs.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e007a]+\U000e007f")
LINE_ENDS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u2066\u2067\u2068\u2069"
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc\U00010800-\U00010fff]")

MARKUP = re.compile(r"[\\`*_~<&\]\[{$\n\t]|" + NONCHARACTERS.pattern)
ENTITY = r"&(?=#[0-9]{1,7};|#[xX][0-9a-fA-F]{1,6};|[A-Za-z][A-Za-z0-9]{0,31};)"
HTML = r"<(?=[A-Za-z/!?]|[^\s<>]{1,300}@)"  #: begins an element, a comment or a link
ATTRIBUTES = r"\{(?=[^{}]{0,300}=)"  #: begins attributes in Python-Markdown
ALWAYS = re.compile(
    rf"\\(?=[!-/:-@\[-`{{-~\ufdd0-\ufdef]|\s*(?:$|{BREAK}))|{HTML}|{ATTRIBUTES}|{ENTITY}|(?<=\])\(|!(?={LINK[0]})"
)
ENTITIES = {"<": "&lt;", "&": "&amp;"}  #: a backslash before these does not count in Python-Markdown
DELIMITERS = re.compile(r"(?P<sign>[*_~`])(?P=sign)*")
MATH = re.compile(r"(?<![\\$\w])\$(?![\s$])((?:[^$\\\n]|\\.)+?)(?<!\s)\$(?![\w$])", re.DOTALL)
HEADED = re.compile(r"#{1,6}(?=\s|$)|>|[-+*](?=\s|$)")
FENCE = re.compile(r"`{3,}|~{3,}")
UNDERLINE = re.compile(r"[-|:=\s]+$")  #: under a line, makes it a title or the head of a table
RULED = re.compile(r"([-_*+])(?:[ \t]*\1){2,}[ \t]*$")
COUNTED = re.compile(r"(\d{1,9})([.)])(?=\s|$)")
DEFINED = re.compile(r"\[(?:[^\[\]\\]|\\.)*\]:", re.DOTALL)


def marked(text: str, mark: tuple[str, str]) -> str:
    """The text between the two signs of a mark; an empty text stays empty."""
    return f"{mark[0]}{text}{mark[1]}" if text else text


def linked(text: str, address: str) -> str:
    """The text as the words of a link to `address`."""
    return f"{LINK[0]}{text}{LINK[1]}{address}{LINK[2]}"


def names(words: str, target: str) -> bool:
    """Whether the words of a link are its address, written out, but for signs."""
    return bool(_bare(words)) and _bare(target) == _bare(words)


def continued(text: str, line: str) -> str | None:
    """`text` with the `line` below it, where a link or an address goes on from the one to the other; None if neither
    does."""
    word = line.split(maxsplit=1)[0] if line.strip() else ""
    over = LAST_LINK.search(text) if text.endswith(LINK[2]) else None
    if over is None:
        begun = BEGUN.search(text[-LONGEST:]) if text[-1:] in CUT else None
        if begun is None or NONCHARACTERS.search(word):
            return None
        if text.endswith(SHY):
            return f"{text[:-1]}-{line}"
        on = word.startswith("//") if begun[0].endswith(":") else REST.match(word)
        return text + line if on or ("doi.org/" in begun[0] and word.strip(".,;)").isdigit()) else None
    under = LINKED.match(line)
    words, target = over[1], over[2]
    word = under[1] if under else word.rstrip(".,;:)")
    if not word.strip() or (under[2] != target if under else not names(words + word, target)):
        return None
    rest = line[under.end() if under else len(word) :]
    if _bare((words.split() or [""])[-1] + word.split()[0]) in _bare(target):
        whole = words.replace(SHY, "-") + word
        if whole.rsplit(maxsplit=1)[-1] not in target:
            whole = words.rstrip(SHY) + word
        return text[: over.start()] + (whole if names(whole, target) else linked(whole, target)) + rest
    between = "" if words.endswith((SHY, "-")) else " "
    return text[: over.start()] + linked(f"{words}{between}{word}", target) + rest


def _bare(address: str) -> str:
    return re.sub(r"[^\w.]", "", SCHEME.sub("", address))


def unmarked(text: str) -> str:
    """The text as it is seen: without marks and without the addresses of links."""
    return NONCHARACTERS.sub("", LINKED.sub(r"\1", text.replace(BREAK, "\n")))


def visible(text: str) -> str:
    """The text without control characters and others that are not seen.

    Line and paragraph separators become line ends. Signs that turn the direction of text stay only in a text with
    right-to-left letters, and only if each that begins a turn has its end; overrides go everywhere.
    """
    if not UNSEEN.search(text):
        return text
    turning = ""
    if RIGHT_TO_LEFT.search(text):
        begun = sum(text.count(c) for c in "\u202a\u202b\u2066\u2067\u2068")
        ended = text.count("\u202c") + text.count("\u2069")
        turning = TURNING if begun == ended else TURNING[:3]
    flags = {i for flag in FLAG.finditer(text) for i in range(*flag.span())}

    def kept(match: re.Match[str]) -> str:
        sign = match[0]
        if sign in turning or match.start() in flags:
            return sign
        return "\n" if sign in LINE_ENDS else ""

    return UNSEEN.sub(kept, text.replace("\r\n", "\n").replace("\r", "\n"))


def markdown(text: str) -> str:
    """Plain text with marks as Markdown within a paragraph.

    What would be taken for markup is escaped, and only that; links go to http, https and mailto alone. Raised and
    lowered text is written as sup and sub, struck text as ~~, LaTeX between dollars, BREAK as a line end of Markdown.
    """
    text = visible(text)
    if not MARKUP.search(text):
        return text
    text = _sound(re.sub(r"[\n\t]+", " ", text)).replace(FORMULA[1] + FORMULA[0], f"{FORMULA[1]} {FORMULA[0]}")
    formulas = [f"${_latex(found[1])}$" for found in FORMULAS.finditer(text)]
    targets = [address(found[2]) for found in LINKED.finditer(text)]
    text = FORMULAS.sub("".join(FORMULA), LINKED.sub("".join((LINK[0], r"\1", *LINK[1:])), text))
    text = LINKED.sub(lambda found: f"[{found[1]}]({targets.pop(0)})", _escaped(text))
    text = STRUCK_OUT.sub(_struck, text)
    for mark in (RAISED, LOWERED):
        for sign, tag in zip(mark, TAGS[mark], strict=True):
            text = text.replace(sign, tag)
    text = re.sub("".join(FORMULA), lambda _: formulas.pop(0), text)
    return NONCHARACTERS.sub("", re.sub(rf"(?<!\s)\s*{BREAK}\s*", "  \n", text))


def _sound(text: str) -> str:
    """Text with marks, without those that mark nothing, lack their end or lead nowhere."""
    for begin, end in (RAISED, LOWERED, STRUCK, FORMULA):
        if begin in text or end in text:
            if text.count(begin) != text.count(end):
                text = text.replace(begin, "").replace(end, "")
            text = re.sub(f"{begin}(\\s*){end}", r"\1", text)
    if any(sign in text for sign in LINK):
        text = LINKED.sub(lambda found: found[0] if address(found[2]) and found[1].strip() else found[1], text)
        if len({text.count(sign) for sign in LINK}) > 1:
            text = text.translate(dict.fromkeys(map(ord, LINK)))
    return text.strip(BREAK)


def cell(text: str) -> str:
    """Plain text with marks as Markdown within a cell of a table."""
    text = FORMULAS.sub(lambda found: found[0].replace("\\|", "\\Vert ").replace("|", "\\vert "), text)
    return markdown(text).replace("  \n", "<br>").replace("|", "\\|")


def html(text: str) -> str:
    """Plain text with marks as HTML within an element, without line ends, in which Markdown would see its own end."""
    text = entities.escape(re.sub(r"\s+", " ", visible(text)), quote=False).replace("](", "]&#40;")
    text = LINKED.sub(lambda found: _anchor(found[1], found[2]), text)
    text = text.replace(BREAK, "<br>").replace(FORMULA[0], "$").replace(FORMULA[1], "$")
    for mark, tags in TAGS.items():
        for sign, tag in zip(mark, tags, strict=True):
            text = text.replace(sign, tag)
    return NONCHARACTERS.sub("", text)


def opened(text: str) -> str:
    """Markdown of a paragraph, with that escaped which would begin another block at the start of one of its lines."""
    return "  \n".join(_opened(line.lstrip(), i > 0) for i, line in enumerate(text.split("  \n")))


def _opened(line: str, later: bool) -> str:
    if line[:1].isalpha():
        return line
    found = COUNTED.match(line)
    if found and (not later or int(found[1]) == 1):  # no other number ends a paragraph
        return f"{found[1]}\\{line[found.end(1):]}"
    if (found := FENCE.match(line)) is not None:
        return "".join(f"\\{c}" for c in found[0]) + line[found.end() :]
    marked = HEADED.match(line) or RULED.match(line) or DEFINED.match(line) or (later and UNDERLINE.match(line))
    return f"\\{line}" if marked else line


def _escaped(text: str) -> str:
    """Text with marks, all in one line, with backslashes before what is markup in CommonMark, GitHub's Markdown or
    Python-Markdown, and `<` and `&` as entities there.

    A soft hyphen may go or stay later, so that it does not part signs here.
    """
    bare = text.replace(SHY, "")
    at = {found.start() for found in ALWAYS.finditer(bare)}
    for sign in "*_~`":
        if sign in bare:
            runs = [found for found in re.finditer(rf"{re.escape(sign)}+", bare)]
            if active(bare, sign) or (sign == "~" and STRUCK[0] in bare):
                at.update(i for run in runs for i in range(*run.span()))
    if "$" in bare and (FORMULA[0] in bare or MATH.search(bare)):
        at.update(i for i, c in enumerate(bare) if c == "$")
    for link in LINKED.finditer(bare):
        at.update(i for i in range(*link.span(1)) if bare[i] in "[]")
    if not at:
        return text
    if SHY not in text:
        return "".join(ENTITIES.get(c, f"\\{c}") if i in at else c for i, c in enumerate(text))
    out, i = [], 0
    for c in text:
        out.append(ENTITIES.get(c, f"\\{c}") if c != SHY and i in at else c)
        i += c != SHY
    return "".join(out)


def active(text: str, sign: str) -> bool:
    """Whether some of the runs of `sign` (*, _, ~ or `) in a text would begin and end emphasis, strikethrough or code.

    Backslashes before them do not count. Emphasis, strikethrough: the flanking rules (CommonMark 6.2), with symbols
    taken for punctuation or not, as versions differ in that.
    """
    if text.count(sign) < 2:
        return False
    runs = [found for found in DELIMITERS.finditer(text) if found["sign"] == sign]
    if sign == "`":
        return len({len(run[0]) for run in runs}) < len(runs)
    begun = False
    for run in runs:
        before = _class(text[run.start() - 1]) if run.start() else " "
        after = _class(text[run.end()]) if run.end() < len(text) else " "
        left = after != " " and (after != "." or before != "a")
        right = before != " " and (before != "." or after != "a")
        if "$" in (before, after):  # a symbol, which is punctuation or is not
            left, right = after != " ", before != " "
        if sign == "_" and before == after == "a":
            continue
        if right and begun:
            return True
        begun = begun or left
    return False


def _class(sign: str) -> str:
    """" " for white space, "." for punctuation, "$" for other symbols, "a" for all else."""
    if sign.isspace() or sign == BREAK:
        return " "
    if sign.isascii():
        return "a" if sign.isalnum() else "."
    if "\ufdd0" <= sign <= "\ufdef":
        return "."
    category = unicodedata.category(sign)[0]
    return {"P": ".", "S": "$"}.get(category, "a")


def _latex(text: str) -> str:
    """LaTeX that stays what it is for who sees formulas, and is no markup for who does not."""
    text = re.sub(r"(?<!\\)\$", r"\\$", NONCHARACTERS.sub("", text)).replace("`", "'")
    text = re.sub(r"<(?=[A-Za-z/!?])", "< ", text.replace("](", "] ("))
    return re.sub(ENTITY, "& ", text).strip()


def _struck(found: re.Match[str]) -> str:
    words = found[1].strip()
    before, _, after = found[1].partition(words) if words else (found[1], "", "")
    if not words:
        return before
    outer = (found.string[found.start() - 1] if found.start() else " ", found.string[found.end() : found.end() + 1])
    left = before or _class(outer[0]) != "a" or _class(words[0]) == "a"
    right = after or _class(outer[1] or " ") != "a" or _class(words[-1]) == "a"
    begin, end = ("~~", "~~") if left and right else TAGS[STRUCK]
    return f"{before}{begin}{words}{end}{after}"


def address(text: str) -> str:
    """The address of a link, with that percent-encoded which could end it, as
    Markdown has it; "" if it is not http, https or mailto."""
    text = visible(NONCHARACTERS.sub("", text)).strip().replace(SHY, "")
    if not text.lower().startswith(SAFE):
        return ""
    text = re.sub(r"[^!#$%&'*+,./:;=?@\[\]~\w-]", lambda c: "".join(f"%{b:02X}" for b in c[0].encode()), text)
    return re.sub(ENTITY, "&amp;", text)


def _anchor(words: str, target: str) -> str:
    target = address(entities.unescape(target)).replace("&amp;", "&")
    return f'<a href="{entities.escape(target)}">{words}</a>' if target and words.strip() else words
