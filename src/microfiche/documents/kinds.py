"""What kind of file some bytes begin, whatever the file's name says: one that is read, or one whose kind can be named.

It looks at the first bytes alone, and at names in a ZIP archive's list. Nothing is unpacked.
"""

from __future__ import annotations

import re

from microfiche.errors import InputError

HEAD = 1024  #: bytes in which a PDF's mark must stand
TAIL = 1 << 16  #: bytes at the end of a ZIP archive that are searched for the names in it
READ = "PDF, picture, .md, .txt, .html, .csv, .epub, .docx, .pptx or .xlsx"
#: Kinds of files that hold their own text, by the suffix of their names.
TEXTS = {
    ".md": "markdown", ".markdown": "markdown", ".txt": "plain", ".html": "html", ".htm": "html", ".xhtml": "html",
    ".csv": "csv", ".tsv": "csv", ".docx": "docx", ".pptx": "pptx", ".xlsx": "xlsx", ".epub": "epub",
}  # fmt: skip
#: The marks of files that are read.
MARKS = (
    (rb"\x89PNG\r\n\x1a\n", "png"),
    (rb"\xff\xd8\xff", "jpeg"),
    (rb"II[*+]\0|MM\0[*+]", "tiff"),
    (rb"RIFF.{4}WEBP", "webp"),
    (rb"GIF8[79]a", "gif"),
    (rb"BM.{4}\0\0\0\0", "bmp"),
    (rb"P[1-6]\s", "pnm"),
    (rb"\0\0\0\x0cjP  \r\n|\xff\x4f\xff\x51", "jpeg2000"),
)
AS_PDF = "save it as PDF and read that"
AS_PNG = "save it as PNG or TIFF and read that"
UNPACK = "unpack it and read what is in it"
#: The marks of other files, what they are, and what to do with them.
OTHERS = (
    (rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body)\b", "an HTML page, whatever its name says",
     "save the document itself"),
    (rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!doctype svg[^>]*>\s*)?<svg\b", "an SVG drawing", AS_PDF),
    (rb".{4}ftypavi[fs]", "an AVIF picture", AS_PNG),
    (rb".{4}ftyp(hei[cxms]|hev[cx]|mif1|msf1)", "a HEIC picture", "save it as JPEG or PNG and read that"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL picture", AS_PNG),
    (rb"8BPS", "a Photoshop picture", AS_PNG),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript file", AS_PDF),
    (rb"AT&TFORM", "a DjVu document", AS_PDF),
    (rb"\{\\rtf", "an RTF document", AS_PDF),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document or an Outlook message", AS_PDF),
    (rb"7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|\x1f\x8b|BZh\d|\xfd7zXZ\0|.{257}ustar", "an archive", UNPACK),
    (rb"(From \S+@|(Return-Path|Received|Delivered-To|MIME-Version|Message-ID|From|To|Subject|Date): )", "an e-mail",
     "print it to PDF, or save what is attached to it"),
)  # fmt: skip
#: The same for names in ZIP archives.
ZIPPED = (
    (rb"application/vnd\.oasis\.opendocument", "an OpenDocument file", AS_PDF),
    (rb"xl/workbook\.bin", "a binary Excel workbook", "save it as .xlsx and read that"),
)
#: Kinds of ZIP archives that hold their own text, by names in them.
ARCHIVES = (
    (rb"application/epub\+zip|META-INF/container\.xml", "epub"),
    (rb"word/document\d*\.xml", "docx"),
    (rb"xl/workbook\.xml", "xlsx"),
    (rb"ppt/presentation\.xml", "pptx"),
)


def kind_of(head: bytes, tail: bytes = b"", suffix: str = "") -> str:
    """Returns pdf, the name of a kind of pictures or one of TEXTS, by the first bytes of a file. `tail` are its last
    bytes. The `suffix` of its name tells Markdown, plain text, HTML and CSV from each other and from anything else, and
    says what a file that is cut short was.

    Raises InputError, without a name, that says what the file is and what to do, where that is known.
    """
    if not head:
        raise InputError("empty")
    for mark, kind in MARKS:
        if re.match(mark, head, re.DOTALL):
            return kind
    if b"%PDF-" in head:
        return "pdf"
    named = TEXTS.get(suffix.lower())
    is_text = b"\0" not in head or head.startswith((b"\xff\xfe", b"\xfe\xff"))
    if is_text and named in ("markdown", "plain", "csv", "html"):
        return named
    for mark, what, advice in OTHERS:
        if re.match(mark, head, re.DOTALL | re.IGNORECASE):
            raise InputError(f"{what}; {advice}")
    is_archive = head.startswith(b"PK\x03\x04")
    if is_archive:
        for mark, kind in ARCHIVES:
            if re.search(mark, head) or re.search(mark, tail):
                return kind
        for mark, what, advice in ZIPPED:
            if re.search(mark, head) or re.search(mark, tail):
                raise InputError(f"{what}; {advice}")
    if named in {kind for _, kind in ARCHIVES}:
        raise InputError(f"damaged or cut short: not a whole {suffix.lower()} file")
    if is_archive:
        raise InputError(f"a ZIP archive; {UNPACK}")
    raise InputError(f"not a {READ} file")
