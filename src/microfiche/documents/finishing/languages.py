"""The language of a text: by its script where that is of one language, otherwise by words that are frequent in few.

For the JSON, so that who takes it need not guess. A text that is too short, or as much of one as of another, has none.
"""

from __future__ import annotations

import re
from collections import Counter

WORD = re.compile(r"[^\W\d_]+")
LETTERS = 40  #: that a text must have
HITS, SHARE = 3, 1.3  #: of frequent words: how many there must be, and how many times those of the next language
#: Scripts, the first that makes up enough of a text, with the language that it stands for here.
SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]"), 0.05),
    ("ko", re.compile("[\uac00-\ud7a3\u1100-\u11ff]"), 0.2),
    ("zh", re.compile("[\u3400-\u9fff]"), 0.3),
    ("el", re.compile("[\u0370-\u03ff\u1f00-\u1fff]"), 0.5),
    ("he", re.compile("[\u0590-\u05ff]"), 0.5),
    ("fa", re.compile("[\u067e\u0686\u0698\u06af\u06cc]"), 0.03),
    ("ar", re.compile("[\u0600-\u06ff]"), 0.5),
    ("hi", re.compile("[\u0900-\u097f]"), 0.5),
    ("th", re.compile("[\u0e00-\u0e7f]"), 0.5),
    ("ka", re.compile("[\u10a0-\u10ff]"), 0.5),
    ("hy", re.compile("[\u0530-\u058f]"), 0.5),
    ("uk", re.compile("[\u0404\u0406\u0407\u0454\u0456\u0457]"), 0.03),
    ("cs", re.compile("[ěřů]"), 0.015),
    ("az", re.compile("[əƏ]"), 0.03),
    ("vi", re.compile("[đơưĐƠƯ\u1ea0-\u1ef9]"), 0.02),
)
FREQUENT = {
    "en": "the of and to in is that for it was with as be this are from which not have",
    "de": "der die und das ist nicht ein eine mit von auf für dem den sich des auch werden wird bei",
    "fr": "le la les et des est une dans pour qui que sur pas par plus du au avec ce sont",
    "es": "el la los las de que y en por con una para es del como más se lo pero su",
    "it": "il di che la per un una non con del della sono le è gli nel dei alla più come",
    "pt": "o de que e do da em um para com não uma os no se na por mais dos as ao",
    "nl": "de het een van en dat is op te voor met niet zijn aan door ook bij worden naar",
    "sv": "och att det som en på är av för med den till inte om ett har de kan vid",
    "da": "og at det som en på er af for med den til ikke om et har de kan ved blev",
    "pl": "i w na z do nie się jest to że o jak po od za przez dla oraz może które",
    "cs": "a v na se je že s z do o k i za pro by jako nebo podle které jsou",
    "sk": "a v na sa je že s z do o aj pre ako alebo podľa ktoré sú nie už ich pri",
    "cy": "yn y yr a i o ac ei ar am gan mae wedi bod eu fel hyn pawb oedd nid",
    "eo": "la kaj de en estas al por ne kiu ke pri kun ili sur aŭ devus unu plej ĉiuj tiu",
    "la": "et in est non ut ad cum sed quod ac ex qui per nec vel enim quam atque sit quis",
    "fi": "ja on ei että se oli mutta joka ovat myös kun tai sen hän voi mukaan ole",
    "tr": "ve bir bu için ile olarak da de çok daha olan gibi ne kadar sonra en var",
    "hu": "a az és hogy nem is egy meg de ez volt el vagy csak mint még már kell",
    "ro": "și de în la cu pe nu un o să din este care sunt pentru mai fi prin sau",
    "ru": "и в не на что с по как это к из от для за то или был его так же",
    "bg": "и на да се за от в не по с е са че към като при или това след може",
}
LANGUAGES = [(code, frozenset(words.split())) for code, words in FREQUENT.items()]


def language_of(text: str) -> str:
    """The ISO 639-1 code of a text's language, or ""."""
    words = WORD.findall(text[:8000].casefold())
    letters = sum(map(len, words))
    if letters < LETTERS / 2:
        return ""
    run = "".join(words)
    if not run.isascii():
        for code, script, share in SCRIPTS:
            if len(script.findall(run)) > share * letters:
                return code
    if letters < LETTERS:
        return ""
    counts = Counter(words)
    hits = sorted(((sum(n for word, n in counts.items() if word in frequent), code) for code, frequent in LANGUAGES),
                  reverse=True)
    (first, code), (second, _) = hits[:2]
    return code if first >= max(HITS, SHARE * second) else ""
