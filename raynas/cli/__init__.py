"""The command line: ``raynas --help``.

It reads a person's words, calls ``raynas.api`` and prints; it decides nothing. Nothing heavy is imported
before a command needs it, so that help answers at once.
"""

from raynas.cli.app import main

__all__ = ["main"]
