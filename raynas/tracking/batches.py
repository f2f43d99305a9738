"""Values packed into requests that keep to MLflow's limits (``mlflow.utils.validation``, 3.17)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raynas.tracking.runs import MetricPoint

#: In one request: metrics, parameters and tags together; parameters; tags; bytes of its JSON (with some to spare).
MAX_ENTITIES, MAX_PARAMS, MAX_TAGS, MAX_BYTES = 1_000, 100, 100, 900_000

#: JSON around a value: names of fields, numbers, brackets.
_FRAME_BYTES = 120


@dataclass
class Batch:
    """The values of one request."""

    params: dict[str, str] = field(default_factory=dict)
    metrics: list[MetricPoint] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    size: int = 0

    def has_room(self, kind: str, size: int) -> bool:
        """Whether one more value of that kind fits into the request."""
        return (
            len(self.params) + len(self.metrics) + len(self.tags) < MAX_ENTITIES
            and self.size + size <= MAX_BYTES
            and (kind != "params" or len(self.params) < MAX_PARAMS)
            and (kind != "tags" or len(self.tags) < MAX_TAGS)
        )

    def add(self, kind: str, value: Any, size: int) -> None:
        """Takes a value in: a metric's point, or a pair of key and text."""
        self.size += size
        if kind == "metrics":
            self.metrics.append(value)
        else:
            {"params": self.params, "tags": self.tags}[kind][value[0]] = value[1]

    @property
    def kinds(self) -> list[Batch]:
        """The same values, each kind in a request of its own."""
        alone = (Batch(params=self.params), Batch(metrics=self.metrics), Batch(tags=self.tags))
        return [batch for batch in alone if batch.params or batch.metrics or batch.tags]


def batches(params: Mapping[str, str], metrics: Sequence[MetricPoint], tags: Mapping[str, str]) -> Iterator[Batch]:
    """As few requests as the limits allow: parameters, then metrics, the tags last."""
    batch = Batch()
    of_kind: dict[str, Iterable[Any]] = {"params": params.items(), "metrics": metrics, "tags": tags.items()}
    for kind, values in of_kind.items():
        for value in values:
            size = _FRAME_BYTES + len(json.dumps(value))
            if not batch.has_room(kind, size):
                yield batch
                batch = Batch()
            batch.add(kind, value, size)
    if batch.size:
        yield batch
