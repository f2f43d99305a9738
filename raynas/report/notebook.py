"""A search in a notebook: how it stands, and its best trials as a table."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from raynas.report.wording import steps_text

if TYPE_CHECKING:
    from raynas.report.search_report import SearchReport


def as_html(report: SearchReport, count: int = 10) -> str:
    """A piece of HTML with the ``count`` best trials, and the default where it is not among them."""
    best, default = report.best_and_default(count)
    columns = ("trial", report.objective.metric, f"{report.step_name}s", "seconds", "architecture")
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(
        f"<tr><td>{trial.number}</td><td>{trial.value:.4f}</td><td>{steps_text(trial)}</td>"
        f"<td>{trial.seconds:.1f}</td><td style='text-align:left'>{html.escape(trial.title)}</td></tr>"
        for trial in [*best, *([] if default is None else [default])]
        if trial.value is not None
    )
    trials = report.counts.total
    words = f"<b>{html.escape(report.name)}</b> is {report.status}; {trials} trial{'' if trials == 1 else 's'}"
    words += f"; {html.escape(str(report.objective))}"
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if body else ""
    return f"<div>{words}{table}</div>"
