"""How LaTeX writes each character of mathematics, and what part it plays in a formula.

The names are those of LaTeX with amsmath and amssymb which KaTeX knows, too. Knows nothing of places on a page.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Literal

Role = Literal["letter", "digit", "sign", "large", "binary", "relation", "open", "close", "mark", "accent"]


def _table(text: str) -> dict[str, str]:
    pairs = text.split()
    return {sign: f"\\{name}" for sign, name in zip(pairs[::2], pairs[1::2], strict=True)}


GREEK = _table("""
    α alpha β beta γ gamma δ delta ε varepsilon ϵ epsilon ζ zeta η eta θ theta ϑ vartheta ι iota κ kappa ϰ varkappa
    λ lambda μ mu µ mu ν nu ξ xi π pi ϖ varpi ρ rho ϱ varrho σ sigma ς varsigma τ tau υ upsilon φ varphi ϕ phi χ chi
    ψ psi ω omega Γ Gamma Δ Delta Θ Theta Λ Lambda Ξ Xi Π Pi Σ Sigma Υ Upsilon ϒ Upsilon Φ Phi Ψ Psi Ω Omega ϝ digamma
    ∆ Delta Ω Omega
""") | {sign: letter for sign, letter in zip([*"οΑΒΕΖΗΙΚΜΝΟΡΤΧ"], [*"oABEZHIKMNOPTX"], strict=True)}
SIGNS = _table("""
    ∞ infty ∂ partial ∇ nabla ℏ hbar ħ hbar ℓ ell
    ℘ wp ℵ aleph ℶ beth ℷ gimel ℸ daleth ∀ forall ∃ exists ∄ nexists ∅ emptyset
    ∁ complement ¬ neg ⊤ top ⊥ bot ∠ angle △ triangle ▽ triangledown □ square ■ blacksquare ◇ lozenge ◊ lozenge
    ⧫ blacklozenge ★ bigstar ♣ clubsuit ♢ diamondsuit ♦ diamondsuit ♡ heartsuit ♥ heartsuit ♠ spadesuit ♭ flat
    ♮ natural ♯ sharp ℜ Re ℑ Im ı imath ȷ jmath ℧ mho ð eth … ldots ⋯ cdots ⋮ vdots ⋱ ddots ′ prime † dagger ‡ ddagger
    § S ¶ P £ pounds ✓ checkmark ✠ maltese ® circledR
""") | {"″": "''", "‴": "'''", "°": "^\\circ", "%": "\\%", "#": "\\#", "&": "\\&", "_": "\\_"}
LARGE = _table("""
    ∑ sum ∏ prod ∐ coprod ∫ int ∬ iint ∭ iiint ∮ oint ⋃ bigcup ⋂ bigcap ⨄ biguplus ⋀ bigwedge ⋁ bigvee ⨆ bigsqcup
    ⨀ bigodot ⨁ bigoplus ⨂ bigotimes
""")
BINARY = {"+": "+", "−": "-", "-": "-", "–": "-", "/": "/", "∕": "/", "*": "*", "∗": "*"} | _table("""
    ± pm ∓ mp × times ÷ div ⋅ cdot · cdot ∘ circ ◦ circ • bullet ∙ bullet ⊕ oplus ⊖ ominus ⊗ otimes ⊘ oslash ⊙ odot
    ◯ bigcirc ⋄ diamond ⋆ star ∪ cup ∩ cap ⊎ uplus ∧ wedge ∨ vee ⊔ sqcup ⊓ sqcap ∖ setminus ≀ wr ⨿ amalg ⋉ ltimes
    ⋊ rtimes ⊞ boxplus ⊠ boxtimes ⊡ boxdot ⋎ curlyvee ⋏ curlywedge ⊲ lhd ⊳ rhd ⊴ unlhd ⊵ unrhd ◁ triangleleft
    ▷ triangleright
""")
RELATIONS = {"=": "=", "<": "<", ">": ">", ":": ":", "∶": ":", "≔": ":="} | _table("""
    ≤ leq ≥ geq ≠ neq ≡ equiv ≢ not\\equiv ≈ approx ≊ approxeq ∼ sim ≁ nsim ≃ simeq ≅ cong ≇ ncong ≂ eqsim ≍ asymp
    ∝ propto ≪ ll ≫ gg ≲ lesssim ≳ gtrsim ⪅ lessapprox ⪆ gtrapprox ≶ lessgtr ≷ gtrless ⩽ leqslant ⩾ geqslant ≦ leqq
    ≧ geqq ≮ nless ≯ ngtr ≰ nleq ≱ ngeq ⋖ lessdot ⋗ gtrdot ≺ prec ≻ succ ⪯ preceq ⪰ succeq ≼ preccurlyeq
    ≽ succcurlyeq ⊀ nprec ⊁ nsucc ⊂ subset ⊃ supset ⊆ subseteq ⊇ supseteq ⊄ not\\subset ⊅ not\\supset ⊈ nsubseteq
    ⊉ nsupseteq ⊊ subsetneq ⊋ supsetneq ⫅ subseteqq ⫆ supseteqq ⊑ sqsubseteq ⊒ sqsupseteq ∈ in ∋ ni ∉ notin ∣ mid
    ∤ nmid ∦ nparallel ⊢ vdash ⊣ dashv ⊨ models ⊩ Vdash ⊪ Vvdash ⊬ nvdash ⊭ nvDash ≜ triangleq ≐ doteq ≑ doteqdot
    ∴ therefore ∵ because ⌣ smile ⌢ frown ϶ backepsilon → to ← leftarrow ↔ leftrightarrow ⇒ Rightarrow ⇐ Leftarrow
    ⇔ Leftrightarrow ⟶ longrightarrow ⟵ longleftarrow ⟷ longleftrightarrow ⟹ Longrightarrow ⟸ Longleftarrow
    ⟺ Longleftrightarrow ↦ mapsto ⟼ longmapsto ↑ uparrow ↓ downarrow ↕ updownarrow ⇑ Uparrow ⇓ Downarrow
    ⇕ Updownarrow ↗ nearrow ↘ searrow ↖ nwarrow ↙ swarrow ↪ hookrightarrow ↩ hookleftarrow ⇀ rightharpoonup
    ⇁ rightharpoondown ↼ leftharpoonup ↽ leftharpoondown ⇌ rightleftharpoons ↠ twoheadrightarrow ⇝ leadsto
    ↛ nrightarrow ↚ nleftarrow ⇏ nRightarrow ⇍ nLeftarrow ⇎ nLeftrightarrow ↮ nleftrightarrow ⇉ rightrightarrows
    ⇇ leftleftarrows ↾ upharpoonright
""")
OPEN = {"(": "(", "[": "[", "{": "\\{"} | _table("⟨ langle 〈 langle ⌊ lfloor ⌈ lceil ⌜ ulcorner")
CLOSE = {")": ")", "]": "]", "}": "\\}"} | _table("⟩ rangle 〉 rangle ⌋ rfloor ⌉ rceil ⌝ urcorner")
BARS = {"|": "|", "∥": "\\|", "‖": "\\|", "\\": "\\backslash"}  #: may open, close or stand between
MARKS = {",": ",", ";": ";", ".": ".", "!": "!", "?": "?"}
#: Accents over one letter, by the combining character; those over several follow.
ACCENTS = {
    "\u0300": "\\grave", "\u0301": "\\acute", "\u0302": "\\hat", "\u0303": "\\tilde", "\u0304": "\\bar",
    "\u0305": "\\bar", "\u0306": "\\breve", "\u0307": "\\dot", "\u0308": "\\ddot", "\u030A": "\\mathring",
    "\u030C": "\\check", "\u20D7": "\\vec", "\u20DB": "\\dddot", "\u0332": "\\underline",
}  # fmt: skip
FUNCTIONS = frozenset({
    "arccos", "arcsin", "arctan", "arg", "cos", "cosh", "cot", "coth", "csc", "deg", "det", "dim", "exp", "gcd", "hom",
    "inf", "ker", "lg", "lim", "liminf", "limsup", "ln", "log", "max", "min", "Pr", "sec", "sin", "sinh", "sup", "tan",
    "tanh",
})  # fmt: skip
#: Functions whose limits stand below them.
UNDER = frozenset({"lim", "liminf", "limsup", "max", "min", "sup", "inf", "det", "gcd", "Pr", "argmax", "argmin"})
#: Letters that stand for their alphabets, beyond those that Unicode decomposes.
STYLES = {
    "DOUBLE-STRUCK": "mathbb", "FRAKTUR": "mathfrak", "BLACK-LETTER": "mathfrak", "SCRIPT": "mathcal",
    "SANS-SERIF": "mathsf", "MONOSPACE": "mathtt",
}  # fmt: skip
#: What may stand in plain text although it is of a font for mathematics.
TEXTUAL = frozenset("•·∙∗*†‡§¶©®™○◦◯■□▪▶►▸✓✔✗★☆|\\{}−–-<>/.,;:!?'\"′~→⇒_#&%$@+=()[]…✠♣♢♦♡♥♠")


@cache
def role_of(sign: str) -> Role | None:
    """What part a character plays in a formula; None for one that has none."""
    for role, table in _ROLES:
        if sign in table:
            return role
    if "\U0001d7ce" <= sign <= "\U0001d7ff" or (sign.isdigit() and sign.isascii()):
        return "digit"
    if sign[:1].isalpha() and unicodedata.normalize("NFKD", sign)[:1].isascii():
        return "letter"
    return "letter" if "\U0001d400" <= sign[:1] <= "\U0001d7cb" else None


_ROLES: tuple[tuple[Role, dict[str, str]], ...] = (
    ("letter", GREEK), ("sign", SIGNS), ("large", LARGE), ("binary", BINARY), ("relation", RELATIONS), ("open", OPEN),
    ("close", CLOSE), ("sign", BARS), ("mark", MARKS), ("accent", ACCENTS),
)  # fmt: skip


@cache
def letter_style(sign: str) -> tuple[str, str]:
    """The plain letter or digit that a letter of Unicode's mathematical alphabets stands for, and the alphabet's
    command, without its backslash; "" for none."""
    if sign.isascii() or not (sign in "ℂℍℕℙℚℝℤℬℰℱℋℐℒℳℛℯℊℴℭℌℨ" or "\U0001d400" <= sign <= "\U0001d7ff"):
        return sign, ""
    name, plain = unicodedata.name(sign, ""), unicodedata.normalize("NFKC", sign)
    if plain in ("ϕ", "φ", "ϵ", "ε", "ϑ", "ϱ", "ϖ", "ϰ", "∂", "∇") or len(plain) != 1:
        plain = plain[:1]
    style = next((command for word, command in STYLES.items() if word in name), "")
    if not style and "BOLD" in name:
        style = "boldsymbol" if "ITALIC" in name or plain in GREEK else "mathbf"
    return plain, style


@cache
def latex_of(sign: str) -> str | None:
    """How LaTeX writes a character, without its alphabet; None where it cannot be written."""
    for _, table in _ROLES:
        if sign in table:
            return table[sign]
    return sign if sign.isascii() and sign.isalnum() else None


def parted(text: str) -> tuple[str, tuple[str, ...]]:
    """A character without its accents, and the accents' commands from the letter outwards; ("", ()) where an accent
    has none."""
    if latex_of(text) is not None:
        return text, ()
    base, *marks = [*unicodedata.normalize("NFD", text)]
    commands = [ACCENTS.get(mark) for mark in marks]
    return ("", ()) if None in commands else (base, tuple(command for command in commands if command))


WORDS = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "“": '"', "”": '"', "‘": "'",
    "’": "'", "–": "-", "—": "-", "−": "-", "\u00ad": "-", **{sign: f"\\{sign}" for sign in "{}$&#_%"},
}  # fmt: skip


def said(text: str) -> str:
    r"""Words as they stand within \text{…}: with that escaped which LaTeX would take for a command."""
    return "".join(WORDS.get(sign, sign) for sign in text)
