"""``python -m tinyvision`` is the command line."""

from tinyvision.cli import main

main()
