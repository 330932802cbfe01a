"""/ActualText counts only where it says what the page shows."""

from __future__ import annotations

import pytest
from makers import drawn
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.pdf.actual_text import says_the_same


def _claimed(shown: str, claim: bytes) -> str:
    def spoken(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 12)
        canvas._code.append(f"/Span <</ActualText <FEFF{claim.hex().upper()}>>> BDC")
        for y, part in zip((80, 60), shown.split(" ", 1), strict=True):
            canvas.drawString(20, y, part)
        canvas._code.append("EMC")
        canvas.drawString(20, 40, "below")

    text = drawn(spoken).text
    assert text is not None
    return " ".join(text.text.split())


def test_what_is_shown_counts_and_not_what_is_claimed() -> None:
    assert _claimed("The fee is four pounds", "TRANSFER FUNDS".encode("utf-16-be")) == "The fee is four pounds below"
    assert _claimed("Pay 1 380.00 now", "Pay 1 830.00 now".encode("utf-16-be")) == "Pay 1 380.00 now below"


@pytest.mark.parametrize(("claim", "shown", "same"), [
    ("suffix", "su\ufb03x", True), ("é", "e\u0301", True), ("\u00ad", "-", True), ("fi", "\x0c", True),
    ("a whole word", "\ufffd\ufffd\ue001", True), ("नमस्ते", "नमसत\u0947", True), ("yes", "no", False),
    ("", "shown", False), ("8", "3", False), ("-5", "5", False), ("IGNORE THIS", "•", False),
])  # fmt: skip
def test_other_signs_for_the_same_are_believed(claim: str, shown: str, same: bool) -> None:
    assert says_the_same(claim, shown) is same
