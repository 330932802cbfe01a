"""Microfiche within other people's libraries. Each module needs one of them, which it names where it is missing."""
