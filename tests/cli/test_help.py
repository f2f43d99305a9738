"""Help: there at once, complete, with examples."""

from __future__ import annotations

import subprocess
import sys

import pytest

from raynas.cli.app import app, call
from raynas.version import __version__

COMMANDS = [command.name or command.callback.__name__ for command in app.registered_commands]  # type: ignore[union-attr]


def test_the_foundations_commands_are_there() -> None:
    assert {"search", "resume", "status", "list", "best", "spaces", "describe"} <= set(COMMANDS)


@pytest.mark.parametrize("arguments", [["--help"], ["search", "--help"], ["--version"]], ids=" ".join)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from raynas.cli.app import call; code = call(sys.argv[1:]);"
        "heavy = ['ray', 'torch', 'optuna', 'numpy', 'yaml', 'sklearn', 'raynas.api'];"
        "print('\\nloaded:', [name for name in heavy if name in sys.modules], code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: [] 0"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"raynas {command}" in shown.partition("Example")[2]


def test_no_words_at_all_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert call([]) == 2
    output = capsys.readouterr()
    assert "search" in output.out + output.err
    assert "error:" not in output.out + output.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["--version"]) == 0
    assert capsys.readouterr().out == f"raynas {__version__}\n"
