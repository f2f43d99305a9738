"""What ``raynas simulate`` shows a person: the best by evaluations and by virtual time, how soon, and who is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from raynas.cli.console import make_console, say


def print_comparison(document: Mapping[str, Any], out: Path | None, plot: Path | None) -> None:
    """Tables of the document that ``--json`` prints."""
    console = make_console(width=200)
    metric, better = document["objective"]["metric"], document["objective"]["mode"]
    say(
        console,
        f"{document['table']}: {document['rows']} rows, {document['networks']} different; {metric} ({better}), "
        f"best {_shown(document['optimum'])}; {document['seeds']} runs each",
    )
    _table(
        console, f"best {metric} after so many evaluations: mean ± std (runs at the table's best)", document["workers"]
    )
    _table(console, "after so many virtual seconds", document["seconds"])
    _end(console, document)
    _soon(console, document)
    _comparison(console, document)
    for path in (out, plot):
        if path is not None:
            say(console, f"written: {path}")


def _rows(by_workers: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    for workers, strategies in by_workers.items():
        for strategy, entry in strategies.items():
            yield strategy, workers, entry


def _table(console: Console, title: str, by_workers: Mapping[str, Mapping[str, Any]]) -> None:
    columns = dict.fromkeys(point for _, _, entry in _rows(by_workers) for point in entry)
    cells: Callable[[Any], list[str]] = lambda entry: [_cell(entry[point]) for point in columns]  # noqa: E731
    _show(console, title, list(columns), [(name, workers, cells(entry)) for name, workers, entry in _rows(by_workers)])


def _cell(entry: Mapping[str, Any]) -> str:
    rate = entry.get("optimum_rate")
    share = f" ({rate:.0%})" if rate else ""
    none = f", {entry['without_result']} without" if entry["without_result"] else ""
    return f"{_shown(entry['mean'])} ± {_spread(entry['std'])}{share}{none}"


def _end(console: Console, document: Mapping[str, Any]) -> None:
    """Only where something else than the metric is followed, or runs end by time."""
    reported = next((list(entry["reported"]) for _, _, entry in _rows(document["end"])), [])
    if not reported and document["budget_seconds"] is None:
        return
    columns = [document["objective"]["metric"], *reported, "evaluations", "seconds"]
    rows = []
    for name, workers, entry in _rows(document["end"]):
        cells = [_cell(entry), *(_cell(entry["reported"][column]) for column in reported)]
        rows.append((name, workers, [*cells, f"{entry['evaluations']:.1f}", f"{entry['seconds']:.0f}"]))
    _show(console, "at the end of the runs", columns, rows)


def _soon(console: Console, document: Mapping[str, Any]) -> None:
    target = document["target"]
    rows = []
    for (name, workers, counts), (_, _, seconds) in zip(
        _rows(target["evaluations"]), _rows(target["seconds"]), strict=True
    ):
        cells = [f"{counts['share']:.0%}"]
        for places in (counts["quantiles"], seconds["quantiles"]):
            cells += [_count(places["0.5"]), _count(places["0.95"])]
        rows.append((name, workers, cells))
    columns = ["runs", "evaluations: median", "95 %", "virtual seconds: median", "95 %"]
    _show(console, f"until {_shown(target['value'])} was reached", columns, rows)


def _comparison(console: Console, document: Mapping[str, Any]) -> None:
    if not document["comparison"]:
        return
    rows = []
    for pair in document["comparison"]:
        low, high = pair["interval"]
        known = not math.isnan(pair["difference"])
        difference = f"{pair['difference']:+.4g} [{low:+.4g}, {high:+.4g}]" if known else "– (runs without a result)"
        p_value = f"{pair['p_value']:.2g}" if pair["p_value"] >= 1e-4 else "< 0.0001"
        cells = [difference, f"{pair['superiority']:.0%}", p_value]
        rows.append((f"{pair['a']} against {pair['b']}", str(pair["workers"]), cells))
    columns = ["difference of means [95 %]", "a run is better", "p (Mann–Whitney)"]
    _show(console, "at the end, one against the other", columns, rows)


def _show(console: Console, title: str, columns: list[str], rows: list[tuple[str, str, list[str]]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("strategy")
    table.add_column("workers", justify="right")
    for column in columns:
        table.add_column(column, justify="right")
    for name, workers, cells in rows:
        table.add_row(name, workers, *cells)
    console.print()
    console.print(title, style="italic", soft_wrap=True)
    console.print(table)


def _shown(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}" if abs(value) < 1000 else f"{value:.6g}"


def _spread(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _count(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.0f}" if value >= 10 else f"{value:.3g}"
