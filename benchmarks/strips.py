"""Strips a second that one core draws, in several scripts, beside Pango or Pillow's Raqm; the sheet of docs/pixel.md.

    python benchmarks/strips.py CORPUS [--count 3000] [--sheet docs/pixel-strips.png]
    pip install django pangocairocffi      # for more scripts, and for Pango where the system has its library

The sentences are those of CORPUS/*-wiki* and *-novels*, and the messages of Django's translations. *First* is the rate
at which a new renderer draws them, *again* the rate when it has drawn their words before, *colour* the same in colour.
Times are processor time. Pango draws each sentence as the paper's renderer does, in grey, with Noto Sans; *+ offsets*
is its rate when it also goes over the clusters as that renderer does, which strips always do. *Differ* is the share of
pixels that differ from Pango's, for scripts that Noto Sans has. Raqm is HarfBuzz and FriBidi in Pillow, with one font
and without offsets, for those scripts alone.
"""

from __future__ import annotations

import argparse
import gettext
import importlib.util
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features

from microfiche.errors import InputError
from microfiche.pixel.strips import PADDING, PATCH, SIZE, Strip, StripRenderer
from microfiche.training.corpus import documents
from microfiche.typesetting.fonts import FETCHED, TYPEFACES

CORPORA = {"English": "en-wiki", "German": "de-novels", "French": "fr-novels", "Chinese": "zh-wiki"}
LANGUAGES = {
    "Russian": "ru", "Greek": "el", "Arabic": "ar", "Hebrew": "he", "Hindi": "hi", "Bengali": "bn", "Tamil": "ta",
    "Thai": "th", "Burmese": "my", "Khmer": "km", "Georgian": "ka", "Japanese": "ja", "Korean": "ko",
}  # fmt: skip
NOTO_SANS = ("English", "German", "French", "Russian", "Greek")
SHEET = (
    "A strip is 16 px high; a patch is 16 × 16.",
    "Быстрая лиса; γρήγορη αλεπού; Ấm Ůl Ş",
    "العربية من اليمين إلى اليسار، 1,234 كلمة",
    "עברית עם ניקוד: שָׁלוֹם (1948)",
    "हिन्दी में क्षेत्रीय शब्द",
    "தமிழ், తెలుగు, বাংলা, ગુજરાતી",
    "ภาษาไทย ผู้ใหญ่ น้ำ",
    "日本語の文章、中国的汉字，한국어",
    "ខ្មែរ မြန်မာ བོད་ཡིག ქართული አማርኛ ᏣᎳᎩ ⲙⲛⲧ",
    "😀 👩‍⚕️ 👍🏽 🇫🇷 ❤️ 1️⃣",
    "∑ x² ≤ ∫ f(x) dx → ∞",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=3000, help="sentences of each language, at most")
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    if args.sheet:
        sheet().save(args.sheet)
    name, other, offsets = pango() or raqm()
    print(f"| text | sentences | patches | first | again | colour | {name} | + offsets | differ |")
    print("|---|---|---|---|---|---|---|---|---|")
    for language, sentences in texts(args.folder, args.count):
        renderers = StripRenderer(), StripRenderer(colour=True)
        known = StripRenderer()
        sentences = [text for text in sentences if drawn(known, text)]
        (first, again), (_, colour) = ([rate(r.line, sentences) for _ in "12"] for r in renderers)
        strips = [known.line(text) for text in sentences]
        patches = sum(len(strip.offsets) for strip in strips) / len(strips)
        differ = theirs = both = ""
        if name == "Pango" or language in NOTO_SANS:
            theirs = f"{rate(other, sentences):,.0f}"
        if offsets:
            both = f"{rate(offsets, sentences):,.0f}"
        if language in NOTO_SANS:
            differ = f"{different(strips, map(other, sentences)):.2%}"
        print(
            f"| {language} | {len(sentences)} | {patches:.0f} | {first:,.0f} | {again:,.0f} | {colour:,.0f} "
            f"| {theirs} | {both} | {differ} |",
            flush=True,
        )


def texts(folder: Path, count: int) -> Iterable[tuple[str, list[str]]]:
    """The sentences of each language, each once."""
    for language, name in CORPORA.items():
        for file in folder.glob(f"{name}*"):
            found = (s for d in documents(file) for s in re.split(r"(?<=[.!?。！？])\s*|\n+", d) if len(s) > 8)
            yield language, list(islice(dict.fromkeys(islice(found, 4 * count)), count))
    spec = importlib.util.find_spec("django")
    if spec is not None and spec.origin:
        for language, code in LANGUAGES.items():
            found = {}
            for file in sorted(Path(spec.origin).parent.glob(f"**/locale/{code}/LC_MESSAGES/*.mo")):
                with file.open("rb") as opened:
                    catalogue: dict[Any, str] = gettext.GNUTranslations(opened)._catalog  # type: ignore[attr-defined]
                found |= dict.fromkeys(
                    " ".join(text.split()) for key, text in catalogue.items() if key and len(text) > 8
                )
            yield language, list(found)[:count]


def drawn(renderer: StripRenderer, text: str) -> bool:
    try:
        return renderer.line(text).whole
    except InputError:
        return False


def rate(draw: Callable[[str], Any], sentences: list[str]) -> float:
    start = time.process_time()
    for text in sentences:
        draw(text)
    return len(sentences) / (time.process_time() - start)


def different(strips: Iterable[Strip], images: Iterable[NDArray[np.uint8]]) -> float:
    """The share of pixels in which another program's drawings differ from strips, apart from black patches."""
    wrong = pixels = 0
    for strip, image in zip(strips, images, strict=True):
        ours = strip.image[:, :-PATCH]
        wrong, pixels = wrong + int((ours != image[:, : ours.shape[1]]).sum()), pixels + ours.size
    return wrong / pixels


Draw = Callable[[str], NDArray[np.uint8]]


def pango() -> tuple[str, Draw, Callable[[str], Any] | None] | None:
    """Pango and Cairo, called as the paper's renderer calls them."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as file:
        hint = '<match target="pattern"><edit name="hintstyle"><const>hintslight</const></edit></match>'
        file.write(f"<fontconfig><dir>{FETCHED}</dir><cachedir>{tempfile.gettempdir()}</cachedir>{hint}</fontconfig>")
    os.environ["FONTCONFIG_FILE"] = file.name
    try:
        import cairocffi
        import pangocairocffi
        import pangocffi
    except (ImportError, OSError):
        return None
    font = pangocffi.FontDescription()
    font.family, font.size = "Noto Sans", pangocffi.units_from_double(8)

    def drawing(text: str) -> tuple[NDArray[np.uint8], Any]:
        surface = cairocffi.ImageSurface(cairocffi.FORMAT_A8, 529 * PATCH, PATCH)
        context = cairocffi.Context(surface)
        settings = pangocairocffi.create_context(context)
        pangocairocffi.set_resolution(settings, 120)
        layout = pangocffi.Layout(settings)
        layout.font_description, layout.text = font, text
        height = -(-layout.get_size()[1] // 1024)
        context.move_to(PADDING, PATCH / 2 - height / 2 - 2)
        pangocairocffi.show_layout(context, layout)
        surface.flush()
        return 255 - np.frombuffer(surface.get_data(), np.uint8).reshape(PATCH, -1), layout

    def with_offsets(text: str) -> list[tuple[int, int]]:
        clusters = drawing(text)[1].get_iter()
        found = [(clusters.get_index(), clusters.get_cluster_extents()[1].x)]
        while clusters.next_cluster():
            found.append((clusters.get_index(), clusters.get_cluster_extents()[1].x))
        return found

    return "Pango", lambda text: drawing(text)[0], with_offsets


def raqm() -> tuple[str, Draw, None]:
    """Pillow, with HarfBuzz where it has it."""
    engine = ImageFont.Layout.RAQM if features.check("raqm") else ImageFont.Layout.BASIC
    font = ImageFont.truetype(str(TYPEFACES["Noto Sans"].file("regular")), SIZE, layout_engine=engine)

    def draw(text: str) -> NDArray[np.uint8]:
        image = Image.new("L", (529 * PATCH, PATCH), 255)
        ImageDraw.Draw(image).text((PADDING, 12), text, 0, font, anchor="ls")
        return np.asarray(image)

    return ("Raqm" if engine == ImageFont.Layout.RAQM else "Pillow"), draw, None


def sheet() -> Image.Image:
    """Draws strips of several scripts, enlarged three times, with the borders of the patches."""
    one = StripRenderer(colour=True)
    strips = [one.line(text) for text in SHEET]
    strips += [
        one.pair("Is this a pair?", "It is."),
        one.words(["Words", "begin", "at", "patches", "."]),
    ]
    width = max(strip.image.shape[1] for strip in strips)
    page = np.full((len(strips) * (PATCH + 4), width, 3), 225, np.uint8)
    page[:, ::PATCH] = 170
    for i, strip in enumerate(strips):
        page[i * (PATCH + 4) : i * (PATCH + 4) + PATCH, : strip.image.shape[1]] = strip.image
    image = Image.fromarray(page)
    return image.resize((3 * image.width, 3 * image.height), Image.Resampling.NEAREST)


if __name__ == "__main__":
    main()
