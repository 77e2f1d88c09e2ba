"""``python -m stablellava.cli``: the command, where its script is not on the path."""

from stablellava.cli import main

main()
