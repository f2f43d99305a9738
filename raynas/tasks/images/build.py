"""Decodes a source into the cache: every image once, on all cores, after a look at all of them (``survey.py``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from raynas.errors import TaskError
from raynas.progress_bar import bar
from raynas.tasks.images.cache import About, Builder
from raynas.tasks.images.decode import decode
from raynas.tasks.images.formats import Unreadable
from raynas.tasks.images.identity import state_now
from raynas.tasks.images.source import Sample, Source
from raynas.tasks.images.survey import Survey, Wanted, check, on_all_cores


def build(path: Path, source: Source, wanted: Wanted, survey: Survey, state: str) -> None:
    """Makes the cache file of a source.

    Args:
        path: the file.
        source: the data.
        wanted: how to decode it.
        survey: of this source.
        state: the source's, from before its content was hashed.

    Raises:
        TaskError: too many images are unreadable, there are none, they are all of one class, or somebody has changed
            them meanwhile.
    """
    survey.check(source, wanted)
    levels = survey.levels(source, wanted)
    shape = survey.shape(wanted)
    order = survey.order()
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    labels = survey.labels[survey.usable][order]
    held_out = survey.held_out[survey.usable][order]

    builder = Builder(path, len(order), shape)
    try:
        broken = np.zeros(len(order), bool)
        blank = np.zeros(len(order), bool)
        place_of = np.full(len(survey.usable), -1)
        place_of[survey.usable] = places

        def one(numbered: tuple[int, Sample]) -> tuple[str, int | None] | None:
            number, sample = numbered
            place = place_of[number]
            if place < 0:
                return None
            assert sample.content is not None
            try:
                pixels = decode(sample.content, shape, wanted.fit, levels)
            except Unreadable as error:
                broken[place] = True
                return f"{sample.name} ({error})", sample.label
            builder.images[place] = pixels
            blank[place] = bool((pixels.reshape(shape[0], -1) == pixels[:, 0, 0, None]).all())
            return None

        losses = survey.losses.copy()
        with bar(f"decoding {source.name}", source.size) as advance:
            for problem in on_all_cores(one, enumerate(source.samples()), advance):
                if problem is not None:
                    words, label = problem
                    losses.add(words, None if label is None else source.classes[label])
        if state_now(source) != state:
            raise TaskError(
                f"{source.name} was written to while its images were decoded; start again when nothing changes it"
            )
        kept = np.flatnonzero(~broken)
        check(source, wanted, labels[kept], losses)
        counts = np.bincount(labels[kept], minlength=len(source.classes))
        other = [size for size in survey.sizes if size != shape[1:]]
        extremes = sorted(survey.sizes, key=lambda size: (size[0] * size[1], size))
        about = About(
            shape=shape,
            classes=source.classes,
            counts=tuple(counts.tolist()),
            held_out=int(held_out[kept].sum()),
            fitted=sum(survey.sizes[size] for size in other),
            sizes=(extremes[0], extremes[-1]),
            unreadable=losses.unreadable,
            examples=tuple(losses.examples),
            mean=(),
            std=(),
            source=source.name,
            levels=levels,
            deep=survey.deep,
            values=survey.values,
            narrowed=survey.narrowed,
            blank=int(blank[kept].sum()),
            passed_over=tuple(sorted(losses.kinds.items())),
            empty=tuple(source.empty),
            typical_side=survey.typical_side,
        )
        builder.finish(kept, labels, about)
    finally:
        builder.close()
