"""Formats: those that RayNAS brings, one of a person's own, and what becomes of one that fails."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

import raynas
from raynas.cli.app import call
from raynas.export import Exporter, ExportError, TrainedNetwork, Written, export_model
from raynas.export.source import SourceExporter
from raynas.export.torch_export import TorchExporter
from raynas.space import Space
from raynas.tasks.digits import Digits
from raynas.testing import ExporterContract
from search_spaces.resnet import resnet

PAGE = Path(__file__).resolve().parents[2] / "docs" / "export.md"


class TestSource(ExporterContract):
    def exporter(self) -> Exporter:
        return SourceExporter()


class TestTorchExport(ExporterContract):
    def exporter(self) -> Exporter:
        return TorchExporter()

    def spaces(self) -> Mapping[str, Space]:
        return {"resnet": resnet(self.task())}


@pytest.fixture(autouse=True)
def _home(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAYNAS_HOME", str(home))
    monkeypatch.chdir(tmp_path)


def test_a_program_for_torch_alone(
    search: raynas.SearchResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["export", "first", "--format", "torch_export", "-o", "program", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["format"] == "torch_export"
    assert document["files"] == ["architecture.json", "model.pt2", "preprocessing.json"]
    assert document["about"]["needs"] == ["torch"]
    assert document["about"] == json.loads((tmp_path / "program" / "architecture.json").read_text())
    task = Digits()
    inputs = task.prepare(task.data.valid_inputs[:7])  # a batch of another size than any that was tried
    program = torch.export.load(tmp_path / "program" / "model.pt2").module()
    with torch.no_grad():
        torch.testing.assert_close(program(inputs), search.build()(inputs), rtol=1e-5, atol=1e-5)


def test_an_exporter_of_ones_own_as_the_page_prints_it(
    search: raynas.SearchResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own,) = re.findall(r"^```python\n(# half\.py\n.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(own.splitlines()) < 25
    (tmp_path / "half.py").write_text(own, encoding="utf-8")
    assert call(["export", "first", "--format", "half.py:HalfPrecision", "--output", "half/"]) == 0
    shown = capsys.readouterr().out
    assert "half.pt2             the network, with 16-bit weights" in shown
    assert "equal within 0.02" in shown
    assert sorted(path.name for path in (tmp_path / "half").iterdir()) == [
        "architecture.json",
        "half.pt2",
        "labels.txt",
        "preprocessing.json",
    ]
    assert (tmp_path / "half" / "labels.txt").read_text().split() == [str(digit) for digit in range(10)]
    assert (tmp_path / "half" / "half.pt2").stat().st_size < 400_000


class Weights(Exporter):
    """Writes in a folder of its own; nothing here runs it."""

    def write(self, network: TrainedNetwork, weights: Mapping[str, Tensor], folder: Path) -> None:
        (folder / "data").mkdir()
        torch.save(dict(weights), folder / "data" / "weights.pt")
        (folder / "readme.txt").write_text(f"{network.title}\n{network.class_names}\n{network.outputs.shape}\n")


def test_an_object_writes_into_a_folder_that_is_there(search: raynas.SearchResult, tmp_path: Path) -> None:
    folder = tmp_path / "there"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "mine.txt").write_text("mine")
    with pytest.raises(ExportError, match="not empty"):
        export_model(search, folder, format=Weights())
    for _ in range(2):
        made = export_model(search, folder, format=Weights, force=True)
    assert made.files == ("architecture.json", "data/weights.pt", "preprocessing.json", "readme.txt")
    assert made.compared is None
    assert (folder / "data" / "mine.txt").read_text() == "mine"
    assert (folder / "readme.txt").read_text().splitlines()[1:] == [str(tuple("0123456789")), "(10,)"]
    expected = search.build().state_dict()
    found = torch.load(folder / "data" / "weights.pt")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


OWN = """
import sys
from raynas.export import Exporter, ExportError, Written

class Writing(Exporter):
    def write(self, network, weights, folder):
        (folder / "some.bin").write_bytes(b"1")

class Raising(Writing):
    def write(self, network, weights, folder):
        super().write(network, weights, folder)
        raise KeyError("scale")

class Leaving(Writing):
    def write(self, network, weights, folder):
        sys.exit("gone")

class Refusing(Writing):
    def write(self, network, weights, folder):
        raise ExportError("only networks of one block can be written so")

class Nothing(Exporter):
    def write(self, network, weights, folder):
        pass

class Foreign(Writing):
    def write(self, network, weights, folder):
        (folder / "architecture.json").write_text("{}")

class Wordy(Writing):
    def write(self, network, weights, folder):
        super().write(network, weights, folder)
        return "some.bin"

class Wrong(Writing):
    def load(self, folder):
        return lambda batch: batch.flatten(1)[:, :10] * 0

class Broken(Writing):
    def load(self, folder):
        return lambda batch: batch.no_such_method()

class Asking(Writing):
    def __init__(self, path):
        self.path = path

def function(network, weights, folder):
    pass
"""

FAILING = {
    "Raising": ("failed (line 12)", "KeyError: 'scale'"),
    "Leaving": ("failed (line 16)", "SystemExit: gone"),
    "Refusing": ("only networks of one block can be written so",),
    "Nothing": ("own.py:Nothing' wrote nothing", "into the folder that it is given"),
    "Foreign": ("wrote architecture.json", "another name"),
    "Wordy": ("write() returned a str", "raynas.export.Written"),
    "Wrong": ("other outputs than the search's", "apart"),
    "Broken": ("cannot be run (line 41)", "AttributeError"),
    "Asking": ("cannot be made without arguments", "path"),
    "function": ("is a function", "a subclass of raynas.export.Exporter is needed"),
    "Raisin": ("'Raisin' not found", "did you mean 'Raising'?"),
    "": ("names a file only",),
}


@pytest.mark.parametrize("name", FAILING)
def test_one_that_fails_is_one_line_and_leaves_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    assert call(["export", "first", "--format", f"own.py:{name}" if name else "own.py", "-o", "new/er/model"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert all(words in shown.err for words in FAILING[name]), shown.err
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["own.py"]


def test_what_an_exporter_says_is_told(search: raynas.SearchResult, tmp_path: Path) -> None:
    class Telling(Weights):
        def write(self, network: TrainedNetwork, weights: Mapping[str, Tensor], folder: Path) -> Written:  # type: ignore[override]
            super().write(network, weights, folder)
            return Written({"readme.txt": "what it is"}, needs=("torch", "mine"), usage=("cat {folder}/readme.txt",))

        def load(self, folder: Path) -> Callable[..., Tensor]:
            return search.build()

    made = export_model(search, tmp_path / "model", format=Telling)
    assert made.needs == ("mine",)
    assert made.about["needs"] == ["torch", "mine"]
    assert (made.format, made.compared) == ("Telling", 0.0)
