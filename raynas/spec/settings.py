"""The settings of a search, each declared once: name, type, default, limits, and what people are told of it.

The fields of ``SearchSpec`` are the declaration. The keys of ``search.yaml`` (``reading``), the keywords of
``raynas.search`` (``Settings``) and the options of the command line (``raynas.cli.options.settings``) follow from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from types import NoneType
from typing import Any, Literal, TypedDict, get_args, get_type_hints

from raynas.objectives.constraint import Constraint
from raynas.objectives.objective import Mode, Objective
from raynas.objectives.objectives import Objectives

#: A search that names no budget ends by itself within a few minutes on a laptop.
DEFAULT_TRIALS = 40
DEFAULT_SECONDS = 300.0
#: Into so many steps a trial with a budget of time is divided: rungs at 3 and 9.
TIMED_STEPS = 9

#: The groups of options in the help of a command.
BUDGET, STOPPING, OBJECTIVE, MACHINES, RECORDS = "Budget", "Early stopping", "Objective", "Machines", "Records"

#: A length of time in seconds; people write it as ``90``, ``5m`` or ``1h30m``.
Kind = Literal["value", "duration", "store", "constraints"]


@dataclass(frozen=True)
class Setting:
    """What is said of a setting beside its type and its default.

    Attributes:
        help: one or two sentences for people.
        metavar: what stands for its value in the help of a command.
        panel: the group of options that it belongs to; None: the first one.
        at_least, more_than: the least that it may be (of text: its length).
        kind: ``duration``: seconds, written as people write times; ``store``: the address of an MLflow store;
            ``constraints``: limits as ``Constraint.parse`` reads them.
        option: whether the command line has an option for it.
        flag: that option, where it is not called like the setting: one of a list is given at a time.
    """

    help: str
    metavar: str | None = None
    panel: str | None = None
    at_least: int | None = None
    more_than: int | None = None
    kind: Kind = "value"
    option: bool = True
    flag: str | None = None


def _setting(default: Any, help: str, metavar: str | None = None, panel: str | None = None, **more: Any) -> Any:
    """A field of the declaration; ``default`` may be a type that makes an empty value."""
    about = {"setting": Setting(help, metavar, panel, **more)}
    if isinstance(default, type):
        return field(default_factory=default, metadata=about)
    return field(default=default, metadata=about)


@dataclass(frozen=True, kw_only=True)
class SearchSpec:
    """What a person asks of a search; None where that was left open.

    ``trials`` and ``time`` (seconds) are totals over all sessions of the search, failures and trial 0 included.
    Where a search with a ``time`` is given neither ``epochs`` nor ``trial_time``, it measures and decides itself
    (``raynas.engine.time_plan.plan``), also ``affordable_flops``: what a space may use (``Task.affordable_flops``).
    """

    space: str = field(metadata={"setting": Setting("The search space.", at_least=1, option=False)})
    name: str | None = _setting(None, "The search's name and its folder's (default: made up).", "NAME")
    task: str | None = _setting(
        None, "What to be good at: a name, or path/to/file.py:name (default: digits).", "TASK", at_least=1
    )
    data: str | None = _setting(
        None, "Your own images: a folder CLASS/NAME.jpg, or a Parquet file (docs/data.md).", "PATH", at_least=1
    )
    task_options: dict[str, Any] = _setting(dict, "The task's own settings.", option=False)
    evaluator: str = _setting(
        "training",
        "How networks are measured: training (on the task's data), or your own training loop or evaluator, "
        "path/to/file.py:name (docs/own/evaluator.md).",
        "EVALUATOR",
        at_least=1,
    )
    strategy: str = _setting(
        "auto",
        "How to search: auto, predictor, tpe, evolution, local, reinforce, random, or path/to/file.py:name "
        "(default: auto, which picks and says why).",
        "STRATEGY",
        at_least=1,
    )
    strategy_options: dict[str, Any] = _setting(dict, "The strategy's own settings.", option=False)
    seed: int | None = _setting(None, "Makes the search repeatable (default: drawn, kept).", "N", at_least=0)
    warm_start: str | None = _setting(
        None,
        "Begin with what is known of this space: another search's name, or a Parquet file of its trials "
        "('raynas trials NAME --parquet FILE'). The best of it is trained first.",
        "NAME|FILE",
        at_least=1,
    )
    trials: int | None = _setting(
        None,
        "Trials in all, over every session; failed ones and trial 0 (the space's default) count. (Default, where "
        "there is no --time either: 40 trials or 5 minutes, whichever ends first.)",
        "N",
        BUDGET,
        at_least=1,
    )
    time: float | None = _setting(
        None,
        "Time in all, over every session: 90 (seconds), 90s, 5m, 2h, 1h30m. Trials under way then are saved.",
        "DURATION",
        BUDGET,
        kind="duration",
    )
    finalists: int = _setting(
        0,
        "After the last trial, train the K leading networks again with other seeds, and recommend by the mean. "
        "They come on top of --trials; --time limits them, too, but not where a resume gives them to a search that has "
        "used up its time. (0: none.)",
        "K",
        BUDGET,
        at_least=0,
    )
    repeats: int | None = _setting(
        None, "How often each finalist is trained again (default: 3).", "R", BUDGET, at_least=1
    )
    epochs: int | None = _setting(
        None,
        "A trial's full budget (default: the task's); with --trial-time: in how many steps (default: 9).",
        "N",
        BUDGET,
        at_least=1,
    )
    trial_time: float | None = _setting(
        None,
        "A trial's full budget as time in training instead of epochs: small and large networks get the same.",
        "DURATION",
        BUDGET,
        kind="duration",
    )
    effort: Literal["normal", "wide", "deep"] | None = _setting(
        None,
        "How --time is shared out, where neither --epochs nor --trial-time is given: more, shorter trials "
        "(wide), or fewer, longer ones (deep).",
        "wide|normal|deep",
        BUDGET,
    )
    image_size: int | None = _setting(
        None,
        "The side to which your pictures are brought (default: what --time allows, and never larger than "
        "they are; without --time at most 64).",
        "PIXELS",
        BUDGET,
        at_least=1,
    )
    batch_size: int | None = _setting(
        None, "Samples a step of training (default: the task's, or what the time allows).", at_least=1, option=False
    )
    affordable_flops: float | None = _setting(
        None,
        "FLOPs of one sample's forward pass that a trial can afford (default: measured, where a search has a time).",
        at_least=0,
        option=False,
    )
    scheduler: str = _setting(
        "asha",
        "How weak trials are stopped early, if at all (default: asha); or path/to/file.py:name.",
        "asha|asha_promotion|hyperband|none",
        STOPPING,
    )
    grace_period: int | None = _setting(
        None, "Epochs that every trial gets (default: by the budget).", "N", STOPPING, at_least=1
    )
    reduction_factor: int | None = _setting(
        None, "One trial in N goes on past a rung (default: by the budget).", "N", STOPPING, at_least=2
    )
    metric: str | None = _setting(
        None, "What trials are compared by (default: the task's).", "METRIC", OBJECTIVE, at_least=1
    )
    mode: Mode | None = _setting(
        None,
        "Which way that metric is good (default: as the task says; needed where it says nothing).",
        "min|max",
        OBJECTIVE,
    )
    constraints: list[str] = _setting(
        list,
        "A limit on a cost that every network must keep, such as 'params<=500k' or 'flops<=20M' (quoted: the shell "
        "reads <). Those that break it are never trained. May be given more than once.",
        "LIMIT",
        OBJECTIVE,
        kind="constraints",
        flag="--constraint",
    )
    costs: list[str] = _setting(
        list,
        "A further cost to know of each network before it is trained, beside params and flops: a name, or "
        "path/to/file.py:name (docs/costs.md). May be given more than once.",
        "COST",
        OBJECTIVE,
        flag="--cost",
    )
    workers: int | None = _setting(None, "Trials at the same time (default: one a core).", "N", MACHINES, at_least=1)
    max_concurrent: int | None = _setting(
        None, "A further limit on trials at the same time.", "N", MACHINES, at_least=1
    )
    cpus_per_trial: float = _setting(1, "CPUs, and threads, of a trial (default: 1).", "N", MACHINES, more_than=0)
    gpus_per_trial: float | None = _setting(
        None, "GPUs of a trial, also 0.5 (default: 1 where trials use CUDA).", "N", MACHINES, at_least=0
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = _setting(
        "auto", "What trials train on (default: auto).", "auto|cpu|cuda|mps", MACHINES
    )
    precision: Literal["auto", "fp32", "bf16"] = _setting(
        "auto",
        "Number format of convolutions and matrix products (default: auto, the faster one by a short timing).",
        "auto|fp32|bf16",
        MACHINES,
    )
    trial_timeout: float | None = _setting(
        None,
        "Limit on one step (epoch) of a trial; a trial that takes longer has failed.",
        "DURATION",
        BUDGET,
        kind="duration",
    )
    address: str | None = _setting(
        None,
        "A running Ray cluster to join, or 'auto'; its nodes must share $RAYNAS_HOME "
        "(default: a private Ray on this machine).",
        "HOST:PORT",
        MACHINES,
    )
    keep_best: int = _setting(
        3, "Of how many of the best trials the weights are kept (default: 3).", "N", RECORDS, at_least=0
    )
    mlflow: bool = _setting(True, "Write the search to MLflow as it goes.", None, RECORDS)
    tracking_uri: str | None = _setting(
        None,
        "MLflow's store (default: $MLFLOW_TRACKING_URI, else $RAYNAS_HOME/mlflow.db). A password in it is not "
        "kept, and better given by the variable.",
        "URI",
        RECORDS,
        kind="store",
    )

    def to_json(self) -> dict[str, Any]:
        """The settings by their names, as a journal and ``spec.yaml`` have them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def __getitem__(self, name: str) -> Any:
        """A setting by its name. Raises KeyError where there is none."""
        if name not in self.__dataclass_fields__:
            raise KeyError(name)
        return getattr(self, name)


def setting_of(name: str) -> Setting:
    """What is declared of a setting. Raises KeyError where there is none of that name."""
    setting: Setting = SearchSpec.__dataclass_fields__[name].metadata["setting"]
    return setting


@lru_cache(maxsize=1)
def _hints() -> dict[str, Any]:
    return get_type_hints(SearchSpec)


def value_type(name: str) -> tuple[Any, bool]:
    """The type of a setting's values, and whether it may be left open (None). Raises KeyError where there is none."""
    hint = _hints()[name]
    given = [kind for kind in get_args(hint) if kind is not NoneType]
    return (given[0], True) if NoneType in get_args(hint) else (hint, False)


def _as_asked(name: str) -> Any:
    """A setting that is no longer open: declared as in :class:`SearchSpec`, without a default."""
    return field(metadata={"setting": setting_of(name)})


@dataclass(frozen=True, kw_only=True)
class ResolvedSpec(SearchSpec):
    """The settings of a search with every open one filled in. They are kept with it: a resumed search does the same.

    ``finalists`` with ``repeats``; ``trials``, ``time`` and others stay None where there is no such limit.
    """

    name: str = _as_asked("name")
    task: str = _as_asked("task")
    metric: str = _as_asked("metric")
    mode: Mode = _as_asked("mode")
    epochs: int = _as_asked("epochs")
    seed: int = _as_asked("seed")

    @property
    def objectives(self) -> Objectives:
        """What trials are compared by, and what they must keep."""
        return Objectives((Objective(self.metric, self.mode),), tuple(map(Constraint.parse, self.constraints)))

    @classmethod
    def of_journal(cls, values: Mapping[str, Any], *, name: str, objective: Objective) -> ResolvedSpec:
        """The settings that a journal has, with the defaults of what its release did not know yet.

        Args:
            values: by name; those that this release does not know are left out.
            name: of the search's folder now.
            objective: of the search.
        """
        known: dict[str, Any] = {
            "space": "",
            "task": "digits",
            "epochs": 0,
            "seed": 0,
            "metric": objective.metric,
            "mode": objective.mode,
        }
        known |= {each.name: values[each.name] for each in fields(cls) if each.name in values}
        return cls(**{**known, "name": name})


class Settings(TypedDict, total=False):
    """The keywords of ``raynas.search``: the settings above, with the same names (``seconds``: its ``time``).

    What each means and what its default is stands in ``SearchSpec``. Durations may be written as text ("5m").
    """

    name: str | None
    task_options: Mapping[str, Any] | None
    data: str | None
    strategy: str | None
    strategy_options: Mapping[str, Any] | None
    seed: int | None
    warm_start: str | None
    trials: int | None
    seconds: float | str | None
    finalists: int | None
    repeats: int | None
    epochs: int | None
    trial_time: float | str | None
    effort: str | None
    image_size: int | None
    batch_size: int | None
    affordable_flops: float | None
    scheduler: str | None
    grace_period: int | None
    reduction_factor: int | None
    metric: str | None
    mode: str | None
    constraints: Sequence[str] | str | None
    costs: Sequence[str] | str | None
    workers: int | None
    max_concurrent: int | None
    cpus_per_trial: float | None
    gpus_per_trial: float | None
    device: str | None
    precision: str | None
    trial_timeout: float | str | None
    address: str | None
    keep_best: int | None
    mlflow: bool | None
    tracking_uri: str | None
