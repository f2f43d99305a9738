"""From a search to a folder that stands by itself: the same outputs, bit for bit, with torch and safetensors alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from exporting import assert_clean, bare_environment, run
from PIL import Image
from safetensors.torch import load_file, save_file

import raynas
from raynas.errors import SearchFolderError, TaskError
from raynas.evaluators.execution import Execution
from raynas.export import ExportError, export_model
from raynas.export.runtime import prepare
from raynas.results.saved_weights import trials_with_weights
from raynas.tasks.digits import Digits

FILES = ["architecture.json", "model.py", "model.safetensors", "preprocessing.json"]

OUTPUTS = """
from safetensors.torch import load_file
import model, sys, torch
heavy = [name for name in ("raynas", "numpy", "ray", "pandas", "sklearn", "torchvision") if name in sys.modules]
assert not heavy, heavy
with torch.no_grad():
    torch.save(model.load()(load_file("inputs.safetensors")["inputs"]), "outputs.pt")
"""


@pytest.fixture(scope="module")
def model(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    made = export_model("first", folder, home=home)
    assert made.folder == folder
    assert list(made.files) == FILES
    assert not made.needs
    return folder


def test_the_folder(model: Path, search: raynas.SearchResult) -> None:
    assert sorted(path.name for path in model.iterdir()) == FILES
    assert_clean(model / "model.py")
    about = json.loads((model / "architecture.json").read_text())
    best = search.best
    assert best is not None
    assert about["architecture"] == best.architecture.to_json()
    assert about["trial"] == best.number
    assert about["network_id"] == best.network_id
    assert about["measured"]["metrics"]["val_accuracy"] == best.score[1]["val_accuracy"]  # type: ignore[index]
    assert about["weights"] == {"step": 1, "unit": "epoch", "partial": False}
    assert about["search"]["name"] == "first"
    names = set(search.build().state_dict())
    assert set(load_file(model / "model.safetensors")) == names
    assert about["parameters"] == sum(parameter.numel() for parameter in search.build().parameters())


def test_the_network_is_the_one_that_was_measured(search: raynas.SearchResult) -> None:
    task, best = Digits(), search.best
    assert best is not None
    way = Execution.of(search.history.sessions[0].started["decisions"])  # in other arithmetic an image may tip over
    network = way.place(search.build(), "cpu")
    with torch.no_grad(), way.autocast("cpu"):
        outputs = network(way.arrange(task.prepare(task.data.valid_inputs))).float()
    accuracy = task.metrics(outputs, task.data.valid_targets)["accuracy"]
    assert accuracy == pytest.approx(best.score[1]["val_accuracy"], abs=1e-6)  # type: ignore[index]


def test_search_load_and_file_agree_bit_for_bit(model: Path, search: raynas.SearchResult, tmp_path: Path) -> None:
    task = Digits()
    inputs = torch.cat([task.prepare(task.data.valid_inputs[:50]), torch.randn(14, 1, 8, 8)])
    with torch.no_grad():
        expected = search.build()(inputs)
        assert torch.equal(raynas.load(f"{model}/")(inputs), expected)
        assert torch.equal(raynas.load_model(model)(inputs), expected)
    save_file({"inputs": inputs}, model / "inputs.safetensors")
    (model / "outputs.py").write_text(OUTPUTS)
    try:
        done = run([*bare_environment(tmp_path / "bare"), "outputs.py"], cwd=model)
        assert done.returncode == 0, done.stderr
        assert torch.equal(torch.load(model / "outputs.pt", weights_only=True), expected)
    finally:
        for name in ("inputs.safetensors", "outputs.pt", "outputs.py"):
            (model / name).unlink(missing_ok=True)


def test_it_predicts_on_image_files(model: Path, search: raynas.SearchResult, tmp_path: Path) -> None:
    task = Digits()
    pixels = task.data.valid_inputs[:5]
    for number, image in enumerate(pixels):
        Image.fromarray(image[0].numpy()).save(tmp_path / f"{number}.png")
    (tmp_path / "text.png").write_text("no image")
    command = [*bare_environment(tmp_path / "bare"), str(model / "model.py")]
    done = run([*command, *(f"{number}.png" for number in range(5))], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        likely = search.build()(task.prepare(pixels)).softmax(1).max(1)
    for number, line in enumerate(done.stdout.splitlines()):
        name, _, rest = line.partition(": ")
        label, probability = rest.split()
        assert (name, label) == (f"{number}.png", str(likely.indices[number].item()))
        assert float(probability) == pytest.approx(likely.values[number].item(), abs=1e-4)
    done = run([*command, "text.png", "0.png", "--top", "3"], cwd=tmp_path)
    assert done.returncode == 2
    assert "text.png cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stdout.split(",")) == 3


def test_a_taken_folder_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ExportError, match="not empty.*--force"):
        export_model("first", tmp_path, home=home)
    with pytest.raises(ExportError, match="is a file"):
        export_model("first", tmp_path / "mine.txt", home=home, force=True)
    export_model("first", tmp_path, home=home, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*FILES, "mine.txt"])
    export_model("first", tmp_path / "new" / "er", home=home)


def test_weights_that_are_not_kept(search: raynas.SearchResult, tmp_path: Path) -> None:
    kept = [record.number for record in trials_with_weights(search)]
    assert len(kept) == 2
    assert search.best is not None
    assert search.best.number == kept[0]
    (lost,) = set(range(3)) - set(kept)
    words = (
        f"weights of trial {lost} of 'first' are not kept, those of trial {kept[0]}, {kept[1]} are.*--trial {kept[0]}"
    )
    with pytest.raises(SearchFolderError, match=words):
        export_model(search, tmp_path / "model", trial=lost)
    assert not (tmp_path / "model").exists()
    with pytest.raises(SearchFolderError, match="no trial 9; its trials are 0 to 2"):
        export_model(search, tmp_path / "model", trial=9)
    export_model(search, tmp_path / "model", trial=kept[1])
    assert search.build(lost, weights=False)(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


def test_a_task_that_prepares_otherwise(search: raynas.SearchResult, tmp_path: Path) -> None:
    class Other(Digits):
        def prepare(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs.float() / 255

    with pytest.raises(TaskError, match=r"override preprocessing\(\)"):
        export_model(search, tmp_path / "model", task=Other())
    assert not (tmp_path / "model").exists()

    class Said(Other):
        def preprocessing(self) -> dict | None:
            return {**(super().preprocessing() or {}), "normalise": [{"divide": 255}], "classes": list("abcdefghij")}

    export_model(search, tmp_path / "model", task=Said())
    said = json.loads((tmp_path / "model" / "preprocessing.json").read_text())
    assert torch.equal(prepare(torch.full((1, 1, 8, 8), 51, dtype=torch.uint8), said), torch.full((1, 1, 8, 8), 0.2))


def test_what_load_takes(home: Path, model: Path, tmp_path: Path) -> None:
    assert raynas.load("first", home).name == "first"
    assert raynas.load(home / "first").name == "first"
    assert isinstance(raynas.load(model), torch.nn.Module)
    with pytest.raises(ExportError, match="holds no exported model.*raynas export"):
        raynas.load(f"{tmp_path}/")
    with pytest.raises(SearchFolderError, match="'firs' not found.*'first'"):
        raynas.load("firs", home)


def test_damaged_weights(model: Path, tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).write_bytes((model / name).read_bytes()[: 1000 if name.endswith("tensors") else None])
    with pytest.raises(ExportError, match="cannot be loaded"):
        raynas.load_model(tmp_path)


def test_a_search_made_with_objects(search: raynas.SearchResult, tmp_path: Path) -> None:
    search.spec = replace(search.spec, space="<mine>")
    with pytest.raises(raynas.errors.UserError, match="space object <mine>.*space="):
        export_model(search, tmp_path / "model")
    from search_spaces.resnet import resnet

    export_model(search, tmp_path / "model", space=resnet)


def test_a_changed_space_is_refused(search: raynas.SearchResult, tmp_path: Path) -> None:
    from search_spaces.mlp import mlp

    with pytest.raises(raynas.errors.SpaceError, match="has changed"):
        export_model(search, tmp_path / "model", space=mlp)
