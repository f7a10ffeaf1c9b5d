"""``python -m bench`` is ``netbench``."""

from bench.cli import main

main()
