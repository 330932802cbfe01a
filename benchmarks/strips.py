"""How fast strips of text are rendered, beside Pango, and a sheet of them to look at.

    python benchmarks/strips.py FOLDER [--sentences 4000]
    python benchmarks/strips.py --sheet docs/pixel-strips.png

FOLDER is a corpus of .txt.xz files; sentences of the first million characters of each are taken. Languages it may lack
are sampled from sentences written here, with a number in each, so that no sentence is the same as another (their words
are). Times are CPU time of one process and one thread: once with words and glyphs that were never seen, once with all
of them kept; a long training begins like the first and ends like the second. Pango draws the same sentences to the same
16 px as PIXEL's own renderer does, but finds no offsets (`pip install pangocairocffi`, with the system's libpangocairo);
without it the column is left out. Pango's fonts are those that fontconfig finds, so it may draw boxes; that is said.
"""

from __future__ import annotations

import argparse
import lzma
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from microfiche.typesetting.strip import PATCH, StripRenderer

WRITTEN = {
    "Arabic": "تعلم النموذج قراءة النص من الصور وحدها في {} خطوة ثم قرأ English أيضا",
    "Hebrew": "המודל לומד לקרוא טקסט מתוך תמונות בלבד אחרי {} צעדים",
    "Hindi": "यह मॉडल केवल चित्रों से पाठ पढ़ना सीखता है और {} चरणों के बाद पढ़ता है",
    "Thai": "แบบจำลองเรียนรู้ที่จะอ่านข้อความจากภาพเท่านั้น {} ขั้นตอน",
    "Russian": "Модель учится читать текст только по картинкам и за {} шагов научилась",
    "emoji": "We read 😀 👍🏽 🇩🇪 and 👩‍🔬 in {} steps ❤️ as pictures of text",
}
SHEET = (
    "Language modelling with pixels: Ärger, ça, Łódź, 1789.", "Модель учится читать по картинкам.",
    "Το μοντέλο μαθαίνει να διαβάζει.", "المودل يقرأ 1234 كلمة و English معا", "המודל קורא 123 מילים (abc) ביום",
    "यह मॉडल चित्रों से पाठ पढ़ता है", "மாதிரி படங்களில் இருந்து படிக்கிறது", "แบบจำลองอ่านข้อความจากภาพ",
    "模型只看图片里的文字。", "モデルは文字の絵だけを読む", "모델은 그림만 읽는다", "ሞዴሉ ጽሑፍን ከስዕል ያነባል",
    "བོད་སྐད་ཀྱི་ཡི་གེ་", "მოდელი კითხულობს", "Emoji 😀 👍🏽 🇩🇪 👩‍🔬 ❤️ in colour",
)  # fmt: skip


def sentences(folder: Path, count: int) -> dict[str, list[str]]:
    """name → sentences, of the corpus and of WRITTEN."""
    found = {}
    for file in sorted(folder.glob("*.txt.xz")):
        with lzma.open(file, "rt", encoding="utf-8") as stream:
            text = stream.read(1_000_000)
        parts = [part.strip() for line in text.split("\n") for part in re.split(r"(?<=[.!?])\s+|(?<=[。！？])", line)]
        found[file.name.removesuffix(".txt.xz")] = [part for part in parts if len(part) > 10][:count]
    return found | {name: [text.format(i) for i in range(count)] for name, text in WRITTEN.items()}


def seconds(render: Callable[[str], object], texts: Sequence[str]) -> float:
    """CPU seconds for all of `texts`."""
    start = time.process_time()
    for text in texts:
        render(text)
    return time.process_time() - start


def pango() -> Callable[[str], Any] | None:
    """One sentence by Pango and Cairo, grey, as PIXEL's renderer has it, to a (16, 8464) array."""
    try:
        import cairocffi
        import pangocairocffi
        import pangocffi
    except (ImportError, OSError):
        return None
    font = pangocffi.FontDescription()
    font.family, font.size = "DejaVu Sans", pangocffi.units_from_double(8 * 120 / 72 * 0.75)

    def render(text: str) -> Any:
        surface = cairocffi.ImageSurface(cairocffi.FORMAT_A8, 529 * PATCH, PATCH)
        context = cairocffi.Context(surface)
        layout = pangocairocffi.create_layout(context)
        layout.font_description, layout.text = font, text
        width, height = (extent / 1024 for extent in layout.get_size())
        context.move_to(3, PATCH / 2 - height / 2 - 2)
        pangocairocffi.show_layout(context, layout)
        black = min(-(-int(width + 3) // PATCH), 528)
        image = 255 - np.frombuffer(surface.get_data(), np.uint8).reshape(PATCH, surface.get_stride())
        image[:, black * PATCH : (black + 1) * PATCH] = 0
        return image

    return render


def sheet(path: Path) -> None:
    renderer, rows = StripRenderer(colour=True), []
    for text in SHEET:
        strip = renderer.line(text).image
        row = np.full((PATCH + 4, 28 * PATCH, 3), 224, np.uint8)
        row[2:-2, : min(strip.shape[1], row.shape[1])] = strip[:, : row.shape[1]]
        rows.append(row)
    image = Image.fromarray(np.concatenate(rows))
    image.resize((image.width * 2, image.height * 2), Image.Resampling.NEAREST).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--sentences", type=int, default=4000)
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    if given.sheet:
        sheet(given.sheet)
    if given.corpus is None:
        return
    theirs = pango()
    if theirs is None:
        print("Pango is not there: pip install pangocairocffi")
    print("| sentences of | number | characters | patches | first, /s | kept, /s | colour, /s | Pango, /s |")
    print("|---|---|---|---|---|---|---|---|")
    for name, texts in sentences(given.corpus, given.sentences).items():
        grey, colour = StripRenderer(), StripRenderer(colour=True)
        first, kept = seconds(grey.line, texts), seconds(grey.line, texts)
        seconds(colour.line, texts)
        in_colour = seconds(colour.line, texts)
        some = texts[:500]
        if theirs:
            seconds(theirs, some[:50])
        rates = [len(texts) / first, len(texts) / kept, len(texts) / in_colour]
        rates += [len(some) / seconds(theirs, some)] if theirs else []
        patches = sum(len(grey.line(text).offsets) for text in some) / len(some)
        cells = [name, str(len(texts)), f"{sum(map(len, texts)) / len(texts):.0f}", f"{patches:.0f}"]
        print("| " + " | ".join(cells + [f"{rate:,.0f}" for rate in rates]) + " |", flush=True)


if __name__ == "__main__":
    main()
