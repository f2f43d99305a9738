"""A warm start: measurements of an earlier search, read once and kept in the new search's journal.

They come from a search in the same home, or from a Parquet file with a column ``architecture`` (JSON: hole path to
value) and one named like the objective's metric, as ``raynas trials NAME --parquet FILE`` writes it. What is taken are
trials with a finite value; failed ones are not measurements, and may succeed here. Where one was trained more than
once, the mean at its highest rung counts.

A rung is kept as a share of the full budget, and read in this search's: a trial that had all of its budget there ranks
with those that have all of it here. For a Parquet file the full budget is the largest ``step`` of a completed trial;
without the columns ``step`` and ``state`` every row counts as trained in full.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raynas import paths
from raynas.errors import JournalError, SearchFolderError, SpaceError, SpecError
from raynas.journal import History, read
from raynas.space import Space
from raynas.spec.settings import ResolvedSpec
from raynas.storage.search_folder import SearchFolder

_FILE = ".parquet"


@dataclass(frozen=True)
class _Row:
    """One trial as its source has it; ``share``: of the full budget, at the rung where the value was measured."""

    values: Mapping[str, Any]
    value: float
    share: float
    completed: bool


def absolute(reference: str) -> str:
    """A warm start as the spec keeps it: a file by its absolute path, a search by its name."""
    return str(paths.absolute(reference)) if _is_file(reference) else reference


def read_warm_start(spec: ResolvedSpec, space: Space, home: Path) -> dict[str, Any] | None:
    """What a resolved spec's ``warm_start`` names, for the journal (docs/journal.md, ``search_started``).

    Raises:
        SpecError, SearchFolderError, JournalError: it is not there or cannot be read, nothing in it has the metric, or
            nothing in it is an architecture of the space.
    """
    reference = spec.warm_start
    if reference is None:
        return None
    rows = _file(reference, spec.metric) if _is_file(reference) else _search(reference, spec.metric, home)
    trials: dict[str, dict[str, Any]] = {}
    sums: dict[str, list[float]] = {}
    fitting, misfit = 0, ""
    for row in rows:
        try:
            architecture = space.replay(row.values)
        except SpaceError as error:
            misfit = misfit or str(error)
            continue
        fitting += 1
        trial_id = space.trial_id(architecture)
        rung = spec.epochs if row.completed else max(1, round(row.share * spec.epochs))
        known = trials.get(trial_id)
        if known is None or rung > known["rung"]:
            ids = {"trial_id": trial_id, "network_id": space.network_id(architecture)}
            trials[trial_id] = {"architecture": architecture.to_json(), **ids, "rung": rung, "completed": row.completed}
            sums[trial_id] = []
        if rung == trials[trial_id]["rung"]:
            sums[trial_id].append(row.value)
    if not fitting:
        raise SpecError(
            f"warm start {reference!r}: none of its {len(rows)} architectures is of space {spec.space!r} "
            f"({misfit}); take a search of the same space"
        )
    for trial_id, values in sums.items():
        trials[trial_id]["metrics"] = {spec.metric: sum(values) / len(values)}
    return {"source": reference, "measurements": len(rows), "fitting": fitting, "trials": list(trials.values())}


def describe(history: History) -> str:
    """What a search's warm start was, in a few words; empty where there was none."""
    known = (history.search or {}).get("warm_start")
    if not known:
        return ""
    source = Path(known["source"]).name if _is_file(known["source"]) else known["source"]
    return f"begins with {known['fitting']} of {known['measurements']} measurements of {source}: those of this space"


def _is_file(reference: str) -> bool:
    return reference.endswith(_FILE) or "/" in reference


def _search(name: str, metric: str, home: Path) -> list[_Row]:
    """The measured trials of another search."""
    folder = SearchFolder(home, name)
    try:
        folder.require()
        history = History.from_events(read(folder.journal))
    except (SearchFolderError, JournalError) as error:
        raise type(error)(f"warm start: {error}; or give a Parquet file, --warm-start FILE{_FILE}") from None
    budget = (history.search or {})["spec"]["epochs"]
    records = [record for record in history.trials.values() if record.score is not None and record.state != "failed"]
    found = [
        _Row(record.values, float(record.score[1][metric]), record.score[0] / budget, record.state == "completed")
        for record in records
        if record.score is not None and _finite(record.score[1].get(metric))
    ]
    return _required(found, name, metric, {key for record in records if record.score for key in record.score[1]})


def _file(path: str, metric: str) -> list[_Row]:
    """The measured trials of a Parquet file."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        why = "there is no such file" if not Path(path).exists() else f"it is no Parquet file ({_line(error)})"
        raise SpecError(f"warm start {path!r}: {why}; raynas trials NAME --parquet FILE writes one") from None
    names = table.column_names
    column = next((name for name in (f"metric.{metric}", metric) if name in names), None)
    if "architecture" not in names:
        raise SpecError(
            f"warm start {path!r} has no column 'architecture' (JSON: hole path to value); "
            f"it has: {', '.join(names)}; raynas trials NAME --parquet FILE writes one"
        )
    if column is None:
        return _required([], path, metric, set(names))
    wanted = {"architecture", column, *({"step", "state"} & set(names))}
    rows = [row for row in table.select(sorted(wanted)).to_pylist() if _finite(row[column])]
    rows = [row for row in rows if row.get("state") != "failed"]
    steps = [row["step"] for row in rows if row.get("step") and row.get("state", "completed") == "completed"]
    budget = max(steps, default=max((row.get("step") or 1 for row in rows), default=1))
    found = [
        _Row(
            _architecture(path, row["architecture"]),
            float(row[column]),
            (row.get("step") or budget) / budget,
            row.get("state", "completed") == "completed",
        )
        for row in rows
    ]
    return _required(found, path, metric, set(names))


def _architecture(path: str, text: Any) -> Mapping[str, Any]:
    try:
        values = json.loads(text)
    except (TypeError, ValueError):
        values = None
    if not isinstance(values, dict):
        raise SpecError(
            f"warm start {path!r}: architecture {str(text)[:60]!r} is not a JSON object of hole path to value; "
            "raynas trials NAME --parquet FILE writes one"
        )
    return values


def _required(found: list[_Row], source: str, metric: str, there: Iterable[str]) -> list[_Row]:
    if not found:
        known = f"it has: {', '.join(sorted(there))}" if there else "it has measured nothing yet"
        raise SpecError(f"warm start {source!r} has no value of metric {metric!r}; {known}")
    return found


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
