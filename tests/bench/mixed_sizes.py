"""A folder ``CLASS/NAME.png`` or ``.jpg`` of pictures of many sizes, made from a Parquet file of small ones."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
from pathlib import Path

import pyarrow.parquet as parquet
from PIL import Image

SMALLEST, LARGEST = 40, 160  # pixels a side
_QUALITY = 90  # of JPEG


def mixed_sizes(data: Path, images: int, folder: Path, seed: int = 0) -> Path:
    """Writes the first images of a Parquet file, each scaled to a size of its own, unless the folder is there.

    Height and width are drawn independently, so few pictures are square and proportions change. Of two pictures about
    one is a JPEG file.

    Args:
        data: columns ``image`` (a struct with ``bytes``) and ``label``; the classes' names in Hugging Face's metadata.
        images: how many.
        folder: what is made; it is not there until it is whole.
        seed: of sizes and formats.
    """
    if folder.exists():
        return folder
    table = parquet.read_table(data).slice(0, images)
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    names = features["label"]["names"]
    rng = random.Random(seed)
    temporary = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    for number, row in enumerate(table.to_pylist()):
        of_class = temporary / names[row["label"]]
        of_class.mkdir(parents=True, exist_ok=True)
        size = rng.randint(SMALLEST, LARGEST), rng.randint(SMALLEST, LARGEST)
        picture = Image.open(io.BytesIO(row["image"]["bytes"])).resize(size, Image.Resampling.BICUBIC)
        if rng.random() < 0.5:
            picture.save(of_class / f"{number:05d}.jpg", quality=_QUALITY)
        else:
            picture.save(of_class / f"{number:05d}.png")
    os.replace(temporary, folder)
    return folder
