"""``raynas export``: a network that was found, as files that need neither RayNAS nor the search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raynas.cli.commands.read import Json, Name
from raynas.cli.options.values import whole
from raynas.report.wording import counted, near


def export(
    name: Name,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="A new or empty folder.")],
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
    by a search (its keep_best).

    Examples:

      raynas export first --output model/

      raynas export first --trial 7 --output seventh/

      python model/model.py image.png
    """
    from raynas.cli.console import working
    from raynas.report import documents

    with working("writing the network and comparing it with the search's"):
        from raynas.export import export_model

        made = export_model(name, output, trial=trial, force=force)
    about = made.about
    if json:
        document = {"folder": str(made.folder), "files": list(made.files), "about": about}
        print(documents.dumps(document))
        return
    folder, weights = near(made.folder), about["weights"]
    steps = counted(weights["step"], weights["unit"])
    print(f"trial {about['trial']} of {name} ({about['name']}): {about['parameters']:,} parameters, in {folder}/")
    words = {
        "model.py": "the network and its blocks, in one file",
        "model.safetensors": f"its weights after {steps} of training",
        "architecture.json": "what it is, where it is from, what was measured",
        "preprocessing.json": "how an image becomes its input",
    }
    for file in sorted(made.files, key=list(words).index):
        print(f"  {file:<20} {words[file]}")
    print("its outputs were compared with those of the search's network: equal, bit for bit")
    if made.needs:
        print(f"it needs torch, safetensors, Pillow and also: {', '.join(made.needs)}")
    following = [f"python {folder}/model.py IMAGE.png"] if "preprocessing.json" in made.files else []
    following.append(f'python -c "import raynas; print(raynas.load({str(made.folder)!r}))"')
    for place, command in enumerate(following):
        print(f"{'next:' if place == 0 else '':<9}{command}")
