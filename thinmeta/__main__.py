"""`python -m thinmeta` is the command `thinmeta`."""

from thinmeta.cli import main

main(prog_name="thinmeta")
