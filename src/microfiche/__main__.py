"""`python -m microfiche`, the same as `microfiche`."""

from microfiche.cli import main

main()
