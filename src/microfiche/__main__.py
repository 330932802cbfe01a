"""Runs the command line: `python -m microfiche` is the same as `microfiche`."""

from microfiche.cli import main

main()
