"""Checkpoints on disk: whole, damaged, cut off, two at most."""

import math
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from raynas.evaluators import checkpoint
from raynas.evaluators.evaluator import Measurement, State


def state_of(value: float) -> State:
    tensors = {
        "model.weight": torch.full((3, 4), value),
        "model.transposed": torch.arange(6).reshape(2, 3).t(),
        "optimizer.step.weight": torch.tensor(value),
        "half": torch.tensor([value, -value]).bfloat16(),
        "none": torch.zeros(0),
        "flag": torch.tensor([True, False]),
    }
    return State(tensors, {"epoch": value, "names": ["a", "b"]})


def assert_same(a: State, b: State) -> None:
    assert a.values == b.values
    assert a.tensors.keys() == b.tensors.keys()
    for name, tensor in a.tensors.items():
        assert tensor.dtype == b.tensors[name].dtype
        assert torch.equal(tensor, b.tensors[name])


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "search" / "trial"
    assert checkpoint.newest(folder) is None
    measurement = Measurement(3, {"val_accuracy": 0.5, "val_loss": math.nan}, 1.25)
    path = checkpoint.save(folder, 3, state_of(3.0), measurement)
    found = checkpoint.newest(folder)
    assert found is not None
    assert (found.step, found.partial) == (3, False)
    assert_same(found.state, state_of(3.0))
    assert found.measurement is not None
    assert found.measurement.metrics["val_accuracy"] == 0.5
    assert math.isnan(found.measurement.metrics["val_loss"])
    assert [file.name for file in folder.iterdir()] == [path.name]
    checkpoint.remove(folder)
    assert not folder.exists()
    checkpoint.remove(folder)


def test_any_safetensors_reader_finds_the_weights(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 1, state_of(2.0))
    with safe_open(path, framework="np") as file:
        assert (file.get_tensor("model.weight") == 2.0).all()


def test_tied_weights_come_back_apart(tmp_path: Path) -> None:
    weight = torch.randn(2, 2)
    checkpoint.save(tmp_path, 1, State({"model.a": weight, "model.b": weight, "model.row": weight[0]}))
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert torch.equal(found.state.tensors["model.b"], weight)
    assert torch.equal(found.state.tensors["model.row"], weight[0])


def test_the_newest_two_are_kept_and_a_partial_one_is_newer_than_its_step(tmp_path: Path) -> None:
    for step in (8, 9, 10):
        checkpoint.save(tmp_path, step, state_of(step))
    checkpoint.save(tmp_path, 10, state_of(10.5), partial=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-000010-partial.safetensors",
        "step-000010.safetensors",
    ]
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found.partial
    assert found.state.values["epoch"] == 10.5
    whole = checkpoint.newest(tmp_path, partial=False)
    assert whole is not None
    assert (whole.step, whole.partial) == (10, False)
    checkpoint.save(tmp_path, 11, state_of(11))
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert (found.step, found.partial) == (11, False)


@pytest.mark.parametrize(
    "damage", ["empty", "cut", "flipped weight", "flipped metadata", "garbage", "missing metadata"]
)
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, damage: str) -> None:
    checkpoint.save(tmp_path, 1, state_of(1.0))
    path = checkpoint.save(tmp_path, 2, state_of(2.0))
    data = bytearray(path.read_bytes())
    if damage == "empty":
        data.clear()
    elif damage == "cut":
        del data[-5:]
    elif damage == "flipped weight":
        data[-3] ^= 1
    elif damage == "flipped metadata":
        data[data.index(b"epoch")] ^= 2
    elif damage == "garbage":
        data[:] = b"\xff" * len(data)
    else:
        from safetensors.torch import save

        data[:] = save({"model.weight": torch.zeros(2)})
    path.write_bytes(data)
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert_same(found.state, state_of(1.0))


def test_nothing_valid_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "step-000001.safetensors").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not a checkpoint")
    assert checkpoint.newest(tmp_path) is None


def test_a_failed_save_leaves_the_older_ones(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, state_of(1.0))
    with pytest.raises(TypeError):
        checkpoint.save(tmp_path, 2, State({}, {"not json": object()}))
    (tmp_path / "step-000002.safetensors").mkdir()  # os.replace cannot take this name
    with pytest.raises(OSError):
        checkpoint.save(tmp_path, 2, state_of(2.0))
    assert not list(tmp_path.glob("*.tmp"))
    (tmp_path / "step-000002.safetensors").rmdir()
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found.step == 1


def test_a_trial_that_starts_over_after_damage_keeps_its_new_checkpoints(tmp_path: Path) -> None:
    for step in (5, 6):
        checkpoint.save(tmp_path, step, state_of(step)).write_bytes(b"")
    checkpoint.save(tmp_path, 1, state_of(1.0))
    checkpoint.save(tmp_path, 2, state_of(2.0))
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found.step == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_kill_at_any_moment_leaves_a_valid_checkpoint(tmp_path: Path) -> None:
    writer = (
        "import itertools, sys, torch\n"
        "from raynas.evaluators import checkpoint\n"
        "from raynas.evaluators.evaluator import State\n"
        "first = int(sys.argv[1])\n"
        "for step in itertools.count(first):\n"
        f"    checkpoint.save({str(tmp_path)!r}, step, State({{'model.weight': torch.full((200_000,), step)}}))\n"
        "    if step == first + 1: print('two are there', flush=True)\n"
    )
    last = 0
    for kill in range(4):
        process = subprocess.Popen([sys.executable, "-c", writer, str(last + 1)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline()
        time.sleep(0.007 * kill)  # somewhere within the next writes
        process.kill()
        process.communicate()
        found = checkpoint.newest(tmp_path)
        assert found is not None
        assert (found.state.tensors["model.weight"] == found.step).all()
        assert found.step > last
        last = found.step
    checkpoint.save(tmp_path, last + 1, State())
    assert not list(tmp_path.glob("*.tmp"))  # what a killed writer left is tidied up
