"""What must hold for every journal, however often its search was killed: shared by the tests of faults."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from raynas.journal import History, Writer, read
from raynas.journal.finalists import next_repeat
from raynas.objectives.objective import Objective
from raynas.registry import find
from raynas.schedulers.rungs import Decision, FullBudget
from raynas.searchers import warm_start as warm
from raynas.space import Space
from raynas.storage.search_folder import SearchFolder


def check_journal(path: Path, space: Space, *, trials: int) -> list[dict[str, Any]]:
    """Every trial once, every step once and in order, every proposal and decision as its prefix has it."""
    events = list(read(path))
    assert [event["seq"] for event in events] == list(range(len(events)))
    proposed = [event["trial"] for event in events if event["event"] == "trial_proposed"]
    assert proposed == list(range(trials))
    searched = [event for event in events if event["event"] == "trial_proposed" and "repeat_of" not in event]
    assert len({event["trial_id"] for event in searched}) == len(searched)
    ends = Counter(event["trial"] for event in events if event["event"] == "trial_ended")
    assert ends == Counter(range(trials))
    steps = defaultdict(list)
    for event in events:
        if event["event"] == "measured":
            steps[event["trial"]].append(event["step"])
    for trial, seen in steps.items():
        assert seen == list(range(1, len(seen) + 1)), f"trial {trial} has steps {seen}"
    check_elapsed(events)
    check_proposals(events, space)
    check_decisions(events)
    return events


def check_elapsed(events: list[dict[str, Any]]) -> None:
    """Every event of a session says how long the session had run."""
    assert "elapsed" not in events[0]
    before = 0.0
    for event in events[1:]:
        before = 0.0 if event["event"] == "session_started" else before
        assert event["elapsed"] >= before, event
        before = event["elapsed"]


def check_proposals(events: list[dict[str, Any]], space: Space) -> None:
    """Recomputes each proposal from the journal before it, and each finalist's turn."""
    begun = events[0]
    objective = Objective(**begun["objective"])
    searcher = find("raynas.strategies", begun["spec"]["strategy"])(
        space, seed=begun["seed"], objective=objective, **begun["spec"]["strategy_options"]
    )
    history, spec = History(), dict(begun["spec"])
    for event in events:
        if event["event"] == "session_started":
            spec |= event["changes"]
        if event["event"] == "trial_proposed" and "repeat_of" in event:
            assert history.repeats.issuperset(history.running), "what is searched comes to its end first"
            found = next_repeat(history, spec["finalists"], spec["repeats"])
            assert found is not None
            record, turn = found
            assert (event["repeat_of"], event["repeat"]) == (record.number, turn)
            assert (event["trial_id"], event["architecture"]) == (record.trial_id, dict(record.values))
        elif event["event"] == "trial_proposed" and event["trial"] > 0:
            proposal = warm.proposed(searcher, history.for_searchers, event["trial"])
            assert proposal is not None
            assert proposal.architecture.to_json() == event["architecture"], f"trial {event['trial']}"
            assert proposal.trial_id == event["trial_id"]
        history.apply(event)


def check_decisions(events: list[dict[str, Any]]) -> None:
    """Recomputes each of the scheduler's decisions, promotions among them, from the events before it."""
    spec = events[0]["spec"]
    rule = find("raynas.schedulers", spec["scheduler"])(
        spec["epochs"],
        mode=spec["mode"],
        grace_period=spec["grace_period"],
        reduction_factor=spec["reduction_factor"],
    )
    full = FullBudget(spec["epochs"], mode=spec["mode"])
    repeats = {event["trial"] for event in events if "repeat_of" in event}
    for event in events:
        if event["event"] == "measured":
            judge = full if event["trial"] in repeats else rule
            decision: Decision = judge.record(event["trial"], event["step"], event["metrics"][spec["metric"]])
            assert (decision.action, decision.reason) == (event["decision"], event["stop_reason"]), event
        elif event["event"] == "trial_promoted":
            assert rule.promotable() == event["trial"], event
            rule.leave(event["trial"])
        elif event["event"] == "trial_proposed":
            assert rule.promotable() is None, event
        elif event["event"] == "trial_ended":
            rule.leave(event["trial"])


def outcome(events: list[dict[str, Any]]) -> dict[int, Any]:
    """What a search found, without times: for each trial its architecture, its measurements and its end."""
    found: dict[int, Any] = {}
    for event in events:
        if event["event"] == "trial_proposed":
            found[event["trial"]] = {"architecture": event["architecture"], "measured": [], "end": None}
        elif event["event"] == "measured":
            found[event["trial"]]["measured"].append((event["step"], event["metrics"], event["decision"]))
        elif event["event"] == "trial_ended":
            found[event["trial"]]["end"] = (event["state"], event["reason"])
    return found


#: What a search's folder holds besides its journal and its lock, one of each kind.
OWN = (
    "spec.yaml",
    "stop",
    "tracker.json",
    "tracker.lock",
    "tracker.log",
    "checkpoints/000000/step-000001.safetensors",
    "checkpoints/000000/step-000001-partial.safetensors",
    "checkpoints/000001/worker.json",
    "checkpoints/000001/timed-out",
    "logs/000000.log",
    "source/space.py",
    "source/__pycache__/space.cpython-312.pyc",
    "ray/17/experiment.json",
)


def a_search(home: Path, name: str, trials: int = 1, state: str = "completed") -> SearchFolder:
    """A folder as a search leaves it that has ended, with so many trials, all in one state; its lock is free."""
    folder = SearchFolder(home, name)
    for entry in ("lock", *OWN):
        (folder.path / entry).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / entry).touch()
    spec = {"space": "mlp", "task": "digits", "strategy": "random", "scheduler": "none", "seed": 0, "epochs": 1}
    spec |= {"name": name, "trials": trials, "time": None, "workers": None, "metric": "val_accuracy", "mode": "max"}
    about = {"versions": {}, "machine": {}, "objective": {"metric": "val_accuracy", "mode": "max"}}
    space = find("raynas.spaces", "mlp")(find("raynas.tasks", "digits")())
    template = {"reference": "mlp", "fingerprint": space.fingerprint, "description": space.description()}
    with Writer(folder.journal) as journal:
        journal.write(
            "search_started", name=name, search_id="0" * 32, spec=spec, seed=0, space=template,
            task={"reference": "digits"}, **about,
        )  # fmt: skip
        begun = {"limits": {"trials": trials, "seconds": None}, "workers": 1, "changes": {}, "versions": {}}
        journal.write("session_started", session=0, pid=1, host="here", **begun)
        for number in range(trials):
            ids = {"trial_id": f"{number:016x}", "network_id": f"{number:016x}", "name": f"trial {number}"}
            architecture = space.default().to_json()
            strategy = "random" if number else "default"
            journal.write(
                "trial_proposed",
                trial=number,
                architecture=architecture,
                **ids,
                strategy=strategy,
                origin={},
                session=0,
            )
            journal.write("trial_started", trial=number, attempt=0, session=0)
            if state == "failed":
                error = {"type": "ValueError", "message": "no such column", "traceback": ""}
                journal.write(
                    "trial_ended", trial=number, state=state, reason="exception", error=error, steps=0, seconds=0.0
                )
                continue
            measured = {"step": 1, "metrics": {"val_accuracy": 0.5}, "seconds": 1.0, "rung": 1}
            journal.write("measured", trial=number, attempt=0, **measured, decision="stop", stop_reason="budget")
            journal.write("trial_ended", trial=number, state=state, reason="budget", error=None, steps=1, seconds=1.0)
        journal.write("session_ended", session=0, reason="trials", message="")
    return folder
