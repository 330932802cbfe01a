"""Which font draws what: a fixed, ordered list of fonts, and the first that has glyphs for a cluster of characters.

DejaVu Sans, which is always there, is asked first, so that most text looks the same on every machine; then Noto's
fonts for each script, Chinese, symbols, emoji. Knows nothing of shaping or drawing.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import uharfbuzz as hb

from microfiche.errors import InputError, UsageError
from microfiche.typesetting.fonts import TYPEFACES, found

_JOINER, _EMOJI_STYLE, _TEXT_STYLE, _KEYCAP = "\u200d", "\ufe0f", "\ufe0e", "\u20e3"


@dataclass(frozen=True)
class Source:
    """A font file of `package` that is asked for `script` (ISO 15924; empty: any); its em is `scale` of the text's,
    where its glyphs would not stand in a strip otherwise."""

    name: str
    package: str
    path: str
    script: str = ""
    scale: float = 1.0

    @cached_property
    def file(self) -> Path | None:
        """Where the font lies; None where it is missing."""
        return found(self.path, self.package)

    @cached_property
    def face(self) -> hb.Face:
        """The open font, which must be there."""
        return hb.Face(hb.Blob.from_file_path(str(self.file)))

    @cached_property
    def points(self) -> frozenset[int]:
        """The code points it has glyphs for; none where it is missing."""
        return frozenset(self.face.unicodes) if self.file else frozenset()


#: Scripts of Noto Sans in fonts-noto-core: ISO 15924 code and the name in the file's name.
_SANS = """Adlm Adlam, Hluw AnatolianHieroglyphs, Arab Arabic, Armn Armenian, Avst Avestan, Bali Balinese, Bamu Bamum,
Bass BassaVah, Batk Batak, Beng Bengali, Bhks Bhaiksuki, Brah Brahmi, Bugi Buginese, Buhd Buhid,
Cans CanadianAboriginal, Cari Carian, Aghb CaucasianAlbanian, Cakm Chakma, Cham Cham, Cher Cherokee, Copt Coptic,
Xsux Cuneiform, Cprt Cypriot, Dsrt Deseret, Deva Devanagari, Dupl Duployan, Egyp EgyptianHieroglyphs, Elba Elbasan,
Elym Elymaic, Ethi Ethiopic, Geor Georgian, Glag Glagolitic, Goth Gothic, Gran Grantha, Gujr Gujarati,
Gong GunjalaGondi, Guru Gurmukhi, Rohg HanifiRohingya, Hano Hanunoo, Hatr Hatran, Hebr Hebrew, Armi ImperialAramaic,
Phli InscriptionalPahlavi, Prti InscriptionalParthian, Java Javanese, Kthi Kaithi, Knda Kannada, Kali KayahLi,
Khar Kharoshthi, Khmr Khmer, Khoj Khojki, Sind Khudawadi, Laoo Lao, Lepc Lepcha, Limb Limbu, Lina LinearA,
Linb LinearB, Lisu Lisu, Lyci Lycian, Lydi Lydian, Mahj Mahajani, Mlym Malayalam, Mand Mandaic, Mani Manichaean,
Marc Marchen, Gonm MasaramGondi, Medf Medefaidrin, Mtei MeeteiMayek, Mend MendeKikakui, Merc Meroitic, Plrd Miao,
Modi Modi, Mong Mongolian, Mroo Mro, Mult Multani, Mymr Myanmar, Nkoo NKo, Nbat Nabataean, Talu NewTaiLue, Newa Newa,
Nshu Nushu, Ogam Ogham, Olck OlChiki, Hung OldHungarian, Ital OldItalic, Narb OldNorthArabian, Perm OldPermic,
Xpeo OldPersian, Sogo OldSogdian, Sarb OldSouthArabian, Orkh OldTurkic, Orya Oriya, Osge Osage, Osma Osmanya,
Hmng PahawhHmong, Palm Palmyrene, Pauc PauCinHau, Phag PhagsPa, Phnx Phoenician, Phlp PsalterPahlavi, Rjng Rejang,
Runr Runic, Samr Samaritan, Saur Saurashtra, Shrd Sharada, Shaw Shavian, Sidd Siddham, Sinh Sinhala, Sogd Sogdian,
Sora SoraSompeng, Soyo Soyombo, Sund Sundanese, Sylo SylotiNagri, Syrc Syriac, Tglg Tagalog, Tagb Tagbanwa, Tale TaiLe,
Lana TaiTham, Tavt TaiViet, Takr Takri, Taml Tamil, Telu Telugu, Thaa Thaana, Thai Thai, Tfng Tifinagh, Tirh Tirhuta,
Ugar Ugaritic, Vaii Vai, Wcho Wancho, Wara WarangCiti, Yiii Yi, Zanb ZanabazarSquare"""
_SERIF = "Ahom Ahom, Dogr Dogra, Hmnp NyiakengPuachueHmong, Tang Tangut, Tibt Tibetan, Yezi Yezidi"
_CJK = {"Hani": "Han", "Hira": "Hiragana", "Kana": "Katakana", "Hang": "Hangul", "Bopo": "Bopomofo"}
_EUROPEAN = {"Latn": "Latin", "Grek": "Greek", "Cyrl": "Cyrillic"}
#: Of scripts whose words would be higher than 16 px at 8 pt.
_SCALE = {
    "Bali": 0.65, "Java": 0.65, "Tibt": 0.65, "Lana": 0.75, "Gran": 0.8, "Tavt": 0.8, "Marc": 0.8, "Mymr": 0.8,
    "Xsux": 0.8, "Khmr": 0.85, "Thai": 0.85, "Telu": 0.85, "Egyp": 0.85, "Laoo": 0.9, "Cham": 0.9, "Cakm": 0.9,
    "Ahom": 0.9, "Knda": 0.95,
}  # fmt: skip


def _noto(style: str, scripts: str) -> list[Source]:
    pairs = [pair.split() for pair in scripts.split(",")]
    return [
        Source(
            f"Noto {style} {name}", "fonts-noto-core", f"truetype/noto/Noto{style}{name}-Regular.ttf", script,
            _SCALE.get(script, 1.0),
        )
        for script, name in pairs
    ]  # fmt: skip


def _listed(name: str) -> Source:
    typeface = TYPEFACES[name]
    return Source(name, typeface.package, typeface.regular, "Hani" if typeface.kind == "cjk" else "Latn")


EMOJI = Source("Noto Color Emoji", "fonts-noto-color-emoji", "truetype/noto/NotoColorEmoji.ttf", scale=0.9)
#: The fonts in the order in which they are asked.
SOURCES: tuple[Source, ...] = (
    _listed("DejaVu Sans"),
    _listed("Noto Sans"),
    *_noto("Sans", _SANS),
    *_noto("Serif", _SERIF),
    _listed("WenQuanYi Micro Hei"),
    _listed("AR PL UMing"),
    *_noto("Sans", "Zsym Symbols, Zsym Symbols2, Zmth Math"),
    Source("Noto Music", "fonts-noto-core", "truetype/noto/NotoMusic-Regular.ttf", "Zsym"),
    EMOJI,
)


def clusters(text: str) -> list[int]:
    """Where the grapheme clusters of `text` begin (UAX #29, near enough: what is made of marks, joiners, flags,
    keycaps, skin tones and tags; conjoining Jamo)."""
    starts, flag = [], False
    for i, char in enumerate(text):
        if char < "\u0300":
            starts.append(i)
            flag = False
            continue
        before = text[i - 1] if i else ""
        if "\U0001f1e6" <= char <= "\U0001f1ff":
            flag = not flag
            joins = not flag
        else:
            flag = False
            joins = bool(before) and (
                unicodedata.category(char) in ("Mn", "Me", "Mc")
                or char in "\u200c\u200d"
                or "\U0001f3fb" <= char <= "\U0001f3ff"
                or "\U000e0020" <= char <= "\U000e007f"
                or (before == _JOINER and char >= "\u2190" and i > 1)
                or ("\u1160" <= char <= "\u11ff" and "\u1100" <= before <= "\u11ff")
            )
        if not joins:
            starts.append(i)
    return starts


class Coverage:
    """Chooses the font of each cluster; `leading` is the name of the font that is asked first, and `emoji` the place
    in `sources` of the one with emoji."""

    def __init__(self, leading: str = "DejaVu Sans") -> None:
        chosen = [source for source in SOURCES if source.name == leading]
        if not chosen:
            raise UsageError(f"no font {leading!r} leads a strip; there are DejaVu Sans, Noto Sans and others")
        if chosen[0].file is None:
            raise InputError(f"the font {leading} is missing: {_how(chosen[0].package)}")
        self.sources = (*chosen, *(source for source in SOURCES if source is not chosen[0]))
        self.emoji = self.sources.index(EMOJI)
        self._chosen: dict[str, int] = {}

    def choose(self, cluster: str) -> int:
        """Which of `sources` draws a cluster, -1 if it is not drawn at all; where no font can, the first, which
        draws a box. InputError where its whole script has none, or a font for it is missing."""
        if (chosen := self._chosen.get(cluster)) is None:
            chosen = self._chosen[cluster] = self._choose(cluster)
        return chosen

    def _choose(self, cluster: str) -> int:
        needed = [point for point in map(ord, cluster) if not _ignored(point)]
        if not needed:
            return -1
        if _is_emoji(cluster) and self._draws(self.emoji, needed):
            return self.emoji
        for wanted in (needed, needed[:1]):
            for i in range(len(self.sources)):
                if self._draws(i, wanted):
                    return i
        self._complain(needed[0])
        return 0

    def _draws(self, i: int, points: list[int]) -> bool:
        return self.sources[i].points.issuperset(points)

    def _complain(self, point: int) -> None:
        sign = chr(point)
        what = f"U+{point:04X} {sign if sign.isprintable() else ''}".rstrip()
        script = script_of(sign)
        if script:
            wanted = "Hani" if script in _CJK else "Latn" if script in _EUROPEAN else script
            fonts = [source for source in self.sources if source.script == wanted]
            missing = [source for source in fonts if source.file is None]
            name = (_CJK | _EUROPEAN).get(script) or (fonts[0].name.split(" ", 2)[2] if fonts else script)
            if missing:
                raise InputError(f"no font for the script {name} ({what}): {_how(missing[0].package)}")
            if not fonts:
                raise InputError(f"no font of the list draws the script {name} ({what}): take such text out")
            return
        if unicodedata.category(sign) in ("Co", "Cn"):
            return
        emoji = _is_emoji(sign)
        missing = [s for s in self.sources if s.file is None and (s is EMOJI if emoji else s.script[:1] == "Z")]
        if missing:
            raise InputError(f"no font for the {'emoji' if emoji else 'symbol'} {what}: {_how(missing[0].package)}")


def script_of(sign: str) -> str:
    """The script of a character, ISO 15924; empty where it is common to several, or none is known."""
    buffer = hb.Buffer()
    buffer.add_codepoints([ord(sign)])
    buffer.guess_segment_properties()
    return buffer.script or ""


def _how(package: str) -> str:
    return f"apt-get install {package}, or python tools/fetch_fonts.py for all fonts"


_EMOJI_IN_BMP = frozenset(
    "⌚⌛⏩⏪⏫⏬⏰⏳◽◾☔☕♈♉♊♋♌♍♎♏♐♑♒♓♿⚓⚡⚪⚫⚽⚾⛄⛅⛎⛔⛪⛲⛳⛵⛺⛽✅✊✋✨❌❎❓❔❕❗➕➖➗➰➿⬛⬜⭐⭕"
)


def _is_emoji(cluster: str) -> bool:
    """Whether a cluster is shown as an emoji: by default (Emoji_Presentation), or since a selector asks for it."""
    if _TEXT_STYLE in cluster:
        return False
    first = cluster[0]
    return (
        "\U0001f000" <= first <= "\U0001faff"
        or first in _EMOJI_IN_BMP
        or _EMOJI_STYLE in cluster
        or (_KEYCAP in cluster and first < "\x80")
        or (_JOINER in cluster and first >= "\u2190" and first < "\u2e80")
    )


def _ignored(point: int) -> bool:
    """Whether no font needs a glyph for it: joiners, marks of direction, selectors, tags."""
    return point in (0xAD, 0x34F, 0x61C, 0xFEFF) or (
        0x200B <= point <= 0x200F
        or 0x202A <= point <= 0x202E
        or 0x2060 <= point <= 0x206F
        or 0xFE00 <= point <= 0xFE0F
        or 0x180B <= point <= 0x180F
        or 0xE0000 <= point <= 0xE0FFF
    )
