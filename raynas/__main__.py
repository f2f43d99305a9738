"""``python -m raynas`` is the ``raynas`` command."""

from raynas.cli.app import main

main()
