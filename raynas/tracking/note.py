"""What a person reads and sees first in the UI: the search's description, and the saved view of the runs table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from raynas.journal import History
from raynas.journal.finalists import finalists
from raynas.tracking.keys import SearchKeys
from raynas.tracking.runs import MAX_TAG, clean_text, milliseconds

#: Key of the saved view: ``mlflow.sharedViewState.KEY`` on the experiment, ``viewStateShareKey=KEY`` in the address.
VIEW_KEY = "raynas"

#: MLflow shows this tag of a run, or of an experiment, as its description.
NOTE_TAG = "mlflow.note.content"

VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"

#: So many holes are columns of the table.
_COLUMNS = 6


def description(history: History, folder: Path, live: bool) -> str:
    """The parent run's description in Markdown: what is searched, best so far, how to go on."""
    assert history.search is not None
    search, objective = history.search, history.objective
    assert objective is not None
    counts = history.counts
    space, spec = search["space"], search["spec"]
    size = space.get("size", "")
    lines = [
        f"Search **{folder.name}**: space `{space.get('reference')}`"
        + (f" ({_size(size, space.get('size_exact', True))} architectures)" if size else "")
        + f", task `{search['task'].get('reference')}`, strategy {spec.get('strategy')}, "
        f"objective {objective.metric} ({objective.mode}).",
        "",
        f"{len(history.trials)} trials: {counts['completed']} completed, {counts['stopped']} stopped early, "
        f"{counts['failed']} failed, {len(history.running)} {'under way' if live else 'unfinished'}.",
        "",
    ]
    best = history.best(5)
    if best:
        lines += [f"| best | {objective.metric} | {history.step_name}s | architecture |", "| --- | --- | --- | --- |"]
        for record in best:
            value = history.value(record)
            steps = record.score[0] if record.score else 0
            lines.append(f"| trial {record.number} | {value:.5g} | {steps} | {record.name.replace('|', '/')} |")
        lines.append("")
    default = history.default
    if default is not None and history.value(default) is not None:
        lines += [f"The space's default (trial 0) has {history.value(default):.5g}.", ""]
    lines += _recommended(history, objective.metric)
    lines += [
        "Go on with it:",
        "",
        "```sh",
        f"export RAYNAS_HOME={folder.parent}",
        f"raynas best {folder.name}",
        f"raynas resume {folder.name}",
        "```",
    ]
    return clean_text("\n".join(lines), MAX_TAG)


def _recommended(history: History, metric: str) -> list[str]:
    """What the search recommends by more than single measurements; no lines where it does not."""
    for one in finalists(history)[:1]:
        interval = "" if one.interval is None else f" (95 % interval {one.interval[0]:.5g} to {one.interval[1]:.5g})"
        trained = f"trial {one.original.number} trained again {len(one.repeats)} times"
        return [
            f"Recommended: trial {one.trial(history).number}; {trained}: mean {metric} {one.mean:.5g}{interval}.",
            "",
        ]
    said = history.sessions[-1].recommended if history.sessions else None
    return [] if said is None else [f"Recommended by what similar networks did: trial {said['trial']}.", ""]


def saved_view(history: History, keys: SearchKeys | None = None) -> str:
    """The runs table as it opens: objective, state, size and leading holes as columns, sorted by the objective.

    MLflow's UI reads the JSON of an experiment tag (fields of its ``ExperimentPageUIState`` and
    ``ExperimentPageSearchFacetsState``); what it does not know in some release, it leaves out. Newer releases want the
    state in an envelope with a name, and list the view under "Views"; older ones want the bare state. This is both.

    Args:
        keys: of the search's metrics and holes.
    """
    keys = SearchKeys() if keys is None else keys
    objective, search = history.objective, history.search
    assert objective is not None
    assert search is not None
    order = f"metrics.`{keys.metrics(objective.metric)}`"
    columns = [order, "metrics.`parameters`", "tags.`raynas.state`", "tags.`raynas.steps`"]
    columns += [f"params.`{keys.holes(path)}`" for path in leading_holes(history)]
    view: dict[str, Any] = {
        "searchFilter": "",
        "orderByKey": order,
        "orderByAsc": objective.mode == "min",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": ["attributes.`Run Name`", *columns],
        "columnWidths": {"attributes.`Run Name`": 300},
    }
    created = milliseconds(search["time"])
    envelope = {"name": "RayNAS", "createdAt": created, "updatedAt": created, "state": json.dumps(view)}
    return json.dumps(envelope | view)


def leading_holes(history: History) -> list[str]:
    """The holes worth a column: those of the default that stand highest in the template, in its order."""
    first = history.trials.get(0)
    if first is None:
        return []
    paths = list(first.values)
    return sorted(paths, key=lambda path: (path.startswith("recipe."), path.count("."), paths.index(path)))[:_COLUMNS]


def runs_page(address: str, experiment_id: str) -> str:
    """The page of a search's runs, with the saved view.

    The experiment's own address opens an overview for generative models (or forgets the view on its way to the runs).
    """
    page = f"{address.rstrip('/')}/#/experiments/{experiment_id}/runs"
    return f"{page}?workflowType=machine_learning&viewStateShareKey={VIEW_KEY}"


def _size(text: str, exact: bool) -> str:
    """A count of architectures, as the journal has it."""
    if text == "inf":
        return "infinitely many"
    words = text if len(text) <= 9 else f"10^{len(text) - 1}"
    if not exact:
        return f"at least {words}"
    return words if len(text) <= 9 else f"about {words}"
