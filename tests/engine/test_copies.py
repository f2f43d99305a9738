"""Copies of a person's own files: as many as there are, with what they import, under names that do not change."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from raynas.errors import UserError
from raynas.spec.references import Source, keep_copy, source_of
from raynas.storage import source_copies as copies

SPACE, TASK = "raynas.spaces", "raynas.tasks"


def write(folder: Path, **files: str) -> None:
    """``pkg__blocks="…"`` becomes ``pkg/blocks.py``."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/').replace('/init', '/__init__')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def in_a_fresh_process(*sources: Source) -> list[str]:
    """What the sources' objects say of themselves where nothing was imported before, as in a worker."""
    code = "import pickle, sys; print(*(made.get()() for made in pickle.load(sys.stdin.buffer)), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(sources), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().split()


def test_two_files_of_one_name_stay_two(tmp_path: Path) -> None:
    text = "def make():\n    return '{0}:' + __name__"
    write(tmp_path, spaces__model=text.format("space"), tasks__model=text.format("task"))
    space = source_of(SPACE, f"{tmp_path}/spaces/model.py:make")
    task = source_of(TASK, f"{tmp_path}/tasks/model.py:make", [space])
    names = [space.module, task.module]
    assert names[0] == "raynas_file_model" != names[1]
    kept = keep_copy(space, tmp_path / "source")
    both = kept, keep_copy(task, tmp_path / "source", [kept])
    for folder in ("spaces", "tasks"):
        shutil.rmtree(tmp_path / folder)
    again = keep_copy(Source(SPACE, space.reference), tmp_path / "source")
    later = again, keep_copy(Source(TASK, task.reference), tmp_path / "source", [again])
    for sources in (both, later):
        assert [source.module for source in sources] == names, "the name is a part of the space's fingerprint"
        assert in_a_fresh_process(*sources) == [f"space:{names[0]}", f"task:{names[1]}"]
    assert [source.get()() for source in later] == [f"space:{names[0]}", f"task:{names[1]}"]


PACKAGES = {
    "relative": {
        "net__init": "",
        "net__space": "from .blocks import name\nfrom . import more\n\n\ndef make():\n    return name + more.name",
        "net__blocks": "from .deep.er import name",
        "net__deep__init": "",
        "net__deep__er": "from ..top import name",
        "net__top": "name = 'a'",
        "net__more": "name = 'b'",
        "net__unused": "raise RuntimeError",
    },
    "without __init__": {
        "net__space": "def make():\n    from .blocks import name\n\n    return name",
        "net__blocks": "name = 'ab'",
    },
    "siblings": {
        "net__space": "import blocks_7b\nfrom more_7b.deep import b\n\n\ndef make():\n    return blocks_7b.name + b",
        "net__blocks_7b": "name = 'a'",
        "net__more_7b__init": "",
        "net__more_7b__deep": "b = 'b'",
        "net__unused": "",
    },
    "by its own name": {
        "net_7b__init": "",
        "net_7b__space": "from net_7b.blocks import name\n\n\ndef make():\n    return name",
        "net_7b__blocks": "name = 'ab'",
    },
}


@pytest.mark.parametrize("kind", PACKAGES)
def test_a_file_brings_what_it_imports(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "code", **PACKAGES[kind])
    (path,) = (tmp_path / "code").rglob("space.py")
    source = source_of(SPACE, f"{path}:make")
    assert source.get()() == "ab"
    kept = keep_copy(source, tmp_path / "source")
    shutil.rmtree(tmp_path / "code")
    assert in_a_fresh_process(kept) == ["ab"]
    assert kept.module == source.module
    copied = {path.name for path in (tmp_path / "source").rglob("*.py")}
    assert copied == {f"{name.rpartition('__')[2]}.py".replace("init", "__init__") for name in PACKAGES[kind]} - {
        "unused.py"
    }


def test_two_modules_that_would_be_one_are_refused(tmp_path: Path) -> None:
    write(tmp_path, a__one="import common_7b\nmake = dict", a__common_7b="", b__two="import common_7b\nmake = dict")
    write(tmp_path, b__common_7b="")
    keep_copy(source_of(SPACE, f"{tmp_path}/a/one.py:make"), tmp_path / "source")
    with pytest.raises(
        UserError, match=r"two.py imports 'common_7b', of which there are two: .*b/common_7b.py and .*a/"
    ):
        keep_copy(source_of(TASK, f"{tmp_path}/b/two.py:make"), tmp_path / "source")


def test_too_much_is_refused_with_the_way_out(tmp_path: Path) -> None:
    count = copies.MOST_FILES
    write(tmp_path, **{f"net__m{number}": "" for number in range(count)})
    write(tmp_path, net__space="\n".join(f"from . import m{number}" for number in range(count)) + "\nmake = dict")
    with pytest.raises(UserError, match="imports more than 200 files.*pip install -e"):
        keep_copy(source_of(SPACE, f"{tmp_path}/net/space.py:make"), tmp_path / "source")


def test_a_copy_of_an_earlier_release_is_used_as_it_was(tmp_path: Path) -> None:
    write(
        tmp_path,
        source__space="def make():\n    return 'then:' + __name__",
        code__space="def make():\n    return 'now'",
    )
    kept = keep_copy(Source(SPACE, f"{tmp_path}/code/space.py:make"), tmp_path / "source")
    assert in_a_fresh_process(kept) == ["then:raynas_file_space"]
    assert copies.changed(tmp_path / "source", [tmp_path / "code" / "space.py"]) == [tmp_path / "code" / "space.py"]
    keep_copy(kept, tmp_path / "source", anew=True)
    assert in_a_fresh_process(kept) == ["now"]
    wrong = Source(SPACE, f"{tmp_path}/code/space.py:other", kept.place, kept.module)
    with pytest.raises(UserError, match="'other' not found in"):
        wrong.get()


def test_what_has_changed_since_is_found(tmp_path: Path) -> None:
    write(tmp_path, net__space="from .blocks import name\nmake = dict", net__blocks="name = 1")
    space = tmp_path / "net" / "space.py"
    kept = keep_copy(source_of(SPACE, f"{space}:make"), tmp_path / "source")
    assert copies.changed(tmp_path / "source", [space]) == []
    write(tmp_path, net__blocks="from .more import name", net__more="name = 22")
    assert copies.changed(tmp_path / "source", [space]) == [tmp_path / "net" / "blocks.py"]
    keep_copy(kept, tmp_path / "source", anew=True)
    assert copies.changed(tmp_path / "source", [space]) == []
    space.unlink()
    assert copies.changed(tmp_path / "source", [space]) == []
