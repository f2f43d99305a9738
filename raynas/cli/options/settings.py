"""Options of a command that stand for settings of a search, made from their declaration (``raynas.spec.settings``)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Annotated, Any, Optional, TypeVar

import typer

from raynas.cli.options import complete
from raynas.cli.options.values import amount, length_of_time, whole
from raynas.spec.settings import SearchSpec, setting_of, value_type

C = TypeVar("C", bound=Callable[..., None])

#: What the shell offers for a setting's value.
_OFFERED = {
    "task": complete.tasks,
    "evaluator": complete.evaluators,
    "strategy": complete.strategies,
    "scheduler": complete.schedulers,
    "costs": complete.costs,
}


def with_settings(*names: str) -> Callable[[C], C]:
    """Gives a command an option for each setting named (default: for every one that has one).

    The command takes them as ``**settings``; those that were not given are None. Its own options stand before them in
    the help, in so far as they have no panel.
    """
    chosen = names or tuple(each.name for each in fields(SearchSpec) if setting_of(each.name).option)
    options = [_parameter(name) for name in chosen]

    def decorate(command: C) -> C:
        signature = inspect.signature(command, eval_str=True)
        own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        command.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in [*own, *options]}
        return command

    return decorate


def given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a person gave, as ``raynas.search`` takes them; others are the file's or the default."""
    names = {"time": "seconds"}
    return {names.get(key, key): value for key, value in settings.items() if value is not None and value != []}


def _parameter(name: str) -> inspect.Parameter:
    setting, (kind, _) = setting_of(name), value_type(name)
    about: dict[str, Any] = {"help": setting.help, "metavar": setting.metavar, "rich_help_panel": setting.panel}
    if name in _OFFERED:
        about["autocompletion"] = _OFFERED[name]
    option, parser = setting.flag or f"--{name.replace('_', '-')}", None
    if setting.kind == "duration":
        parser = length_of_time(option)
    elif kind is int:
        parser = whole(option, setting.at_least or 0)
    elif kind is float:
        parser = amount(option, zero=setting.more_than is None)
    if parser is not None:
        about["parser"] = parser
    if kind is bool:
        option, about["show_default"] = f"{option}/--no-{name.replace('_', '-')}", option
    elif kind not in (int, float, list[str]):
        kind = str  # one of a few words: what is wrong is said where settings are checked
    annotation: Any = Annotated[(Optional[kind], typer.Option(option, **about))]  # noqa: UP045
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
