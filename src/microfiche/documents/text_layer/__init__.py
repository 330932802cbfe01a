"""The text that a PDF page holds: as lines, and how far they can be trusted."""
