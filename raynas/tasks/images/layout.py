"""Which folders of a data set hold its classes: the folder itself, or its parts (``train``, ``val``, ``test``).

Names alone do not tell: a class may be called ``train``, and a part ``seg_train`` or ``train2017``. So a folder counts
as a part where its name says so and it holds class folders, and the data set counts as split where that is true of
everything in it. Where two readings remain, both are named and neither is taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from raynas.errors import TaskError
from raynas.tasks.images.formats import SUFFIXES, is_image, kind_of
from raynas.tasks.images.source import PARTS, first_part, words

Layout = Literal["classes", "splits"]
LAYOUTS: tuple[Layout, ...] = ("classes", "splits")

#: Words that say nothing beside a part's name: ``train_images``, ``seg_train``, ``training_set_cleaned``.
_FILLERS = frozenset(
    (
        *("all", "augmented", "clean", "cleaned", "cropped", "data", "dataset", "final", "folder", "full", "image"),
        *("images", "img", "imgs", "jpg", "new", "orig", "original", "part", "photos", "pictures", "png", "processed"),
        *("preprocessed", "raw", "resized", "seg", "set", "sets", "small", "sorted", "split"),
    )
)
_WAY_OUT = "say which (layout: classes, or layout: splits, under task_options: in a search's file; docs/data.md)"


@dataclass(frozen=True)
class Parts:
    """The folders that hold class folders: ``train``, and ``valid`` where the data has such a part of its own."""

    train: Path
    valid: Path | None = None


def parts_of(root: Path, layout: Layout | None) -> Parts:
    """Decides how a folder is read.

    Args:
        root: the data set.
        layout: ``"classes"``: all its folders are classes; ``"splits"``: it holds parts; None: its content decides.

    Raises:
        TaskError: two readings are possible, or the wanted one is not.
    """
    if layout == "classes":
        return Parts(root)
    children = {path.name: path for path in folders(root) if has_images(path)}
    part = named_parts(children)
    if layout == "splits":
        return _split(root, children, part)
    holding = {name: set(_class_folders(_inner(children[name], part[name]))) for name in part}
    if not part or _is_class(part, children, holding):
        return Parts(root)
    _refuse_loose(root, children, part, holding)
    _refuse_mixed(root, children, part, holding)
    return _split(root, children, part)


def first_parts(root: Path) -> Parts:
    """How the first release read a folder, so that a search begun with it goes on with its data."""
    parts = {first_part(path.name): path for path in folders(root)}
    train = parts.get("train")
    found = train is not None and any(_named_images(folder) for folder in folders(train))
    return Parts(train, parts.get("valid")) if train is not None and found else Parts(root)


def folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def has_images(folder: Path) -> bool:
    """Whether there is an image in it, at any depth."""
    return _named_images(folder) or any(is_image(path) for path in _files(folder.rglob("*")))


def named_parts(names: Iterable[str]) -> dict[str, str]:
    """Of the folders' names those that name a part: ``{"seg_train": "train", "val2017": "valid"}``.

    Of the other words in such a name, each says nothing (``_FILLERS``), or stands with another part too
    (``leaf_train``, ``leaf_test``): ``train_station`` names no part.
    """
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for name in names:
        there = [single for word in words(name) for single in _singles(word)]
        parts = {PARTS[word] for word in there if word in PARTS}
        if len(parts) == 1:
            rest = frozenset(word for word in there if word not in PARTS) - _FILLERS
            found[name] = (parts.pop(), rest)
    return {
        name: part
        for name, (part, rest) in found.items()
        if not rest or any(other != part and rest == others for other, others in found.values())
    }


def _singles(word: str) -> list[str]:
    """Two words that are written as one: ``["train", "data"]``."""
    for named in PARTS:
        if word.startswith(named) and word.removeprefix(named) in _FILLERS:
            return [named, word.removeprefix(named)]
    return [word]


def _is_class(part: dict[str, str], children: dict[str, Path], holding: dict[str, set[str]]) -> bool:
    """Whether what is named like a part can only be a class: a ``train`` of loose images, beside ``car``, ``ship``."""
    others = children.keys() - part.keys()
    return bool(others) and set(part.values()) == {"train"} and not any(holding.values())


def _refuse_loose(root: Path, children: dict[str, Path], part: dict[str, str], holding: dict[str, set[str]]) -> None:
    """Refuses parts without class folders."""
    if any(holding[name] for name in part if part[name] == "train"):
        return
    named = _listed(part)
    what = "of which none is to be trained on" if any(holding.values()) else "whose images lie in no class folders"
    raise TaskError(
        f"{root} can be read in two ways: its folders are the classes ({_listed(children)}), or {named} are parts of "
        f"the data, {what}; for classes say layout: classes (under task_options: in a search's file), for parts put "
        f"the images to train on as {root}/train/CLASS/NAME.jpg, or list them in a Parquet file of paths and labels "
        "(docs/data.md)"
    )


def _refuse_mixed(root: Path, children: dict[str, Path], part: dict[str, str], holding: dict[str, set[str]]) -> None:
    """Refuses parts beside folders that are none, and parts that have no class in common."""
    others = sorted(children.keys() - part.keys())
    train = set().union(*(holding[name] for name in part if part[name] == "train"))
    strange = [name for name in part if holding[name] and not holding[name] & train]
    if others:
        reason = f"{_listed(others)} left out"
    elif strange:
        reason = f"though {strange[0]!r} has no class of the training part"
    else:
        return
    raise TaskError(
        f"{root} can be read in two ways: its folders are the classes ({_listed(children)}), or {_listed(part)} are "
        f"parts of the data with the classes {_listed(train)}, {reason}; {_WAY_OUT}"
    )


def _split(root: Path, children: dict[str, Path], part: dict[str, str]) -> Parts:
    """The parts by their names.

    Raises:
        TaskError: there is no training part, or two folders claim to be the same one.
    """
    of = {wanted: sorted(name for name in part if part[name] == wanted) for wanted in ("train", "valid")}
    for wanted, names in of.items():
        if len(names) > 1:
            what = "to train on" if wanted == "train" else "to validate with"
            raise TaskError(
                f"{root} has {len(names)} folders {what}: {_listed(names)}; take all but one of them out of it"
            )
    if not of["train"]:
        raise TaskError(f"{root} has no folder to train on among its parts ({_listed(part)}); name one train")
    for path in folders(root):
        if path.name not in children and named_parts([path.name, *part]).get(path.name) in ("train", "valid"):
            lost = sorted({kind for kind, may in map(kind_of, _entries(path)) if may})
            if lost:
                raise TaskError(f"{path} holds no image that can be read ({', '.join(lost)}); mend it, or take it out")
    train = _inner(children[of["train"][0]], "train")
    valid = _inner(children[of["valid"][0]], "valid") if of["valid"] else None
    for folder in (train, valid):
        if folder is not None and not _class_folders(folder):
            raise TaskError(
                f"{folder} holds images but no class folders; put them as {folder}/CLASS/NAME.jpg, or take it out"
            )
    return Parts(train, valid)


def _inner(folder: Path, part: str) -> Path:
    """The folder itself, or the one in it that archives repeat: ``seg_train/seg_train/CLASS``."""
    while not any(map(_looks_like_image, _files(folder.iterdir()))):
        inside = [path for path in folders(folder) if has_images(path)]
        if len(inside) != 1 or (
            inside[0].name != folder.name and named_parts([inside[0].name]).get(inside[0].name) != part
        ):
            break
        folder = inside[0]
    return folder


def _class_folders(folder: Path) -> list[str]:
    return [path.name for path in folders(folder) if has_images(path)]


def _entries(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if not path.name.startswith(".") and not path.is_dir())


def _files(paths: Iterable[Path]) -> Iterable[Path]:
    return (path for path in paths if not path.name.startswith(".") and path.is_file())


def _looks_like_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES or is_image(path)


def _named_images(folder: Path) -> bool:
    return any(path.suffix.lower() in SUFFIXES for path in _files(folder.rglob("*")))


def _listed(names: Iterable[str]) -> str:
    given = sorted(names)
    return ", ".join(given[:5]) + (f" and {len(given) - 5} more" if len(given) > 5 else "")
