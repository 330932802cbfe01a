"""Sheets: pages before they are set, as blocks in columns with running heads and feet, and the same as ODF or LaTeX."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Cell:
    """A table's cell."""

    text: str
    rowspan: int = 1
    colspan: int = 1


@dataclass(frozen=True)
class Block:
    """What stands together on a page. `kind` is OmniDocBench's category; a list's items are lines of its text."""

    kind: str
    text: str = ""
    rows: tuple[tuple[Cell, ...], ...] = ()
    latex: str = ""
    level: int = 1
    style: str = ""  # of lists: bullet or number; of tables: grid, three, lines, shaded, none; of texts: centre, drop
    note: str = ""  # a footnote set at the text's end

    @property
    def html(self) -> str:
        """The table as HTML."""

        def tag(cell: Cell) -> str:
            spans = "".join(f' {name}="{n}"' for name in ("rowspan", "colspan") if (n := getattr(cell, name)) > 1)
            return f"<td{spans}>{escape(cell.text)}</td>"

        body = "".join(f"<tr>{''.join(map(tag, row))}</tr>" for row in self.rows)
        return f"<table>{body}</table>" if self.rows else ""

    @property
    def written(self) -> str:
        """All the characters that the block puts on the page, in their order."""
        return " ".join(c.text for row in self.rows for c in row) if self.rows else self.text


@dataclass(frozen=True)
class Part:
    """Blocks that run through the same columns."""

    blocks: tuple[Block, ...]
    columns: int = 1


@dataclass(frozen=True)
class Sheet:
    """A page before it is set. `head`, `foot` and `number` are its furniture ("" for none); lengths are in mm."""

    name: str
    source: str
    parts: tuple[Part, ...]
    head: str = ""
    foot: str = ""
    number: int = 0
    font: str = "Liberation Serif"
    heading: str = ""
    size: float = 10
    paper: tuple[int, int] = (210, 297)
    margin: int = 20
    gutter: float = 6
    justified: bool = True
    tex: str = ""  # the class and its options, where LaTeX sets the page
    language: str = "english"

    @property
    def blocks(self) -> list[Block]:
        return [block for part in self.parts for block in part.blocks]


_SPACES = " ".join(
    f'xmlns:{p}="urn:oasis:names:tc:opendocument:xmlns:{u}:1.0"'
    for p, u in (
        ("office", "office"),
        ("style", "style"),
        ("text", "text"),
        ("table", "table"),
        ("draw", "drawing"),
        ("fo", "xsl-fo-compatible"),
        ("svg", "svg-compatible"),
    )
)


def _paragraph(name: str, inside: str, text: str = "", parent: str = "") -> str:
    above = f' style:parent-style-name="{parent}"' if parent else ""
    return (
        f'<style:style style:name="{name}" style:family="paragraph"{above}><style:paragraph-properties {inside}>'
        f"{'' if name != 'Drop' else _DROP}</style:paragraph-properties><style:text-properties {text}/></style:style>"
    )


_DROP = '<style:drop-cap style:lines="3" style:length="1" style:distance="0.05cm"/>'


def _cells(style: str) -> str:
    """The borders of first, middle and last rows' cells."""
    line, thick = "0.5pt solid #000000", "1pt solid #000000"
    sides = {
        "grid": ({"border": line},) * 3,
        "none": ({},) * 3,
        "three": ({"border-top": thick, "border-bottom": line}, {}, {"border-bottom": thick}),
        "lines": ({"border-bottom": line},) * 3,
        "shaded": ({"background-color": "#dddddd"}, {}, {"background-color": "#eeeeee"}),
    }[style]
    return "".join(
        f'<style:style style:name="{style}{k}" style:family="table-cell"><style:table-cell-properties '
        f'fo:padding="0.08cm" {" ".join(f"fo:{n}={v!r}" for n, v in side.items())}/></style:style>'
        for k, side in enumerate(sides)
    )


def _odf_table(block: Block, name: str) -> str:
    width = max(sum(c.colspan for c in row) for row in block.rows)
    rows, open_ = [], {}  # what still hangs down from above, by column
    for r, row in enumerate(block.rows):
        cells, column, left = [], 0, list(row)
        while column < width:
            if open_.get(column, 0):
                open_[column] -= 1
                cells.append("<table:covered-table-cell/>")
                column += 1
                continue
            cell = left.pop(0) if left else Cell("")
            kind = f"{block.style or 'grid'}{0 if r == 0 else 2 if r == len(block.rows) - 1 else 1}"
            number = re.fullmatch(r"[-−(]?[\d.,%$€]+\)?|—", cell.text)
            cells.append(
                f'<table:table-cell table:style-name="{kind}" table:number-columns-spanned="{cell.colspan}" '
                f'table:number-rows-spanned="{cell.rowspan}"><text:p text:style-name='
                f'"{"Number" if number else "Cell"}">{escape(cell.text)}</text:p></table:table-cell>'
            )
            cells += ["<table:covered-table-cell/>"] * (cell.colspan - 1)
            for k in range(column, column + cell.colspan):
                open_[k] = cell.rowspan - 1
            column += cell.colspan
        rows.append(f"<table:table-row>{''.join(cells)}</table:table-row>")
    return (
        f'<table:table table:name="{name}"><table:table-column table:number-columns-repeated="{width}"/>'
        f'{"".join(rows)}</table:table><text:p text:style-name="Cell"/>'
    )


def _odf_block(block: Block, name: str) -> str:
    if block.rows:
        return _odf_table(block, name)
    note = (
        f'<text:note text:note-class="footnote"><text:note-citation>1</text:note-citation><text:note-body>'
        f'<text:p text:style-name="Foot">{escape(block.note)}</text:p></text:note-body></text:note>'
    )
    text = escape(block.text) + (note if block.note else "")
    if block.kind == "title":
        return f'<text:h text:style-name="H{block.level}" text:outline-level="{block.level}">{text}</text:h>'
    if block.style in ("bullet", "number"):
        items = "".join(
            f'<text:list-item><text:p text:style-name="Item">{escape(line)}</text:p></text:list-item>'
            for line in block.text.split("\n")
        )
        return f'<text:list text:style-name="{block.style}">{items}</text:list>'
    if block.kind == "code_txt":
        kept = escape(block.text).replace("  ", '<text:s text:c="2"/>').replace("\n", "<text:line-break/>")
        return f'<text:p text:style-name="Code">{kept}</text:p>'
    style = {"centre": "Centre", "drop": "Drop", "form": "Form", "big": "Big"}.get(block.style, "Text")
    if "caption" in block.kind:
        style = "Caption"
    return f'<text:p text:style-name="{style}">{text.replace(chr(9), "<text:tab/>")}</text:p>'


def odf(sheet: Sheet) -> str:
    """The sheet as a flat ODF text document."""
    face, bold = sheet.font, sheet.heading or sheet.font
    body, size = "justify" if sheet.justified else "start", sheet.size
    font = f'style:font-name="{face}" fo:font-family="{face}" fo:font-size="{size}pt" fo:language="none"'
    strong = f'fo:font-family="{bold}" fo:font-weight="bold" fo:font-size="%.1fpt"'
    common = [
        _paragraph("Text", f'fo:text-align="{body}" fo:margin-bottom="0.15cm" fo:line-height="115%"', font),
        _paragraph("Centre", 'fo:text-align="center" fo:margin-bottom="0.2cm"', "", "Text"),
        _paragraph("Big", 'fo:margin-bottom="0.3cm"', f'fo:font-size="{1.3 * size:.1f}pt"', "Text"),
        _paragraph("Drop", "", "", "Text"),
        _paragraph("Form", 'fo:margin-bottom="0.1cm" fo:text-align="start"', "", "Text"),
        _paragraph("Item", 'fo:margin-bottom="0.05cm" fo:text-align="start"', "", "Text"),
        _paragraph("Foot", "", f'fo:font-family="{face}" fo:font-size="{0.8 * size:.1f}pt"'),
        _paragraph(
            "Cell", 'fo:margin-bottom="0cm" fo:text-align="start"', f'fo:font-size="{0.92 * size:.1f}pt"', "Text"
        ),
        _paragraph("Number", 'fo:text-align="end"', "", "Cell"),
        _paragraph(
            "Caption", 'fo:text-align="center" fo:margin-bottom="0.2cm"', f'fo:font-size="{0.88 * size:.1f}pt"', "Text"
        ),
        _paragraph(
            "Code", 'fo:margin-bottom="0.3cm"', f'fo:font-family="Liberation Mono" fo:font-size="{0.9 * size:.1f}pt"'
        ),
        *(
            _paragraph(
                f"H{k}",
                'fo:margin-top="0.25cm" fo:margin-bottom="0.15cm" fo:keep-with-next="always"',
                strong % (size * s),
            )
            for k, s in ((1, 2), (2, 1.45), (3, 1.15))
        ),
    ]
    styles = [
        *(
            f'<style:style style:name="c{n}" style:family="section"><style:section-properties '
            f'text:dont-balance-text-columns="false"><style:columns fo:column-count="{n}" '
            f'fo:column-gap="{sheet.gutter}mm"/>'
            "</style:section-properties></style:style>"
            for n in range(2, 7)
        ),
        *map(_cells, ("grid", "none", "three", "lines", "shaded")),
        *(
            f'<text:list-style style:name="{name}"><text:list-level-style-{kind} text:level="1" {mark}>'
            '<style:list-level-properties text:list-level-position-and-space-mode="label-alignment">'
            '<style:list-level-label-alignment text:label-followed-by="listtab" fo:text-indent="-0.5cm" '
            f'fo:margin-left="0.8cm"/></style:list-level-properties></text:list-level-style-{kind}></text:list-style>'
            for name, kind, mark in (
                ("bullet", "bullet", 'text:bullet-char="•"'),
                ("number", "number", 'style:num-format="1" style:num-suffix="."'),
            )
        ),
        f'<style:page-layout style:name="page"><style:page-layout-properties fo:page-width="{sheet.paper[0]}mm" '
        f'fo:page-height="{sheet.paper[1]}mm" fo:margin="{sheet.margin}mm"/>'
        "<style:header-style/><style:footer-style/></style:page-layout>",
    ]
    foot = f"{escape(sheet.foot)}{'<text:tab/>' if sheet.foot and sheet.number else ''}{sheet.number or ''}"
    furniture = "".join(
        f'<style:{tag}><text:p text:style-name="Foot">{text}</text:p></style:{tag}>'
        for tag, text in (("header", escape(sheet.head)), ("footer", foot))
        if text
    )
    body_ = ""
    for k, part in enumerate(sheet.parts):
        inner = "".join(_odf_block(block, f"t{k}.{j}") for j, block in enumerate(part.blocks))
        body_ += (
            inner
            if part.columns == 1
            else (f'<text:section text:style-name="c{part.columns}" text:name="s{k}">{inner}</text:section>')
        )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document {_SPACES} office:version="1.2" '
        'office:mimetype="application/vnd.oasis.opendocument.text">'
        f"<office:styles>{''.join(common)}</office:styles>"
        f"<office:automatic-styles>{''.join(styles)}</office:automatic-styles>"
        f'<office:master-styles><style:master-page style:name="Standard" style:page-layout-name="page">{furniture}'
        f"</style:master-page></office:master-styles><office:body><office:text>{body_}</office:text></office:body>"
        "</office:document>"
    )


_SPECIAL = str.maketrans(
    {c: f"\\{c}" for c in "#$%&_{}"}
    | {
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        "“": "``",
        "”": "''",
        "‘": "`",
        "’": "'",
        "–": "--",
        "—": "---",
        "−": "$-$",
        "±": r"$\pm$",
        "•": r"\textbullet{}",
        "×": r"$\times$",
        "°": r"\textdegree{}",
    }
)


def _tex_table(block: Block) -> str:
    width = max(sum(c.colspan for c in row) for row in block.rows)
    grid = block.style == "grid"
    bar = "|" if grid else ""
    rows = []
    for row in block.rows:
        cells = [
            c.text.translate(_SPECIAL)
            if c.colspan == 1
            else rf"\multicolumn{{{c.colspan}}}{{{bar}c{bar}}}{{{c.text.translate(_SPECIAL)}}}"
            for c in row
        ]
        rows.append(" & ".join(cells) + r" \\" + (r"\hline" if grid else ""))
    if not grid:
        rows[0] += r"\hline"
    columns = bar + bar.join(["l"] + ["r"] * (width - 1)) + bar
    return (
        rf"\begin{{center}}\begin{{tabular}}{{{columns}}}\hline"
        + "\n".join(rows)
        + ("" if grid else r"\hline")
        + r"\end{tabular}\end{center}"
    )


def _tex_block(block: Block, beamer: bool) -> str:
    text = block.text.translate(_SPECIAL)
    if block.rows:
        return _tex_table(block)
    if block.kind == "equation_isolated":
        return f"\\[ {block.latex} \\]"
    if block.kind == "title":
        if beamer:
            return rf"\frametitle{{{text}}}" if block.level == 1 else rf"\textbf{{{text}}}\par"
        name = ("", "section*", "subsection*")[block.level - 1]
        return rf"\{name}{{{text}}}" if name else rf"\begin{{center}}{{\LARGE {text}}}\end{{center}}"
    if block.style in ("bullet", "number"):
        kind = "itemize" if block.style == "bullet" else "enumerate"
        items = "\n".join(rf"\item {line.translate(_SPECIAL)}" for line in block.text.split("\n"))
        return rf"\begin{{{kind}}}{items}\end{{{kind}}}"
    if block.kind == "code_txt":
        return rf"\begin{{verbatim}}{chr(10)}{block.text}{chr(10)}\end{{verbatim}}"
    if block.style == "centre" or "caption" in block.kind:
        size = r"\small " if "caption" in block.kind else ""
        return rf"\begin{{center}}{size}{text}\end{{center}}"
    return text + (rf"\footnote{{{block.note.translate(_SPECIAL)}}}" if block.note else "") + "\n"


def tex(sheet: Sheet) -> str:
    """The sheet as a LaTeX document."""
    beamer = "beamer" in sheet.tex
    spanning = "twocolumn" in sheet.tex and sheet.parts[0].columns == 1
    lines = [
        rf"\documentclass{sheet.tex}",
        r"\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}",
        rf"\usepackage{{amsmath,amssymb}}\usepackage[{sheet.language}]{{babel}}",
        {"Palatino": r"\usepackage{mathpazo}", "Times": r"\usepackage{mathptmx}"}.get(
            sheet.font, r"\usepackage{lmodern}"
        ),
    ]
    if not beamer:
        lines += [
            rf"\usepackage[margin={sheet.margin}mm,a4paper]{{geometry}}",
            r"\usepackage{fancyhdr}\pagestyle{fancy}",
            r"\fancyhf{}" + rf"\fancyhead[L]{{\small {sheet.head.translate(_SPECIAL)}}}",
            rf"\fancyfoot[L]{{\small {sheet.foot.translate(_SPECIAL)}}}",
            r"\renewcommand{\headrulewidth}{" + ("0.4pt}" if sheet.head else "0pt}"),
        ]
        if sheet.number:
            lines.append(rf"\fancyfoot[R]{{{sheet.number}}}")
    lines += [r"\begin{document}", r"\begin{frame}[fragile]" if beamer else r"\raggedbottom"]
    for k, part in enumerate(sheet.parts):
        inner = "\n\n".join(_tex_block(block, beamer) for block in part.blocks)
        lines.append(rf"\twocolumn[{inner}]" if spanning and k == 0 else inner)
    return "\n".join([*lines, r"\end{frame}" if beamer else "", r"\end{document}"])
