"""What ``make bench-fit`` makes and works out without a search: data, the plan that is handed on, the comparison."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from raynas.spec.reading import make_spec
from tests.bench.fit import compared
from tests.bench.kept_back import difference, once, split
from tests.bench.mixed_sizes import LARGEST, SMALLEST, mixed_sizes
from tests.bench.planned import plan_of

NAMES = ["cat", "dog"]


def images(path: Path, count: int) -> Path:
    """A Parquet file of 8x8 images of two classes, with their names."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    rows = []
    for image in pixels:
        Image.fromarray(image).save(stream := io.BytesIO(), "png")
        rows.append({"bytes": stream.getvalue(), "path": None})
    features = {"label": {"_type": "ClassLabel", "names": NAMES}}
    table = pa.table({"image": rows, "label": [number % 2 for number in range(count)]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, path)
    return path


def labels(path: Path) -> list[int]:
    return parquet.read_table(path)["label"].to_pylist()


@pytest.mark.parametrize(
    ("right", "other", "of", "interval"),
    [(9, 3, 10, (0.1705, 0.8090)), (0, 0, 10, (-0.2775, 0.2775)), (3, 9, 10, (-0.8090, -0.1705))],
)
def test_the_interval_of_a_difference_is_newcombes(
    right: int, other: int, of: int, interval: tuple[float, float]
) -> None:
    """Newcombe 1998, table II, contrasts (b) and (g), method 10; and (b) the other way round."""
    by, *found = difference(right / of, other / of, of)
    assert by == pytest.approx((right - other) / of)
    assert found == pytest.approx(interval, abs=5e-5)


def test_a_network_is_beaten_only_by_more_than_the_interval(capsys: pytest.CaptureFixture[str]) -> None:
    def ways(default: float) -> dict[str, list[dict[str, float]]]:
        return {
            "plan": [{"accuracy": 0.75, "images": 10_000}, {"accuracy": 0.76, "images": 10_000}],
            "recommended, anew": [{"accuracy": 0.72, "images": 10_000}, {"accuracy": 0.74, "images": 10_000}],
            "default": [{"accuracy": default, "images": 10_000}, {"accuracy": 0.73, "images": 10_000}],
            "ResNet-20": [{"accuracy": 0.5, "images": 10_000}, {"accuracy": 0.5, "images": 10_000}],
        }

    assert compared("cifar10", [0, 1], ways(0.69))  # 2 points in the mean, of which the interval takes 1.24
    assert not compared("cifar10", [0, 1], ways(0.71))  # 1 point
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| default")]
    assert [row.split("|")[-2].strip() for row in rows] == ["yes", "no"]


def test_the_last_images_are_kept_back_unless_there_is_a_test_set(tmp_path: Path) -> None:
    data = images(tmp_path / "train.parquet", 10)
    train, test = split(data, 3, tmp_path / "split")
    assert (labels(train), labels(test)) == (labels(data)[:7], labels(data)[7:])
    images(tmp_path / "test.parquet", 4)
    again = split(data, 3, tmp_path / "split")
    assert list(map(len, map(labels, again))) == [7, 3], "what was made stays"
    assert list(map(len, map(labels, split(data, 3, tmp_path / "own")))) == [10, 4]
    assert list(map(len, map(labels, split(data, 3, tmp_path / "few", images=2)))) == [2, 2]


def test_pictures_have_mixed_sizes_and_formats(tmp_path: Path) -> None:
    data = images(tmp_path / "train.parquet", 12)
    folder = mixed_sizes(data, 10, tmp_path / "mixed")
    files = sorted(folder.glob("*/*"))
    sizes = [Image.open(file).size for file in files]
    assert len(files) == 10
    assert {file.parent.name for file in files} == set(NAMES)
    assert {file.suffix for file in files} == {".jpg", ".png"}
    assert all(SMALLEST <= side <= LARGEST for size in sizes for side in size)
    assert len(set(sizes)) > 5
    assert any(width != height for width, height in sizes)
    other = mixed_sizes(data, 10, tmp_path / "other")
    assert [Image.open(file).size for file in sorted(other.glob("*/*"))] == sizes


def test_what_was_done_is_not_done_again(tmp_path: Path) -> None:
    path = tmp_path / "results" / "one.json"
    assert once(path, lambda: [1.5]) == [1.5]
    assert once(path, lambda: pytest.fail("it was done")) == [1.5]


def test_random_search_is_given_the_plan_whatever_fields_the_settings_have() -> None:
    spec = make_spec({"space": "resnet", "trial_time": 35, "epochs": 9, "task_options": {"size": 32}})
    plan = plan_of(replace(spec, batch_size=128, seed=1, strategy="auto"))
    assert plan["trial_time"] == 35
    assert plan["task_options"] == {"size": 32}
    assert plan["batch_size"] == 128
    assert plan.keys().isdisjoint({"seed", "strategy", "time", "name"})
    make_spec({"space": "resnet", **plan_of(spec)})  # a search takes them all
    assert "trial_time" not in plan_of(replace(spec, trial_time=None))
