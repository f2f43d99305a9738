"""The constraints of a search: read from its settings, checked before it begins, and kept by what it proposes."""

from __future__ import annotations

import random
from dataclasses import replace

from raynas.errors import SpecError
from raynas.journal.history import History
from raynas.objectives.constraint import Constraint
from raynas.objectives.objective import Objective
from raynas.searchers.admission import Admission
from raynas.space import Architecture
from raynas.spec.components import Components, input_shape
from raynas.spec.costs import ANALYTIC, Costs, cost_models, costs_of, metrics_of
from raynas.spec.settings import ResolvedSpec, SearchSpec
from raynas.storage.search_folder import SearchFolder
from raynas.suggestions import did_you_mean


def constraints_of(spec: SearchSpec, metrics: list[str]) -> tuple[Constraint, ...]:
    """The constraints of a search.

    Args:
        spec: its settings.
        metrics: the costs that its models give.

    Raises:
        SpecError: no model gives such a cost, or no network can keep them.
    """
    found = tuple(map(Constraint.parse, spec.constraints))
    for each in found:
        if each.metric not in metrics:
            hint = did_you_mean(each.metric, metrics)
            known = f"the costs are: {', '.join(sorted(metrics))}; --cost names further ones (docs/costs.md)"
            raise SpecError(
                f"constraint {str(each)!r}: {each.metric!r} is no cost that is known before training; "
                + "; ".join(filter(None, [hint, known]))
            )
        for other in found:
            apart = (each.bound, other.bound) == ("<=", ">=") and each.value < other.value
            if apart and each.metric == other.metric:
                raise SpecError(f"constraints {str(each)!r} and {str(other)!r}: no number keeps both; drop one of them")
    return found


def costs_and_admission(
    spec: SearchSpec, components: Components, folder: SearchFolder | None = None
) -> tuple[Costs, Admission | None]:
    """What is known of a search's networks before they are trained, and which of them are worth a trial.

    Args:
        spec: the search's settings: ``costs``, ``constraints`` and ``affordable_flops``.
        components: what it is made of.
        folder: the begun search's.

    Returns:
        The costs; and the admission, None where there is no limit on them.

    Raises:
        UserError: a cost model or a constraint cannot be used.
    """
    models = cost_models(spec, folder)
    constraints = constraints_of(spec, metrics_of(models))
    for asked in (*spec.constraints, *spec.costs):
        if input_shape(components) is None:
            raise SpecError(
                f"{asked!r}: the costs of a network are not known here, since {type(components.evaluator).__name__} "
                "does not say what goes into one (Evaluator.task); leave it out"
            )
    costs = costs_of(components, spec.trial_timeout, models)
    if spec.affordable_flops is None and not constraints:
        return costs, None
    return costs, Admission(costs, affordable_flops=spec.affordable_flops, constraints=constraints)


def require_feasible(spec: ResolvedSpec, components: Components) -> None:
    """Makes sure that the costs can be had, and that a network can be found that keeps the constraints.

    Raises:
        CostError: a model of the person's own fails for the space's default.
        SpecError: nothing that was drawn keeps them; the message holds the best value that was seen.
        UserError: see ``costs_and_admission``.
    """
    costs, admission = costs_and_admission(replace(spec, affordable_flops=None), components)
    if set(costs.models) > {ANALYTIC}:
        costs.require(components.space.default())
    if admission is not None and not _draws(spec, components, admission, 1):
        raise SpecError(f"{admission.shortage.describe()}; loosen --constraint, or give a space with other networks")


def feasible_samples(spec: ResolvedSpec, components: Components, count: int) -> list[Architecture]:
    """Random architectures that keep the constraints: so many, or fewer where no more are found."""
    _, admission = costs_and_admission(replace(spec, affordable_flops=None), components)
    if admission is None:
        rng = random.Random(spec.seed)
        return [components.space.sample(rng) for _ in range(count)]
    return _draws(spec, components, admission, count)


def _draws(spec: ResolvedSpec, components: Components, admission: Admission, count: int) -> list[Architecture]:
    """What a random search of the same seed would propose."""
    from raynas.searchers.random import RandomSearcher

    searcher = RandomSearcher(components.space, seed=spec.seed)
    searcher.admit_only(admission)
    history, rng = History(Objective(spec.metric, spec.mode)), random.Random(spec.seed)
    found: list[Architecture] = []
    while len(found) < count:
        drawn = searcher.fresh(history, rng, searcher.random_draw)
        if drawn is None:
            break
        history.seen.add(drawn.trial_id)
        found.append(drawn.architecture)
    return found
