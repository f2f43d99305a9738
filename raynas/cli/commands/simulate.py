"""``raynas simulate``: strategies compared in virtual time over a table of measured architectures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raynas.cli.commands.read import Json
from raynas.cli.options.values import amount, whole
from raynas.errors import SpecError

if TYPE_CHECKING:
    from raynas.objectives.objective import Objective
    from raynas.simulate import Table, TableSpace

#: A run that names no budget has so many trials.
USUAL_TRIALS = 100

DATA, STOPPING, FAULTS, OUTPUT = "The table", "Early stopping", "What goes wrong", "What comes out"


def _text(metavar: str, help: str, panel: str | None = None) -> Any:
    return typer.Option(metavar=metavar, help=help, rich_help_panel=panel)


def _amount(name: str, metavar: str, help: str, panel: str | None = None, *, zero: bool = True) -> Any:
    return typer.Option(parser=amount(name, zero=zero), metavar=metavar, help=help, rich_help_panel=panel)


def _count(name: str, least: int, help: str, panel: str | None = None) -> Any:
    return typer.Option(parser=whole(name, least), metavar="N", help=help, rich_help_panel=panel)


def simulate(
    metric: Annotated[
        str | None, _text("COLUMN", "What is searched for: a column, or arithmetic as 'last(valid_accuracy)'.")
    ] = None,
    strategy: Annotated[
        list[str] | None, _text("STRATEGY", "A strategy, or path/to/file.py:name; may be given several times.")
    ] = None,
    table: Annotated[
        Path | None, _text("FILE", "Measured architectures: Parquet or CSV; docs/simulate.md.", DATA)
    ] = None,
    space: Annotated[
        str | None, _text("SPACE", "The space whose architectures the rows are: a name, or path/to/file.py:name.", DATA)
    ] = None,
    holes: Annotated[
        str | None,
        _text("6x5|A,B,…", "Without a space: six holes of five values as digits, or the names of hole columns.", DATA),
    ] = None,
    task: Annotated[
        str | None, _text("TASK", "The task that the space is made for (default: CIFAR-10's shapes).", DATA)
    ] = None,
    from_search: Annotated[
        str | None, _text("NAME", "A search's journal as the table: what another strategy would have done.", DATA)
    ] = None,
    mode: Annotated[
        str | None, _text("min|max", "Whether less or more of the metric is better; needed unless a search says it.")
    ] = None,
    trials: Annotated[
        int | None, _count("--trials", 1, f"Trials a run (default: {USUAL_TRIALS}, without --budget-seconds).")
    ] = None,
    budget_seconds: Annotated[
        float | None,
        _amount("--budget-seconds", "S", "Virtual seconds a run; what ends later does not count.", zero=False),
    ] = None,
    workers: Annotated[str, _text("N,…", "Virtual workers; one number, or several with commas.")] = "1",
    seeds: Annotated[int, _count("--seeds", 1, "Runs of each strategy.")] = 20,
    seed: Annotated[int, _count("--seed", 0, "The first run's seed; the others count from it.")] = 0,
    set_option: Annotated[
        list[str] | None, typer.Option("--set", metavar="STRATEGY.OPTION=VALUE", help="A strategy's own setting.")
    ] = None,
    cost: Annotated[
        str | None,
        _text("COLUMNS", "Seconds a step, as arithmetic (default: the column 'seconds', or 1).", DATA),
    ] = None,
    report: Annotated[
        str | None,
        _text("COLUMN[:min|max],…", "Further columns to follow at the best trial, and which way is better.", DATA),
    ] = None,
    scheduler: Annotated[
        list[str] | None,
        _text("SCHEDULER", "asha, asha_promotion, hyperband, none (default); may be given several times.", STOPPING),
    ] = None,
    grace_period: Annotated[int | None, _count("--grace-period", 1, "Steps that every trial gets.", STOPPING)] = None,
    reduction_factor: Annotated[
        int | None, _count("--reduction-factor", 2, "One trial in N goes on past a rung.", STOPPING)
    ] = None,
    noise: Annotated[float, _amount("--noise", "SD", "Standard deviation added to a trial's metric.", FAULTS)] = 0.0,
    failures: Annotated[float, _amount("--failures", "SHARE", "Share of trials that fail.", FAULTS)] = 0.0,
    stragglers: Annotated[float, _amount("--stragglers", "SHARE", "Share of trials that are slow.", FAULTS)] = 0.0,
    straggler_factor: Annotated[
        float, _amount("--straggler-factor", "X", "How many times as long those take.", FAULTS, zero=False)
    ] = 5.0,
    node_loss_seconds: Annotated[
        float | None, _amount("--node-loss-seconds", "S", "Mean virtual time to a node's loss.", FAULTS, zero=False)
    ] = None,
    workers_per_node: Annotated[int, _count("--workers-per-node", 1, "Workers lost with a node.", FAULTS)] = 1,
    recovery_seconds: Annotated[
        float, _amount("--recovery-seconds", "S", "Until a lost node's workers are back.", FAULTS)
    ] = 0.0,
    startup_seconds: Annotated[
        float, _amount("--startup-seconds", "S", "From taking up a trial to its first step.", FAULTS)
    ] = 0.0,
    proposal_seconds: Annotated[
        str | None, _text("S|real", "What a proposal takes, one after the other; real: what it takes here.", FAULTS)
    ] = None,
    at: Annotated[str | None, _text("N,…", "At which numbers of evaluations to look.", OUTPUT)] = None,
    at_seconds: Annotated[str | None, _text("S,…", "At which virtual times to look.", OUTPUT)] = None,
    within: Annotated[float, _amount("--within", "X", "How near to the table's best counts as reached.", OUTPUT)] = 0.0,
    out: Annotated[Path | None, _text("FILE", "Write all trajectories as Parquet.", OUTPUT)] = None,
    plot: Annotated[Path | None, _text("FILE", "Draw them (.png, .svg, .pdf); needs raynas[plot].", OUTPUT)] = None,
    processes: Annotated[int | None, _count("--processes", 1, "Processes (default: one a core).")] = None,
    json: Json = False,
) -> None:
    """Compare strategies in virtual time, over a table of measured architectures instead of training.

    Examples:

      raynas simulate --space nasbench201 --table cells.parquet --metric test_accuracy --strategy random --trials 150

      raynas simulate --holes 6x5 --table curves.parquet --metric valid_accuracy --scheduler asha --strategy random
          --strategy evolution --trials 100 --workers 1,16

      raynas simulate --from-search first --strategy random --trials 30
    """
    from raynas.simulate import Faults
    from raynas.simulate.experiment import Experiment, document
    from raynas.simulate.trajectories import write

    for option, file in (("--out", out), ("--plot", plot)):  # before hours of simulation, not after
        if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
            raise SpecError(f"{option} {str(file)!r} cannot be written: there is no folder for it, or it is one itself")
    measured, rows, metric, mode = _measured(table, space, task, holes, from_search, metric, mode)
    experiment = Experiment(
        strategies=tuple(strategy or ()),
        metric=metric,
        mode=mode,  # type: ignore[arg-type]
        schedulers=tuple(scheduler or ("none",)),
        workers=_numbers("--workers", workers),
        trials=USUAL_TRIALS if trials is None and budget_seconds is None else trials,
        seconds=budget_seconds,
        seeds=tuple(range(seed, seed + seeds)),
        report=tuple(_reported(word.strip()) for word in report.split(",")) if report else (),
        cost=cost,
        options=_options(set_option or []),
        grace_period=grace_period,
        reduction_factor=reduction_factor,
        faults=Faults(
            noise=noise,
            failures=failures,
            stragglers=stragglers,
            straggler_factor=straggler_factor,
            node_loss_seconds=node_loss_seconds,
            workers_per_node=workers_per_node,
            recovery_seconds=recovery_seconds,
            startup_seconds=startup_seconds,
        ),
        proposal_seconds=_proposal(proposal_seconds),
        processes=processes,
    )
    evaluations = _numbers("--at", at) if at else ()
    points = _figures("--at-seconds", at_seconds) if at_seconds else ()
    found = experiment.run(measured, rows, tell=_tell if sys.stderr.isatty() else None)
    made = document(experiment, found, measured, rows, evaluations=evaluations, points=points, within=within)
    if out is not None:
        try:
            write(found, out)
        except OSError as error:
            raise SpecError(f"--out {str(out)!r} cannot be written ({error}); give another file") from None
    if plot is not None:
        from raynas.simulate.plot import plot as draw

        draw(found, plot)
    if json:
        from raynas.report import documents

        print(documents.dumps(made))
    else:
        from raynas.cli.render import simulated

        simulated.print_comparison(made, out, plot)


def _tell(strategy: str, workers: int) -> None:
    print(f"simulating {strategy} on {workers} worker{'s' if workers > 1 else ''} …", file=sys.stderr)


def _measured(
    table: Path | None,
    space: str | None,
    task: str | None,
    holes: str | None,
    from_search: str | None,
    metric: str | None,
    mode: str | None,
) -> tuple[Table, TableSpace, str, str]:
    """The table, its rows' space, the metric and its direction."""
    from raynas.simulate import named_space, read_table, space_of_table
    from raynas.spec import references as sources

    if (table is None) == (from_search is None):
        raise SpecError("say what is looked up: --table FILE, or --from-search NAME (one of them)")
    if from_search is not None:
        return _searched(from_search, space, metric, mode)
    assert table is not None
    if metric is None:
        raise SpecError("say what is searched for: --metric COLUMN (or arithmetic over columns)")
    measured = read_table(table)
    measured.evaluate(metric)  # a wrong name is told before the ids are computed
    mode = _mode(metric, mode)
    if space is None or task is None:
        return measured, space_of_table(measured, space, holes=holes), metric, mode
    template, parse = named_space(space, sources.make_task(sources.source_of("raynas.tasks", task)))
    return measured, space_of_table(measured, template, holes=holes, parse=parse), metric, mode


def _searched(name: str, space: str | None, metric: str | None, mode: str | None) -> tuple[Table, TableSpace, str, str]:
    """A search's journal as a table, over the search's own space."""
    from raynas import api
    from raynas.results.components import resumed_source
    from raynas.results.working_folder import working_as_begun
    from raynas.simulate import named_space, space_of_table, table_of_history
    from raynas.spec import references as sources
    from raynas.spec.components import task_arguments
    from raynas.storage.search_folder import SearchFolder

    result = api.load(name)
    objective = result.objective
    trials = list(result.history.trials.values())
    metrics = dict.fromkeys(key for trial in trials for measured in trial.measurements for key in measured.metrics)
    measured = table_of_history(trials, metrics, f"search {name!r}")
    if space is not None:
        template, _ = named_space(space)
    else:
        folder = SearchFolder(result.folder.parent, result.name)
        arguments = task_arguments(result.spec)
        with working_as_begun(result):
            task = sources.make_task(resumed_source("raynas.tasks", result.spec.task, None, folder), arguments)
            template = sources.make_space(resumed_source("raynas.spaces", result.spec.space, None, folder), task)
    if metric in (None, objective.metric):
        metric, mode = objective.metric, mode or objective.mode
    measured.evaluate(metric)  # a wrong name is told first
    mode = _mode(metric, mode)
    return measured, space_of_table(measured, template), metric, mode


def _mode(metric: str, mode: str | None) -> str:
    """The direction of the metric: given, or of those that RayNAS reports itself. A name alone does not tell it."""
    from raynas.objectives.objective import KNOWN_DIRECTIONS

    mode = mode or KNOWN_DIRECTIONS.get(metric)
    if mode is None:
        raise SpecError(f"is a large {metric!r} better, or a small one? Say it with --mode max or --mode min")
    if mode not in ("min", "max"):
        raise SpecError(f"--mode {mode!r} is not known; give min or max")
    return mode


def _reported(word: str) -> str | Objective:
    """``latency:min`` as a column with its direction, ``latency`` as one whose direction is not known."""
    from raynas.objectives.objective import Objective

    name, colon, mode = word.partition(":")
    if colon and mode not in ("min", "max"):
        raise SpecError(f"--report {word!r}: {mode!r} is no direction; give {name}:min, {name}:max, or {name} alone")
    return Objective(name, mode) if colon else name  # type: ignore[arg-type]


def _figures(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise SpecError(f"{option} {text!r} is no list of numbers; give them with commas, as 10,100") from None


def _numbers(option: str, text: str) -> tuple[int, ...]:
    return tuple(whole(option, 1)(word.strip()) for word in text.split(","))


def _proposal(text: str | None) -> float | None:
    if text is None:
        return None
    if text == "real":
        return -1.0
    (seconds,) = _figures("--proposal-seconds", text)[:1]
    if seconds < 0:
        raise SpecError(f"--proposal-seconds {text!r} is below 0; give 0 or more, or 'real'")
    return seconds


def _options(words: list[str]) -> dict[str, dict[str, Any]]:
    """``evolution.population=30`` as ``{"evolution": {"population": 30}}``; a value is YAML."""
    import yaml

    options: dict[str, dict[str, Any]] = {}
    for word in words:
        where, equals, value = word.partition("=")
        strategy, dot, name = where.rpartition(".")
        if not equals or not dot:
            raise SpecError(f"--set {word!r} is not STRATEGY.OPTION=VALUE, as evolution.population=30")
        try:
            options.setdefault(strategy, {})[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise SpecError(f"--set {word!r}: {value!r} is no value; give a number, a word or a list [1, 2]") from None
    return options
