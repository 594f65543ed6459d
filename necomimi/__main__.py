"""Run `python -m necomimi` as the command `necomimi`: argv -> exit status."""

from necomimi.cli import main

main()
