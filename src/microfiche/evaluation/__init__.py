"""Measures how well pages were read, and draws what was measured."""
