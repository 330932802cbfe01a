"""Formulas of a PDF's text layer as LaTeX: within a line, and on rows of their own."""
