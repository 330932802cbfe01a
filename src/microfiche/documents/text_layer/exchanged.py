"""Two letters that a text layer exchanges, as where a font's table of characters is wrong: all letters are as frequent
as in a language and may have the right shapes, and only frequent words tell, of which most are gone.

Raises a doubt, no more; whoever reads the picture settles it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from microfiche.documents.finishing.languages import LANGUAGES

WORDS = 25  #: that are needed to tell
USUAL = 0.2  #: of the words of running text, those that are among the frequent ones of its language, at least
GAINED = 0.08  #: of the words, those that are frequent only when two letters are exchanged, at least
DIFFERENT = 3  #: of these, at least
COMMONEST = 50  #: words that are compared
LOST = 3  #: words that are known only when letters are exchanged, for each that is known only as it is
LONG = 3  #: letters of a word of which the letters of a few headings are doubted, at least
#: Words that are frequent in English, German, French and Spanish, and those of headings there.
COMMON = [frozenset(words.split()) for words in (
    "about abstract acknowledgements after again against all also always am an analysis and another any appendix "
    "applications are as at away back background be became because been before began being between bibliography born "
    "both but by called came can chapter come conclusion conclusions contents could data day dear description did "
    "discussion do don down during each end evaluation even ever every example examples experiments eyes face family "
    "father figure first for found from general get go good great had half hand has have he head her here herself him "
    "himself his history home house how if in index into introduction is it its just know known last later left life "
    "like list little long look looked love made make man many materials may me men methods might mind model moment "
    "more most mother much must my name never new night no not notes nothing now of off old on once one only or other "
    "our out over overview own part people place preface quite references related results room round said same say "
    "school season second section see seemed shall she should since so some something still such summary table take "
    "team tell than that the their them then theory there these they think this those though thought three through "
    "time to too took two under until up upon us very was way we well went were what when where which while who will "
    "with without woman women won work world would year years yet you young your",
    "ab abbildung aber abschnitt alle allein allen alles als alte alten am an andere andern anhang auch auf aus bei "
    "beiden beispiel bin bis blieb da dann das dazu daß dem den denn der des dessen dich die dies diese diesem diesen "
    "dieser dieses dir diskussion doch dort du durch eben ein eine einem einen einer eines einführung einleitung "
    "einmal er ergebnisse erst ersten es etwas fast fort fuhr für gab ganz ganze ganzen gar gegen gewesen ging gleich "
    "große großen grundlagen gut hab habe haben hast hat hatte hatten her heute hielt hier hin hinter hätte ich ihm "
    "ihn ihnen ihr ihre ihrem ihren ihrer im immer in inhalt inhaltsverzeichnis ist ja jetzt jungen kam kann kapitel "
    "kein keine kleinen kommen konnte können lag lange lassen ließ literatur literaturverzeichnis machen machte man "
    "mehr mein meine meinem meinen meiner methoden mich mir mit muß mußte müssen nach nahm neben nicht nichts nie "
    "noch nun nur ob oder ohne recht rief sagen sagte sah schien schon sehen sehr sei sein seine seinem seinen seiner "
    "seines selbst sich sie sind so soll sollte sondern sprach stand tabelle teil um und uns unter viel vielleicht "
    "vom von vor vorwort war waren was weil weiter weiß welche wenig wenn werde werden wie wieder will wir wird "
    "wissen wo wohl wollen wollte wurde während wäre würde zu zum zur zurück zusammenfassung zwei zwischen über "
    "übersicht",
    "ai ainsi air allait aller alors amour annexe ans après assez au aurait aussi autre autres aux avaient avais "
    "avait avant avec avez avoir beaucoup belle bibliographie bien bon bonne bras car ce cela celle celui ces cet "
    "cette ceux chambre chapitre chez chose choses comme conclusion contre coup côté cœur dans de depuis des deux "
    "devant dire disait discussion dit donc dont du déjà elle elles en encore enfant entre est et eu eut eux exemple "
    "eût faire faisait fait faut femme figure fille fit fois fort fut gens grand grande heure heures histoire homme "
    "hommes ici il ils introduction jamais je jeune jour jours jusqu la le les leur leurs lui là ma madame main mains "
    "mais maison mal me mes mieux moi moins moment mon monde monsieur mort mère méthodes même ne ni nom non notre "
    "nous nuit on ont ou où par partie pas pauvre peine pendant personne petit petite peu peut place plus point porte "
    "pour pouvait presque près préface puis père qu quand que quelque quelques qui regard rien références répondit "
    "résultats résumé sa sais sans savoir se section serait ses seul si soir sommaire son sont sous suis sur tableau "
    "tant te temps toi ton toujours tous tout toute toutes trois trop très tu tête un une venait vers vie vieux voir "
    "voix votre vous yeux ça étaient était été être",
    "ahora al algo alguna algunos algún allí alma amor antes apéndice aquel aquella aquellos aquí así aun aunque años "
    "bibliografía bien caballero cabeza cada capítulo casa caso como con conclusiones conde contra corazón cosa cosas "
    "cual cuando cuanto cómo dar de decir decía del desde después dicho dijo discusión don donde dos doña día días "
    "ejemplo el ella ellos en entonces entre era eran es esa ese eso esta estaba estas este esto está figura fin "
    "frente fue fuera gran ha haber había habían hace hacer hacia hacía han hasta hay he hecho hija hijo historia "
    "hizo hombre hombres hubiera iba introducción joven la lado las le les lo los luego madre mal mano manos mas "
    "mayor mañana me medio mejor menos mi mientras mil mis misma mismo modo momento mucho muerte mujer mundo muy más "
    "métodos mí nada nadie ni no noche nombre nos nunca ojos os otra otras otro otros padre palabras para parecía "
    "parte pero pobre poco podía por porque pronto prólogo pueblo puede puerta pues punto que quien qué referencias "
    "resultados resumen rey se sección ser señor señora si sido siempre sin sino sobre solo son su sus sé sí sólo "
    "tabla tal también tan tanto te tengo tenía tiempo tiene toda todas todo todos tres tu tú un una uno usted veces "
    "ver verdad vez vida voz vuestra ya yo él índice",
)]


def exchanged(words: Sequence[str]) -> str:
    """The two letters that are probably exchanged in running text of these words (in small letters), or ""."""
    counts = dict(Counter(word for word in words if 1 < len(word) < 7).most_common(COMMONEST))
    known = {code: sum(counts.get(word, 0) for word in frequent) for code, frequent in LANGUAGES}
    if len(words) < WORDS or max(known.values()) >= USUAL * len(words):
        return ""
    for code, frequent in LANGUAGES:
        gained: dict[str, Counter[str]] = {}
        for other in frequent:
            if len(other) > 1:
                for word, count in counts.items():
                    if len(word) == len(other) and (pair := _pair(word, other)):
                        gained.setdefault(pair, Counter())[word] = count
        for pair, its in gained.items():
            kept = sum(count for word, count in counts.items() if word in frequent and not set(word) & set(pair))
            enough = its.total() >= GAINED * len(words) and kept + its.total() >= USUAL * len(words)
            if enough and len(its) >= DIFFERENT and kept + its.total() > 1.5 * known[code]:
                return pair
    return ""


def common_to(words: Collection[str]) -> frozenset[str]:
    """The words that are frequent in the language that most of the words (in small letters) are of."""
    return max(COMMON, key=lambda its: len(its.intersection(words)))


def unlikely(words: Collection[str], known: Collection[str], least: int) -> dict[str, str]:
    """Those of the words (in small letters) that are `known` only when two letters are exchanged, and what they are
    then: `least` of them at least, and far more than are known only as they are."""
    own = {word for word in words if len(word) >= LONG}
    by_length: dict[int, list[str]] = {}
    for word in known:
        by_length.setdefault(len(word), []).append(word)
    gained: dict[str, dict[str, str]] = {}
    for word in own.difference(known):
        for other in by_length.get(len(word), ()):
            if pair := _pair(word, other):
                gained.setdefault(pair, {})[word] = other
    for pair, its in sorted(gained.items(), key=lambda item: -len(item[1])):
        swap = {ord(pair[0]): pair[1], ord(pair[1]): pair[0]}
        touched = (word for word in own.intersection(known) if pair[0] in word or pair[1] in word)
        lost = sum(word.translate(swap) not in known for word in touched)
        if len(its) >= least and lost * LOST <= len(its):
            return its
    return {}


def _pair(word: str, other: str) -> str:
    """The two letters that make `other` of a `word` as long when they are exchanged; "" if no two do."""
    apart = {(a, b) if a < b else (b, a) for a, b in zip(word, other, strict=True) if a != b}
    if len(apart) != 1:
        return ""
    a, b = sorted(apart.pop())
    return a + b if word.translate({ord(a): b, ord(b): a}) == other else ""
