"""Constraints on costs, from the settings to the journal: in a session without Ray, and in one real search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import raynas
from raynas import api
from raynas.cli.render.dry_run import print_plan
from raynas.cli.render.tables import print_status
from raynas.engine.session import Session
from raynas.errors import SpecError
from raynas.evaluators.synthetic import Synthetic
from raynas.journal import History, Writer
from raynas.journal.events import OPTIONAL
from raynas.objectives import Constraint
from raynas.objectives.objective import Objective
from raynas.schedulers.rungs import FullBudget
from raynas.searchers.admission import Admission
from raynas.searchers.proposal import Proposal, Proposer
from raynas.searchers.random import RandomSearcher
from raynas.space import Choice, Space, op
from raynas.spec.reading import make_spec, read_spec, write_spec
from raynas.storage.search_folder import SearchFolder
from raynas.tasks.digits import Digits
from search_spaces.mlp import mlp

OBJECTIVE = Objective("score", "max")

DEPTH = """
from raynas.costs import CostModel, layer_costs

class Depth(CostModel):
    metrics = ("depth",)

    def measure(self, network, input_shape, dtype=None):
        return {"depth": len(layer_costs(network, input_shape, dtype))}
"""


def widths() -> Space:
    """Six networks; the default has 5 units, the others 6, 7, 8, 9 and 10."""
    return Space(a=op(nn.Linear, 3, Choice(5, 6, 7, 8, 9, 10)))


def params(architecture: Any) -> dict[str, float]:
    units = next(iter(architecture.values()))
    return {"params": 4 * units, "latency_ms": units / 10}


class Named(Proposer):
    """No ``ArchitectureSearcher``: proposes the same architecture, whatever was seen."""

    def __init__(self, space: Space) -> None:
        self.space = space

    def propose(self, history: History, number: int) -> Proposal:
        last = list(self.space.enumerate())[-1]
        return Proposal(last, self.space.trial_id(last), self.space.network_id(last))

    def update(self, history: History) -> None:
        pass


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Any]:
    writers: list[Writer] = []

    def session(limits: Sequence[str], searcher: Proposer | None = None) -> Session:
        space = widths()
        admission = Admission(params, constraints=list(map(Constraint.parse, limits))) if limits else None
        if searcher is None:
            searcher = RandomSearcher(space, seed=0)
            searcher.admit_only(admission)
        folder = SearchFolder(tmp_path, "s")
        folder.create()
        writers.append(Writer(folder.journal))
        return Session(
            folder, number=0, space=space, searcher=searcher, rule=FullBudget(1), objective=OBJECTIVE,
            strategy="random", history=History(OBJECTIVE), writer=writers[-1], trials=None, keep_best=1,
            cost=params, admission=admission,
        )  # fmt: skip

    yield session
    for writer in writers:
        writer.close()


def units(session: Session) -> list[int]:
    """Gives out all trials and ends each with its units for a score; the units, in the order of the trials."""
    found = []
    while (trial := session.next_trial()) is not None:
        found.append(next(iter(trial.values.values())))
        session.started(trial.number)
        session.measured(trial.number, 1, {"score": float(found[-1])}, 1.0)
    return found


def test_costs_are_written_with_each_proposal(make: Any) -> None:
    session = make(())
    told: list[dict[str, Any]] = []
    session._progress = told.append
    assert sorted(units(session)) == [5, 6, 7, 8, 9, 10]
    proposed = [event for event in told if event["event"] == "trial_proposed"]
    for event, record in zip(proposed, session.history.trials.values(), strict=True):
        (width,) = record.values.values()
        assert (event["params"], event["costs"]) == (4 * width, {"latency_ms": width / 10})
        assert record.costs == {"params": 4 * width, "latency_ms": width / 10}
        assert "infeasible" not in event
    assert {"costs", "infeasible"} <= set(OPTIONAL["trial_proposed"])
    assert (session.stop_reason, session.message) == ("exhausted", "")


def test_what_breaks_a_constraint_is_no_trial(make: Any) -> None:
    session = make(["params<=28"])
    found = units(session)
    assert (found[0], sorted(found)) == (5, [5, 6, 7]), "the default first"
    assert session.left_out is None
    assert session.stop_reason == "exhausted"
    assert session.message == "of 6 networks drawn 3 keep params<=28, and there is no other to try"
    assert session.history.best(1)[0].values == {"a.out_features": 7}


def test_a_default_that_breaks_a_constraint_is_left_out(make: Any) -> None:
    session = make(["params>=28", "latency_ms<=0.9"])
    assert sorted(units(session)) == [7, 8, 9]
    assert session.left_out == "its params is 20 (params>=28)"
    history = session.history
    assert history.default is None
    assert history.trials[0].strategy == "random"
    assert not history.trials[0].is_default
    assert "hand-made" not in history.trials[0].title


def test_the_best_of_a_warm_start_that_keeps_the_constraints_is_trial_0_where_the_default_is_left_out(
    make: Any,
) -> None:
    session = make(["params>=24", "params<=32"])
    known = []
    for architecture in session.space.enumerate():
        (width,) = architecture.values()
        ids = {"trial_id": session.space.trial_id(architecture), "network_id": session.space.network_id(architecture)}
        values = {"architecture": architecture.to_json(), "rung": 1, "completed": True}
        known.append({**values, **ids, "metrics": {"score": float(width)}})
    begun = {"event": "search_started", "objective": {"metric": "score", "mode": "max"}}
    session.history.apply({**begun, "warm_start": {"source": "earlier", "trials": known}})
    assert units(session) == [8, 7, 6], "the best first; of the others those that keep them"
    assert session.history.trials[0].strategy == "warm start"


def test_a_strategy_that_proposes_nothing_else_ends_the_search_with_one_line(make: Any) -> None:
    session = make(["params<=28"], Named(widths()))
    assert units(session) == [5], "the default"
    assert session.stop_reason == "error"
    assert "for trial 1 only networks that break params<=28" in session.message


def test_settings_keep_constraints_in_one_form(tmp_path: Path) -> None:
    listed = make_spec({"space": "mlp", "constraints": ["params <= 0.5M", Constraint("flops", "<=", 2e7)]})
    assert listed.constraints == ["params<=500k", "flops<=20M"]
    assert make_spec({"space": "mlp", "constraints": "params<=5e5"}).constraints == ["params<=500k"]
    write_spec(tmp_path / "spec.yaml", listed)
    assert read_spec(tmp_path / "spec.yaml", {}) == listed
    (tmp_path / "search.yaml").write_text("space: mlp\nconstraints:\n  - params<=lots\n")
    with pytest.raises(SpecError, match=r"search.yaml, line 2: constraint 'params<=lots': 'lots' is no number"):
        read_spec(tmp_path / "search.yaml", {})
    (tmp_path / "search.yaml").write_text("space: mlp\ncosts: [depth.py:Depth]\n")
    with pytest.raises(SpecError, match="there is no file .*depth.py"):
        read_spec(tmp_path / "search.yaml", {})
    (tmp_path / "depth.py").write_text(DEPTH)
    assert read_spec(tmp_path / "search.yaml", {}).costs == [f"{tmp_path}/depth.py:Depth"]


def test_an_evaluator_that_says_nothing_of_its_inputs_knows_no_costs(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="'params<=28': .* Synthetic does not say what goes into one"):
        api.plan(widths(), evaluator=Synthetic(), constraints="params<=28", home=tmp_path, name="s", trials=2)


def untrained() -> Synthetic:
    """Trains nothing, and says what goes into a network: digits."""
    evaluator = Synthetic()
    evaluator.task = Digits()
    return evaluator


def test_a_plan_shows_the_constraints_and_a_network_that_keeps_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = ["params<=5k", "depth<=4"]
    (tmp_path / "depth.py").write_text(DEPTH)
    costs = f"{tmp_path / 'depth.py'}:Depth"
    planned = api.plan("mlp", evaluator=untrained(), constraints=limits, costs=costs, trials=4, seed=1, home=tmp_path)
    built = mlp(Digits()).build(planned.sample, (1, 8, 8))
    assert sum(parameter.numel() for parameter in built.parameters()) <= 5_000
    print_plan(planned)
    shown = " ".join(capsys.readouterr().out.split())
    assert "constraints params<=5k, depth<=4" in shown


@pytest.mark.usefixtures("ray_session")
def test_a_search_keeps_its_constraints_over_all_sessions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "depth.py").write_text(DEPTH)
    home = tmp_path / "home"
    found = raynas.search(
        "mlp", evaluator=untrained(), name="s", strategy="evolution", trials=5, seed=1, home=home, workers=2,
        constraints=["params<=20k", "depth<=4"], costs=[f"{tmp_path / 'depth.py'}:Depth"], mlflow=False,
    )  # fmt: skip
    (tmp_path / "depth.py").write_text("raise RuntimeError('the copy in the folder counts')")
    more = raynas.resume("s", evaluator=untrained(), trials=8, home=home)
    assert more.spec.constraints == found.spec.constraints == ["params<=20k", "depth<=4"]
    assert len(more.history.trials) == 8
    for record in more.history.trials.values():
        assert record.costs["params"] <= 20_000
        assert record.costs["depth"] <= 4
    assert more.default is None
    assert more.left_out == "its params is 26,378 (params<=20k)"
    assert [session.started["left_out"] for session in more.history.sessions] == [more.left_out] * 2
    assert more.summary()["constraints"] == ["params<=20k", "depth<=4"]
    assert more.summary()["trials"]["infeasible"] == more.history.infeasible > 0
    print_status(more)
    shown = " ".join(capsys.readouterr().out.split())
    assert "limits params<=20k, depth<=4" in shown
    assert f"default left out: {more.left_out}" in shown
    assert "broke params<=20k and depth<=4, and cost no trial" in shown
