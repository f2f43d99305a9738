"""The ``raynas`` command: which commands there are, and how an error reaches a person."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from raynas.cli.commands import evaluate, export, mlflow, read, resume, search, show, simulate, spaces, trials
from raynas.errors import UserError, is_disk_full
from raynas.version import __version__

app = typer.Typer(
    name="raynas",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # a defect keeps Python's own traceback
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Searches live in $RAYNAS_HOME (default: ./raynas-runs), one folder a search.",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"raynas {__version__}")
        raise typer.Exit


@app.callback()
def _raynas(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Neural architecture search on Ray Tune: readable search spaces, exact resume, early stopping.

    Start with:  raynas search resnet
    """


app.command("search")(search.search)
app.command("resume")(resume.resume)
app.command("stop")(resume.stop)
app.command("status")(read.status)
app.command("list")(read.list_searches)
app.command("best")(read.best)
app.command("trials")(trials.trials)
app.command("show")(show.show)
app.command("export")(export.export)
app.command("evaluate")(evaluate.evaluate)
app.command("delete")(trials.delete)
app.command("spaces")(spaces.spaces)
app.command("describe")(spaces.describe)
app.command("simulate")(simulate.simulate)
app.command("ui")(mlflow.ui)
app.command("sync")(mlflow.sync)


def call(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code (0 done, 1 the search failed, 2 a person's mistake, 130 interrupted).

    Args:
        arguments: the command's words (default: the process's own).
    """
    try:
        code = app(args=arguments, prog_name="raynas", standalone_mode=False)
    except UserError as error:
        # In one line, also where it tells another library's words.
        print(f"error: {' '.join(line.strip() for line in str(error).splitlines())}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader went away: raynas list | head -1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if not is_disk_full(error):
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(f"error: {error.strerror}{where}; make room, and give the same command again", file=sys.stderr)
        return 1
    except Exception as error:
        # Typer's usage errors (a wrong option, a missing argument) are told by what they can do: their classes are
        # click's in older releases of typer, and typer's own in newer ones.
        if not hasattr(error, "format_message"):
            raise
        message = _one_line(error)
        if message:  # empty where the command was given nothing and has shown its help
            print(f"error: {message}", file=sys.stderr)
        return 2
    return code if isinstance(code, int) else 0


def _one_line(error: Exception) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else "raynas"
    return f"{message} ({where} --help)" if message else ""


def main() -> None:
    """The entry point of the ``raynas`` command."""
    sys.exit(call())
