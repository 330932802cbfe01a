"""Measures of what was read, and pictures of what was measured."""
