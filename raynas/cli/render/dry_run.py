"""``raynas search --dry-run``: what a search would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raynas.cli.console import make_console, say
from raynas.counts import digits
from raynas.durations import format_duration
from raynas.report.wording import counted, format_size, plan_lines

if TYPE_CHECKING:
    from raynas.engine.dry_run import Plan


def print_plan(plan: Plan) -> None:
    """The settings, an architecture, and how many trials the limits leave."""
    console, spec = make_console(), plan.spec
    say(console, f"raynas search {spec.space} would do this (nothing was written, Ray was not started)")
    for line in plan_lines(plan.lines):
        say(console, line)
    options = {key: value for key, value in spec.task_options.items() if key != "content"}  # the data's fingerprint
    objective = spec.objectives.first
    for key, value in {**spec.to_json(), "task_options": options, "metric": objective}.items():
        if value is not None and value not in ({}, []) and key != "mode":
            say(console, f"  {key:<18} {_written(key, value)}")
    console.print()
    if plan.data:
        say(console, f"data: {plan.data}")
    say(console, f"architectures: {format_size(digits(plan.size), plan.size_exact)}; one of them:")
    for line in plan.sample_text.splitlines():
        say(console, f"  {line}")
    console.print()
    step = "step" if spec.trial_time else "epoch"
    takes = "of training takes" if spec.trial_time else "takes about"
    steps = f"{plan.steps_per_trial:.1f} of {counted(spec.epochs, step)}"
    takes = f"one {step} {takes} {plan.step_seconds:.2f} s here"
    say(console, f"{takes}; a trial has about {steps} before it is stopped")
    if plan.trials is None or plan.seconds is None:
        say(console, "there is no limit on trials or time: it would run until it is stopped")
        return
    by = {"trials": "the limit on trials", "time": "the limit on time", "size": "the size of the space"}[plan.limit]
    at_once = f"{counted(plan.workers, 'trial')} at the same time" if plan.workers > 1 else "one trial at a time"
    again = f" and {counted(plan.repeats, 'repeat')} of finalists" if plan.repeats else ""
    say(
        console,
        f"with {at_once}: about {counted(plan.trials, 'trial')}{again} in {format_duration(plan.seconds)} "
        f"({by} ends it)",
    )


def _written(key: str, value: object) -> object:
    """A setting as a person would read it."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:g} s" if key in ("time", "trial_time", "trial_timeout") else value
