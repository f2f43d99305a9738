"""``raynas export``: a network that was found, as files that need neither RayNAS nor the search."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raynas.cli.commands.read import Json, Name
from raynas.cli.options import complete
from raynas.cli.options.values import whole
from raynas.report.wording import near

if TYPE_CHECKING:
    from raynas.export import Export

#: The packages that RayNAS itself needs, as they are called in a sentence.
_USUAL = {"torch": "torch", "safetensors": "safetensors", "pillow": "Pillow"}

#: What the files are that every format has.
_ALWAYS = {
    "architecture.json": "what it is, where it is from, what was measured",
    "preprocessing.json": "how an image becomes its input",
}


def export(
    name: Name,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="A new or empty folder.")],
    format: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="How it is written: source, torch_export, or an exporter of your own, path/to/file.py:NAME.",
            autocompletion=complete.formats,
        ),
    ] = "source",
    trial: Annotated[
        int | None,
        typer.Option(parser=whole("--trial", 0), metavar="N", help="Which trial's network (default: the best)."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not empty; files of other names stay.")
    ] = False,
    json: Json = False,
) -> None:
    """Write a trial's network into a folder: its weights, one readable Python file, and what is known of it.

    The file needs torch, safetensors and Pillow, and predicts on image files. Only the best trials' weights are kept
    by a search (its keep_best). Other formats hold other files (docs/export.md).

    Examples:

      raynas export first --output model/

      raynas export first --trial 7 --output seventh/

      raynas export first --format torch_export --output program/

      python model/model.py image.png
    """
    from raynas.cli.console import working
    from raynas.report import documents

    # What an exporter of a person's own prints is not part of what this command says.
    with working("writing the network and comparing it with the search's"), redirect_stdout(sys.stderr):
        from raynas.export import export_model

        made = export_model(name, output, format=format, trial=trial, force=force)
    if json:
        document = {"folder": str(made.folder), "format": made.format, "files": list(made.files), "about": made.about}
        print(documents.dumps(document))
    else:
        _print(name, made)


def _print(name: str, made: Export) -> None:
    about, folder = made.about, near(made.folder)
    print(f"trial {about['trial']} of {name} ({about['name']}): {about['parameters']:,} parameters, in {folder}/")
    words = {**made.written.files, **_ALWAYS}
    unnamed = [file for file in made.files if file not in words]
    for file in [*(file for file in words if file in made.files), *unnamed]:
        print(f"  {file:<20} {words.get(file, '')}".rstrip())
    if made.compared is None:
        print(f"its outputs were not compared with those of the search's network: {made.format} cannot be run here")
    else:
        equal = f"equal within {made.compared:g}" if made.compared else "equal, bit for bit"
        print(f"its outputs were compared with those of the search's network: {equal}")
    if made.needs:
        usual = ", ".join(shown for package, shown in _USUAL.items() if package in about["needs"])
        print(f"it needs {usual}{' and also: ' if usual else ''}{', '.join(made.needs)}")
    following = [command.replace("{folder}", folder) for command in made.written.usage]
    if {"model.py", "model.safetensors"} <= set(made.files):
        following.append(f'python -c "import raynas; print(raynas.load({str(made.folder)!r}))"')
    for place, command in enumerate(following):
        print(f"{'next:' if place == 0 else '':<9}{command}")
