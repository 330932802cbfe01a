"""The outline fonts that documents are set in: a fixed list with packages and licences, and where their files lie.

Fonts are not shipped: tools/fetch_fonts.py brings them, from Debian. DejaVu and STIX come with matplotlib, which is
always there. The list is fixed, and a missing font is an error, so that a seed means the same pages everywhere.
Knows nothing of pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from microfiche.errors import InputError, UsageError
from microfiche.typesetting.alphabet import code_points

Kind = Literal["sans", "serif", "mono", "cjk"]
Style = Literal["regular", "bold", "italic"]
BUNDLED = "matplotlib"  #: the package whose fonts are always there
FETCHED = Path("~/.local/share/microfiche/fonts").expanduser()  #: where tools/fetch_fonts.py puts fonts
#: Where packages put fonts: Debian's own, TeX's of Debian's, and TeX Live's.
INSTALLED = tuple(map(Path, ("/usr/share/fonts", "/usr/share/texmf/fonts", "/usr/share/texlive/texmf-dist/fonts")))


@dataclass(frozen=True)
class Typeface:
    """A family from `package`: its files below a folder of fonts; where there is no bold or italic, the regular one.

    Families that are `held_out` are for validation alone; no family that is trained on has the same design.
    """

    name: str
    kind: Kind
    package: str
    licence: str
    regular: str
    bold: str
    italic: str
    held_out: bool = False

    def file(self, style: Style) -> Path:
        """The font file of a style; InputError, naming the package, where it is missing."""
        name = {"regular": self.regular, "bold": self.bold, "italic": self.italic}[style]
        if (file := font_file(name, self.package)) is not None:
            return file
        raise InputError(
            f"the font {self.name} is missing ({name}): apt-get install {self.package}, or python "
            f"tools/fetch_fonts.py{' --print' if self.name in PRINT_TYPEFACES else ''} for all fonts"
        )

    def draws(self, text: str) -> NDArray[np.bool_]:
        """(T,) whether each character is a space, or has a glyph with ink in all three styles and stands by itself,
        as SETTABLE says."""
        points, places = np.unique(code_points(text), return_inverse=True)
        files = sorted({str(self.file(style)) for style in STYLES})
        known = np.isin(points, _mapped(*files))
        known[known] = [point == SPACE or _inked(point, *files) for point in points[known].tolist()]
        return known[places]


def font_file(name: str, package: str) -> Path | None:
    """Where the font file `name` of a package lies, if it is there; fetched ones come before installed ones."""
    folders = (_bundled(),) if package == BUNDLED else (FETCHED, *INSTALLED)
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


SPACE = 0x20
STYLES: tuple[Style, ...] = ("regular", "bold", "italic")
#: Code points that are set from left to right without shaping, and marks that combine with nothing: Latin, Greek,
#: Cyrillic, Armenian; punctuation, letter-like signs, arrows, mathematics, boxes; Chinese, kana, hangul, full width.
SETTABLE = (
    (0x20, 0x7E), (0xA1, 0xAC), (0xAE, 0x2FF), (0x370, 0x482), (0x48A, 0x58F), (0x1E00, 0x1FFF), (0x2010, 0x2027),
    (0x2030, 0x205E), (0x2070, 0x20BF), (0x2100, 0x2BFF), (0x2E80, 0x2FFB), (0x3001, 0x3029), (0x3030, 0x30FF),
    (0x3105, 0x312F), (0x3131, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFE30, 0xFE4F),
    (0xFF01, 0xFFE6),
)  # fmt: skip


def settable(points: NDArray[np.integer]) -> NDArray[np.bool_]:
    """(T,) code points → whether one can stand on a page by itself, as SETTABLE says."""
    starts, ends = np.array(SETTABLE).T
    at = np.searchsorted(starts, points, "right") - 1
    return (at >= 0) & (points <= ends[np.maximum(at, 0)])


@cache
def _bundled() -> Path:
    spec = find_spec("matplotlib")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "mpl-data/fonts/ttf"


@cache
def _mapped(*files: str) -> NDArray[np.uint32]:
    """The settable code points, in order, that all of `files` have a glyph for."""
    from matplotlib.ft2font import FT2Font  # takes 0.2 s

    points = None
    for file in files:
        glyphs = FT2Font(file).get_charmap()
        here = np.array(sorted(point for point, glyph in glyphs.items() if glyph), np.uint32)
        points = here if points is None else np.intersect1d(points, here, assume_unique=True)
    assert points is not None
    return points[settable(points)]


@cache
def _inked(point: int, *files: str) -> bool:
    """Whether the glyph of a code point is more than white space in all of `files`."""
    return all(_at_32(file).getmask(chr(point)).getbbox() is not None for file in files)


@cache
def _at_32(file: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, 32, layout_engine=ImageFont.Layout.BASIC)


def typefaces(held_out: bool = False, for_print: bool = False) -> list[Typeface]:
    """The families that are trained on, or those held out, in the order of the list; `for_print` adds to the former
    those that print alone is trained on."""
    faces = [*TYPEFACES.values(), *(PRINT_TYPEFACES.values() if for_print else ())]
    return [t for t in faces if t.held_out == held_out]


def named(names: Sequence[str]) -> list[Typeface]:
    """The families of these names; UsageError if there is none of a name."""
    for name in names:
        if name not in TYPEFACES:
            raise UsageError(f"no font {name!r}; there are {', '.join(TYPEFACES)}")
    return [TYPEFACES[name] for name in names]


_OFL, _APACHE, _GPL = "OFL-1.1", "Apache-2.0", "GPL-3+ with font exception"
_GUST = "GUST font licence"


def _list() -> list[Typeface]:
    """name, kind, package without "fonts-", licence, folder, and the files' common start and three ends."""
    found = []
    for name, kind, licence, stem, ends in _BUNDLED:
        regular, bold, italic = (f"{stem}{end}.ttf" for end in ends.split(","))
        found.append(Typeface(name, kind, BUNDLED, licence, regular, bold, italic))
    for name, kind, package, licence, stem, ends, held_out in _DEBIAN:
        found.append(Typeface(name, kind, f"fonts-{package}", licence, *_files(stem, ends), held_out))
    return found


def _files(stem: str, ends: str) -> tuple[str, str, str]:
    regular, bold, italic = (stem.replace("*", end) for end in ends.split(","))
    return regular, bold, italic


_BUNDLED: tuple[tuple[str, Kind, str, str, str], ...] = (
    ("DejaVu Sans", "sans", "Bitstream Vera", "DejaVuSans", ",-Bold,-Oblique"),
    ("DejaVu Serif", "serif", "Bitstream Vera", "DejaVuSerif", ",-Bold,-Italic"),
    ("DejaVu Sans Mono", "mono", "Bitstream Vera", "DejaVuSansMono", ",-Bold,-Oblique"),
    ("STIX General", "serif", _OFL, "STIXGeneral", ",Bol,Italic"),
)
_RBI = "Regular,Bold,Italic"
_DEBIAN: tuple[tuple[str, Kind, str, str, str, str, bool], ...] = (
    ("Andika", "sans", "sil-andika", _OFL, "truetype/andika/Andika-*.ttf", _RBI, False),
    ("B612", "sans", "b612", _OFL, "opentype/b612/B612-*.otf", _RBI, False),
    ("Cantarell", "sans", "cantarell", _OFL, "opentype/cantarell/Cantarell-*.otf", "Regular,Bold,Regular", False),
    ("Carlito", "sans", "crosextra-carlito", _OFL, "truetype/crosextra/Carlito-*.ttf", _RBI, False),
    ("CMU Sans Serif", "sans", "cmu", _OFL, "truetype/cmu/cmun*.ttf", "ss,sx,si", False),
    ("Comic Neue", "sans", "comic-neue", _OFL, "opentype/comic-neue/ComicNeue-*.otf", _RBI, False),
    ("FreeSans", "sans", "freefont-ttf", _GPL, "truetype/freefont/FreeSans*.ttf", ",Bold,Oblique", False),
    ("Go", "sans", "go", "BSD-3-Clause", "fonts-go/Go-*.ttf", _RBI, False),
    ("Inter", "sans", "inter", _OFL, "opentype/inter/Inter-*.otf", _RBI, False),
    ("Karla", "sans", "karla", _OFL, "truetype/karla/Karla-*.otf", _RBI, False),
    ("Lato", "sans", "lato", _OFL, "truetype/lato/Lato-*.ttf", _RBI, False),
    ("Liberation Sans", "sans", "liberation", _OFL, "truetype/liberation/LiberationSans-*.ttf", _RBI, False),
    ("Liberation Sans Narrow", "sans", "liberation", "GPL-2 with font exception",
     "truetype/liberation/LiberationSansNarrow-*.ttf", _RBI, False),
    ("Noto Sans", "sans", "noto-core", _OFL, "truetype/noto/NotoSans-*.ttf", _RBI, False),
    ("Open Sans", "sans", "open-sans", _APACHE, "truetype/open-sans/OpenSans-*.ttf", _RBI, False),
    ("PT Sans", "sans", "paratype", "ParaType free font licence", "truetype/paratype/PTS*F.ttf", "55,75,56", False),
    ("Roboto", "sans", "roboto-unhinted", _APACHE, "truetype/roboto/unhinted/RobotoTTF/Roboto-*.ttf", _RBI, False),
    ("Roboto Condensed", "sans", "roboto-unhinted", _APACHE, "truetype/roboto/unhinted/RobotoCondensed-*.ttf", _RBI,
     False),
    ("URW Gothic", "sans", "urw-base35", "AGPL-3 with font exception", "opentype/urw-base35/URWGothic-*.otf",
     "Book,Demi,BookOblique", False),
    ("C059", "serif", "urw-base35", "AGPL-3 with font exception", "opentype/urw-base35/C059-*.otf",
     "Roman,Bold,Italic", False),
    ("Caladea", "serif", "crosextra-caladea", _APACHE, "truetype/crosextra/Caladea-*.ttf", _RBI, False),
    ("Cardo", "serif", "cardo", _OFL, "truetype/cardo/Cardo*.ttf", "104s,b101,i99", False),
    ("Charis SIL", "serif", "sil-charis", _OFL, "truetype/charis/CharisSIL-*.ttf", _RBI, False),
    ("CMU Serif", "serif", "cmu", _OFL, "truetype/cmu/cmun*.ttf", "rm,bx,ti", False),
    ("FreeSerif", "serif", "freefont-ttf", _GPL, "truetype/freefont/FreeSerif*.ttf", ",Bold,Italic", False),
    ("Gentium Plus", "serif", "sil-gentiumplus", _OFL, "truetype/gentiumplus/GentiumPlus-*.ttf", _RBI, False),
    ("GFS Artemisia", "serif", "gfs-artemisia", _OFL, "opentype/artemisia/GFSArtemisia*.otf", ",Bold,It", False),
    ("GFS Didot", "serif", "gfs-didot", _OFL, "opentype/didot/GFSDidot*.otf", ",Bold,Italic", False),
    ("Liberation Serif", "serif", "liberation", _OFL, "truetype/liberation/LiberationSerif-*.ttf", _RBI, False),
    ("Noto Serif", "serif", "noto-core", _OFL, "truetype/noto/NotoSerif-*.ttf", _RBI, False),
    ("Old Standard", "serif", "oldstandard", _OFL, "truetype/fonts-oldstandard/OldStandard-*.ttf", _RBI, False),
    ("P052", "serif", "urw-base35", "AGPL-3 with font exception", "opentype/urw-base35/P052-*.otf",
     "Roman,Bold,Italic", False),
    ("PT Serif", "serif", "paratype", "ParaType free font licence", "truetype/paratype/PTF*F.ttf", "55,75,56", False),
    ("Quattrocento", "serif", "quattrocento", _OFL, "opentype/quattrocento/Quattrocento-*.otf",
     "Regular,Regular,Regular", False),
    ("Roboto Slab", "serif", "roboto-slab", _APACHE, "opentype/roboto/slab/RobotoSlab-*.otf", "Regular,Bold,Regular",
     False),
    ("URW Bookman", "serif", "urw-base35", "AGPL-3 with font exception", "opentype/urw-base35/URWBookman-*.otf",
     "Light,Demi,LightItalic", False),
    ("Yrsa", "serif", "yrsa-rasa", _OFL, "truetype/fonts-yrsa-rasa/Yrsa-*.ttf", _RBI, False),
    ("Anonymous Pro", "mono", "anonymous-pro", _OFL, "truetype/anonymous-pro/Anonymous Pro*.ttf", ", B, I", False),
    ("CMU Typewriter", "mono", "cmu", _OFL, "truetype/cmu/cmun*.ttf", "tt,tb,it", False),
    ("Courier Prime", "mono", "courier-prime", _OFL, "opentype/courier-prime/Courier Prime*.otf", ", Bold, Italic",
     False),
    ("FreeMono", "mono", "freefont-ttf", _GPL, "truetype/freefont/FreeMono*.ttf", ",Bold,Oblique", False),
    ("Inconsolata", "mono", "inconsolata", _OFL, "truetype/inconsolata/Inconsolata*.otf", ",,", False),
    ("JetBrains Mono", "mono", "jetbrains-mono", _APACHE, "truetype/jetbrains-mono/JetBrainsMono-*.ttf", _RBI, False),
    ("Liberation Mono", "mono", "liberation", _OFL, "truetype/liberation/LiberationMono-*.ttf", _RBI, False),
    ("PT Mono", "mono", "paratype", "ParaType free font licence", "truetype/paratype/PTM*F.ttf", "55,75,55", False),
    ("AR PL UKai", "cjk", "arphic-ukai", "Arphic public licence", "truetype/arphic/ukai.ttc", ",,", False),
    ("AR PL UMing", "cjk", "arphic-uming", "Arphic public licence", "truetype/arphic/uming.ttc", ",,", False),
    ("WenQuanYi Micro Hei", "cjk", "wqy-microhei", "Apache-2.0 or GPL-3+ with font exception",
     "truetype/wqy/wqy-microhei.ttc", ",,", False),
    ("Cabin", "sans", "cabin", _OFL, "opentype/cabin/Cabin-*.otf", _RBI, True),
    ("Clear Sans", "sans", "clear-sans", _APACHE, "truetype/clear-sans/ClearSans-*.ttf", _RBI, True),
    ("Linux Biolinum", "sans", "linuxlibertine", _OFL, "opentype/linux-libertine/LinBiolinum_*.otf", "R,RB,RI", True),
    ("EB Garamond", "serif", "ebgaramond", _OFL, "opentype/ebgaramond/EBGaramond12-*.otf", "Regular,Regular,Italic",
     True),
    ("Linux Libertine", "serif", "linuxlibertine", _OFL, "opentype/linux-libertine/LinLibertine_*.otf", "R,RB,RI",
     True),
    ("Vollkorn", "serif", "vollkorn", _OFL, "truetype/vollkorn/Vollkorn-*.ttf", _RBI, True),
    ("Fira Code", "mono", "firacode", _OFL, "truetype/firacode/FiraCode-*.ttf", "Regular,Bold,Regular", True),
    ("WenQuanYi Zen Hei", "cjk", "wqy-zenhei", "GPL-2 with font embedding exception", "truetype/wqy/wqy-zenhei.ttc",
     ",,", True),
)  # fmt: skip
_GYRE, _LATIN, _TEXLIVE = "fonts-texgyre", "fonts-lmodern", "texlive-fonts-extra"
#: name, kind, package, licence, and the files' common part and three differing ones
_TEX: tuple[tuple[str, Kind, str, str, str, str], ...] = (
    ("TeX Gyre Adventor", "sans", _GYRE, _GUST, "opentype/public/tex-gyre/texgyreadventor-*.otf",
     "regular,bold,italic"),
    ("TeX Gyre Heros", "sans", _GYRE, _GUST, "opentype/public/tex-gyre/texgyreheros-*.otf", "regular,bold,italic"),
    ("TeX Gyre Heros Cn", "sans", _GYRE, _GUST, "opentype/public/tex-gyre/texgyreheroscn-*.otf", "regular,bold,italic"),
    ("Latin Modern Sans", "sans", _LATIN, _GUST, "opentype/public/lm/lmsans*.otf", "10-regular,10-bold,10-oblique"),
    ("Latin Modern Sans 8", "sans", _LATIN, _GUST, "opentype/public/lm/lmsans*.otf", "8-regular,10-bold,8-oblique"),
    ("Archivo", "sans", _TEXLIVE, _OFL, "opentype/public/archivo/Archiv0-*.otf", _RBI),
    ("Chivo", "sans", _TEXLIVE, _OFL, "opentype/public/chivo/Chivo-*.otf", _RBI),
    ("Cooper Hewitt", "sans", _TEXLIVE, _OFL, "opentype/public/cooperhewitt/CooperHewitt-*.otf",
     "Book,Bold,BookItalic"),
    ("Cuprum", "sans", _TEXLIVE, _OFL, "truetype/public/cuprum/Cuprum-*.ttf", _RBI),
    ("Hind Madurai", "sans", _TEXLIVE, _OFL, "opentype/public/hindmadurai/HindMadurai-*.otf", "Regular,Bold,Regular"),
    ("IBM Plex Sans", "sans", _TEXLIVE, _OFL, "opentype/ibm/plex/IBMPlexSans-*.otf", _RBI),
    ("IBM Plex Sans Condensed", "sans", _TEXLIVE, _OFL, "opentype/ibm/plex/IBMPlexSansCondensed-*.otf", _RBI),
    ("Inria Sans", "sans", _TEXLIVE, _OFL, "opentype/public/inriafonts/InriaSans-*.otf", _RBI),
    ("Iwona", "sans", _TEXLIVE, _GUST, "opentype/nowacki/iwona/Iwona-*.otf", _RBI),
    ("Josefin Sans", "sans", _TEXLIVE, _OFL, "truetype/public/josefin/JosefinSans-*.ttf", _RBI),
    ("Kp Sans", "sans", _TEXLIVE, _OFL, "opentype/public/kpfonts-otf/KpSans-*.otf", _RBI),
    ("Kurier", "sans", _TEXLIVE, _GUST, "opentype/nowacki/kurier/Kurier-*.otf", _RBI),
    ("Lexend Deca", "sans", _TEXLIVE, _OFL, "truetype/public/lexend/LexendDeca-*.ttf", "Regular,Regular,Regular"),
    ("Libre Franklin", "sans", _TEXLIVE, _OFL, "opentype/impallari/librefranklin/LibreFranklin-*.otf", _RBI),
    ("Merriweather Sans", "sans", _TEXLIVE, _OFL, "opentype/sorkin/merriweather/MerriweatherSans-*.otf", _RBI),
    ("Mint Spirit", "sans", _TEXLIVE, _OFL, "opentype/arkandis/mintspirit/MintSpirit-*.otf", _RBI),
    ("Montserrat", "sans", _TEXLIVE, _OFL, "opentype/public/montserrat/Montserrat-*.otf", _RBI),
    ("Nunito", "sans", _TEXLIVE, _OFL, "opentype/public/nunito/Nunito-*.otf", _RBI),
    ("Open Sans Condensed", "sans", _TEXLIVE, _APACHE, "truetype/ascender/opensans/OpenSansCondensed-*.ttf",
     "Light,Bold,LightItalic"),
    ("Overlock", "sans", _TEXLIVE, _OFL, "opentype/tipo/overlock/Overlock-*-OTF.otf", _RBI),
    ("Raleway", "sans", _TEXLIVE, _OFL, "opentype/impallari/raleway/Raleway-*.otf", "Regular,Bold,Regular-Italic"),
    ("Rosario", "sans", _TEXLIVE, _OFL, "opentype/public/rosario/Rosario-*.otf", _RBI),
    ("Source Sans Pro", "sans", _TEXLIVE, _OFL, "opentype/adobe/sourcesanspro/SourceSansPro-*.otf",
     "Regular,Bold,RegularIt"),
    ("TeX Gyre Bonum", "serif", _GYRE, _GUST, "opentype/public/tex-gyre/texgyrebonum-*.otf", "regular,bold,italic"),
    ("TeX Gyre Pagella", "serif", _GYRE, _GUST, "opentype/public/tex-gyre/texgyrepagella-*.otf", "regular,bold,italic"),
    ("TeX Gyre Schola", "serif", _GYRE, _GUST, "opentype/public/tex-gyre/texgyreschola-*.otf", "regular,bold,italic"),
    ("TeX Gyre Termes", "serif", _GYRE, _GUST, "opentype/public/tex-gyre/texgyretermes-*.otf", "regular,bold,italic"),
    ("TeX Gyre Chorus", "serif", _GYRE, _GUST, "opentype/public/tex-gyre/texgyrechorus-*.otf",
     "mediumitalic,mediumitalic,mediumitalic"),
    ("Latin Modern Roman", "serif", _LATIN, _GUST, "opentype/public/lm/lmroman10-*.otf", "regular,bold,italic"),
    ("Latin Modern Roman 8", "serif", _LATIN, _GUST, "opentype/public/lm/lmroman8-*.otf", "regular,bold,italic"),
    ("Latin Modern Roman 12", "serif", _LATIN, _GUST, "opentype/public/lm/lmroman12-*.otf", "regular,bold,italic"),
    ("Latin Modern Roman Demi", "serif", _LATIN, _GUST, "opentype/public/lm/lmroman*.otf",
     "demi10-regular,10-bold,demi10-oblique"),
    ("Latin Modern Roman Slanted", "serif", _LATIN, _GUST, "opentype/public/lm/lmroman*.otf",
     "slant10-regular,slant10-bold,10-italic"),
    ("Alegreya", "serif", _TEXLIVE, _OFL, "opentype/huerta/alegreya/Alegreya-*.otf", _RBI),
    ("Algol Revived", "serif", _TEXLIVE, _OFL, "opentype/public/algolrevived/AlgolRevived*.otf", ",-Medium,-Slanted"),
    ("Antykwa Połtawskiego", "serif", _TEXLIVE, _GUST, "opentype/gust/poltawski/antpolt-*.otf", "regular,bold,italic"),
    ("Antykwa Toruńska", "serif", _TEXLIVE, _GUST, "opentype/public/antt/AntykwaTorunska-*.otf", _RBI),
    ("Arvo", "serif", _TEXLIVE, _OFL, "truetype/public/arvo/Arvo-*.ttf", _RBI),
    ("Baskervaldx", "serif", _TEXLIVE, "GPL-2+ with font exception", "opentype/public/baskervaldx/Baskervaldx-*.otf",
     "Reg,Bol,Ita"),
    ("BaskervilleF", "serif", _TEXLIVE, _OFL, "opentype/public/baskervillef/BaskervilleF-*.otf", _RBI),
    ("Bitter", "serif", _TEXLIVE, _OFL, "truetype/huerta/bitter/Bitter-*.ttf", _RBI),
    ("Clara", "serif", _TEXLIVE, _OFL, "opentype/public/clara/clara*.otf", "r,b,i"),
    ("Coelacanth", "serif", _TEXLIVE, _OFL, "opentype/public/coelacanth/Coelacanth*.otf", ",Bold,Italic"),
    ("Crimson", "serif", _TEXLIVE, _OFL, "opentype/kosch/crimson/Crimson-*.otf", "Roman,Bold,Italic"),
    ("Crimson Pro", "serif", _TEXLIVE, _OFL, "truetype/public/crimsonpro/CrimsonPro-*.ttf", _RBI),
    ("Eczar", "serif", _TEXLIVE, _OFL, "opentype/public/eczar/Eczar-*.otf", "Regular,Bold,Regular"),
    ("Erewhon", "serif", _TEXLIVE, _OFL, "opentype/public/erewhon/Erewhon-*.otf", _RBI),
    ("ETbb", "serif", _TEXLIVE, "MIT", "opentype/public/etbb/ETbb-*.otf", _RBI),
    ("fbb", "serif", _TEXLIVE, _OFL, "opentype/public/fbb/fbb-*.otf", _RBI),
    ("GFS Bodoni", "serif", _TEXLIVE, _OFL, "opentype/public/gfsbodoni/GFSBodoni*.otf", ",Bold,It"),
    ("IM Fell English", "serif", _TEXLIVE, _OFL, "opentype/iginomarini/imfellenglish/IMFeEN*28P.otf", "rm,rm,it"),
    ("Inria Serif", "serif", _TEXLIVE, _OFL, "opentype/public/inriafonts/InriaSerif-*.otf", _RBI),
    ("IBM Plex Serif", "serif", _TEXLIVE, _OFL, "opentype/ibm/plex/IBMPlexSerif-*.otf", _RBI),
    ("Kp Roman", "serif", _TEXLIVE, _OFL, "opentype/public/kpfonts-otf/KpRoman-*.otf", _RBI),
    ("Kp Roman Light", "serif", _TEXLIVE, _OFL, "opentype/public/kpfonts-otf/KpRoman-*.otf",
     "Light,Semibold,LightItalic"),
    ("Libre Baskerville", "serif", _TEXLIVE, _OFL, "truetype/impallari/librebaskerville/LibreBaskerville-*.ttf", _RBI),
    ("Libre Bodoni", "serif", _TEXLIVE, _OFL, "opentype/impallari/librebodoni/LibreBodoni-*.otf", _RBI),
    ("Libre Caslon", "serif", _TEXLIVE, _OFL, "opentype/impallari/librecaslon/LibreCaslonText-*.otf", _RBI),
    ("Merriweather", "serif", _TEXLIVE, _OFL, "opentype/sorkin/merriweather/Merriweather-*.otf", _RBI),
    ("New Computer Modern Book", "serif", _TEXLIVE, _GUST, "opentype/public/newcomputermodern/NewCM10-*.otf",
     "Book,Bold,BookItalic"),
    ("Playfair Display", "serif", _TEXLIVE, _OFL, "opentype/public/playfair/PlayfairDisplay-*.otf", _RBI),
    ("Source Serif Pro", "serif", _TEXLIVE, _OFL, "opentype/adobe/sourceserifpro/SourceSerifPro-*.otf",
     "Regular,Bold,RegularIt"),
    ("Spectral", "serif", _TEXLIVE, _OFL, "truetype/production/spectral/Spectral-*.ttf", _RBI),
    ("STIX Two Text", "serif", _TEXLIVE, _OFL, "opentype/public/stix2-otf/STIXTwoText-*.otf", _RBI),
    ("Theano Didot", "serif", _TEXLIVE, _OFL, "truetype/public/theanodidot/TheanoDidot-*.ttf",
     "Regular,Regular,Regular"),
    ("Theano Modern", "serif", _TEXLIVE, _OFL, "truetype/public/theanomodern/TheanoModern-*.ttf",
     "Regular,Regular,Regular"),
    ("Theano Old Style", "serif", _TEXLIVE, _OFL, "truetype/public/theanooldstyle/TheanoOldStyle-*.ttf",
     "Regular,Regular,Regular"),
    ("XCharter", "serif", _TEXLIVE, "Bitstream Charter licence", "opentype/public/xcharter/XCharter-*.otf",
     "Roman,Bold,Italic"),
    ("TeX Gyre Cursor", "mono", _GYRE, _GUST, "opentype/public/tex-gyre/texgyrecursor-*.otf", "regular,bold,italic"),
    ("Latin Modern Mono", "mono", _LATIN, _GUST, "opentype/public/lm/lmmono*.otf", "10-regular,lt10-bold,10-italic"),
    ("Latin Modern Mono Light", "mono", _LATIN, _GUST, "opentype/public/lm/lmmonolt10-*.otf", "regular,bold,oblique"),
    ("Cascadia Code", "mono", _TEXLIVE, _OFL, "opentype/public/cascadia-code/CascadiaCod3-*.otf",
     "Regular,Bold,Regular"),
    ("Droid Sans Mono", "mono", _TEXLIVE, _APACHE, "truetype/ascender/droid/droidsansmono/DroidSansMono*.ttf", ",,"),
    ("Go Mono", "mono", _TEXLIVE, "BSD-3-Clause", "truetype/bh/gofonts/GoMono-*.ttf", "Regular,Bold,Regular-Italic"),
    ("IBM Plex Mono", "mono", _TEXLIVE, _OFL, "opentype/ibm/plex/IBMPlexMono-*.otf", _RBI),
    ("Kp Mono", "mono", _TEXLIVE, _OFL, "opentype/public/kpfonts-otf/KpMono-*.otf", _RBI),
    ("Source Code Pro", "mono", _TEXLIVE, _OFL, "opentype/adobe/sourcecodepro/SourceCodePro-*.otf",
     "Regular,Bold,RegularIt"),
    ("UM Typewriter", "mono", _TEXLIVE, _OFL, "opentype/public/umtypewriter/UMTypewriter-*.otf", _RBI),
)  # fmt: skip
TYPEFACES = {t.name: t for t in _list()}
#: Families that print alone is trained on besides: what TeX and the web set documents in.
PRINT_TYPEFACES = {
    name: Typeface(name, kind, package, licence, *_files(stem, ends))
    for name, kind, package, licence, stem, ends in _TEX
}

_COMMON = """
    Hebrew Arabic Devanagari Bengali Gurmukhi Gujarati Oriya Tamil Telugu Kannada Malayalam Sinhala Thai Lao
    Myanmar Georgian Armenian Ethiopic Khmer
"""
_RARE = """
    Adlam AnatolianHieroglyphs Avestan Balinese Bamum BassaVah Batak Bhaiksuki Brahmi Buginese Buhid
    CanadianAboriginal Carian CaucasianAlbanian Chakma Cham Cherokee Coptic Cuneiform Cypriot Deseret Duployan
    EgyptianHieroglyphs Elbasan Elymaic Glagolitic Gothic Grantha GunjalaGondi HanifiRohingya Hanunoo Hatran
    ImperialAramaic IndicSiyaqNumbers InscriptionalPahlavi InscriptionalParthian Javanese Kaithi KayahLi
    Kharoshthi Khojki Khudawadi Lepcha Limbu LinearA LinearB Lisu Lycian Lydian Mahajani Mandaic Manichaean
    Marchen MasaramGondi MayanNumerals Medefaidrin MeeteiMayek MendeKikakui Meroitic Miao Modi Mongolian Mro
    Multani NKo Nabataean NewTaiLue Newa Nushu Ogham OlChiki OldHungarian OldItalic OldNorthArabian OldPermic
    OldPersian OldSogdian OldSouthArabian OldTurkic Osage Osmanya PahawhHmong Palmyrene PauCinHau PhagsPa
    Phoenician PsalterPahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham Sogdian SoraSompeng
    Soyombo Sundanese SylotiNagri Syriac Tagalog Tagbanwa TaiLe TaiTham TaiViet Takri Thaana Tifinagh Tirhuta
    Ugaritic Vai Wancho WarangCiti Yi ZanabazarSquare
"""
#: What strips are set in, by (package, file): the first of them that is there and has a character draws it. Noto's
#: sans for every script (the letters of the paper's merged font), then signs, Chinese, and what is always there.
STRIP_FONTS: tuple[tuple[str, str], ...] = (
    ("fonts-noto-core", "truetype/noto/NotoSans-Regular.ttf"),
    *(("fonts-noto-core", f"truetype/noto/NotoSans{script}-Regular.ttf") for script in _COMMON.split()),
    ("fonts-wqy-microhei", "truetype/wqy/wqy-microhei.ttc"),
    ("fonts-arphic-uming", "truetype/arphic/uming.ttc"),
    ("fonts-wqy-zenhei", "truetype/wqy/wqy-zenhei.ttc"),
    *(("fonts-noto-core", f"truetype/noto/NotoSans{script}-Regular.ttf") for script in _RARE.split()),
    *(
        ("fonts-noto-core", f"truetype/noto/NotoSerif{script}-Regular.ttf")
        for script in ("Tibetan", "Tangut", "Ahom", "Dogra", "NyiakengPuachueHmong", "Yezidi")
    ),
    (BUNDLED, "DejaVuSans.ttf"),
    *(("fonts-noto-core", f"truetype/noto/NotoSans{kind}-Regular.ttf") for kind in ("Symbols", "Symbols2", "Math")),
    ("fonts-noto-color-emoji", "truetype/noto/NotoColorEmoji.ttf"),
    ("fonts-noto-core", "truetype/noto/NotoMusic-Regular.ttf"),
    ("fonts-freefont-ttf", "truetype/freefont/FreeSerif.ttf"),
    (BUNDLED, "STIXGeneral.ttf"),
)


def strip_fonts() -> list[tuple[str, Path]]:
    """(package, file) of STRIP_FONTS that are there, in its order."""
    files = ((package, font_file(name, package)) for package, name in STRIP_FONTS)
    return [(package, file) for package, file in files if file is not None]
