"""Two letters that a text layer exchanges are told from the words that running text cannot do without."""

from __future__ import annotations

import pytest

from microfiche.documents.text_layer.exchanged import common_to, exchanged, unlikely

TEXTS = {
    "en": "when the station was closed the books were sent to the museum in town where a clerk put them on a shelf "
          "and forgot them and the keeper of the lighthouse wrote down the weather that he saw from it in his notes",
    "de": "als der bahnhof geschlossen wurde kamen die bücher in das museum der stadt und ein schreiber stellte sie "
          "auf den schrank und vergaß sie und der wärter des turms schrieb das wetter auf das nicht immer gut war",
    "fr": "quand la gare fut close les livres partirent pour le musée de la ville et un commis qui les mit sur une "
          "planche les oublia et le gardien du phare écrivit le temps dans un cahier avec des mots courts",
    "pl": "kiedy zamknięto stację książki trafiły do muzeum w mieście i nie wiadomo jak to się stało że nikt o nich "
          "nie pamiętał a latarnik przez lata pisał na kartkach o pogodzie za oknem oraz o tym że jest zimno",
}  # fmt: skip


def with_exchanged(text: str, pair: str) -> list[str]:
    a, b = pair
    return text.translate({ord(a): b, ord(b): a}).split()


@pytest.mark.parametrize(("code", "pair"), [
    ("en", "ae"), ("en", "nt"), ("en", "ht"), ("de", "de"), ("de", "ds"), ("fr", "es"), ("fr", "el"), ("pl", "ai"),
])  # fmt: skip
def test_exchanged_letters_are_found(code: str, pair: str) -> None:
    assert exchanged(with_exchanged(TEXTS[code], pair)) == pair


@pytest.mark.parametrize("code", TEXTS)
def test_text_in_any_language_is_what_it_is(code: str) -> None:
    assert exchanged(TEXTS[code].split()) == ""


@pytest.mark.parametrize("text", [
    "", "tha",
    "arma virumque cano troiae qui primus ab oris italiam fato profugus laviniaque venit litora multum ille et terris "
    "iactatus et alto vi superum saevae memorem iunonis ob iram multa quoque et bello passus dum conderet urbem",
    " ".join(f"bracket {k} model x{k}w part zdf" for k in range(20)),
])  # fmt: skip
def test_what_has_no_frequent_words_is_not_doubted(text: str) -> None:
    assert exchanged(text.split()) == ""


KNOWN = {"methods", "results", "lighthouse", "weather", "station", "museum", "before", "about", "people"}


@pytest.mark.parametrize("pair", ["eo", "st", "au"])
def test_words_of_headings_that_are_known_only_with_two_letters_exchanged_are_unlikely(pair: str) -> None:
    words = set(with_exchanged("methods results lighthouse weather station museum", pair))
    found = unlikely(words, KNOWN, 2)
    assert found and all(with_exchanged(word, pair) == [meant] for word, meant in found.items())


@pytest.mark.parametrize("words", ["methods results", "mothods of the lighthouse", "rosults", "", "bests of weather"])
def test_words_that_are_known_or_that_no_exchange_explains_are_not(words: str) -> None:
    assert not unlikely(set(words.split()), KNOWN, 2)


@pytest.mark.parametrize(("code", "word"), [("en", "which"), ("de", "nicht"), ("fr", "dans")])
def test_the_words_of_a_language_are_those_of_the_text(code: str, word: str) -> None:
    assert word in common_to(set(TEXTS[code].split()))
