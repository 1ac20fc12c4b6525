"""`python -m nplmon.cli`: the command without its entry point."""

from nplmon.cli import main

main()
