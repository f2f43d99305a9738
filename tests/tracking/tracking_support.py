"""Journals as searches write them, and a comparison of an MLflow store with a journal, field by field."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import random
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote

from raynas.journal import History, Writer, read
from raynas.tracking import runs


class JournalMaker:
    """Writes a search's journal, fact by fact; what is not given is made up from a seed."""

    def __init__(
        self, folder: Path, seed: int = 0, steps: int = 3, mode: str = "max", fresh: bool = True, uri: str | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.steps = folder, steps
        self.rng = random.Random(seed)
        self.writer = Writer(folder / "journal.jsonl")
        self.session, self.trials = -1, 0
        (folder / "spec.yaml").write_text(f"space: resnet\ntracking_uri: {uri}\n", encoding="utf-8")
        if fresh:
            self.writer.write(
                "search_started",
                name=folder.name,
                search_id=f"{self.rng.getrandbits(128):032x}",
                spec={
                    "space": "resnet",
                    "strategy": "evolution",
                    "strategy_options": {"population": 10},
                    "time": None,
                    "tracking_uri": uri,
                },
                seed=seed,
                space={"reference": "resnet", "fingerprint": "0" * 16, "description": {}, "size": "123456789012345"},
                task={"reference": "digits"},
                objective={"metric": "score", "mode": mode},
                versions={},
                machine={},
            )

    def begin(self) -> None:
        self.session += 1
        more: dict[str, Any] = {"limits": {}, "workers": 2, "changes": {}, "versions": {}}
        self.writer.write("session_started", session=self.session, pid=1, host="here", **more)

    def end(self, reason: str = "trials") -> None:
        self.writer.write("session_ended", session=self.session, reason=reason, message="")

    def propose(self, architecture: dict[str, Any] | None = None, **more: Any) -> int:
        number, rng = self.trials, self.rng
        self.trials += 1
        if architecture is None:
            architecture = {"stem.out": rng.choice([16, 24, 32]), "stage1.depth": rng.randint(1, 3)}
            for block in range(architecture["stage1.depth"]):
                architecture[f"stage1.{block}.act"] = rng.choice(["relu", "silu"])
            architecture["recipe.lr"] = 10 ** rng.uniform(-3, -1)
        fields: dict[str, Any] = {
            "architecture": architecture,
            "trial_id": f"{rng.getrandbits(64):016x}",
            "network_id": f"{rng.getrandbits(64):016x}",
            "name": f"stage1.depth={architecture.get('stage1.depth')}",
            "strategy": "evolution" if number else "default",
            "origin": {"kind": "mutation", "parents": [number - 1]} if number else {"kind": "default"},
            "session": self.session,
            "params": rng.randint(10_000, 100_000),
        }
        self.writer.write("trial_proposed", trial=number, **(fields | more))
        return number

    def start(self, trial: int, attempt: int = 0) -> None:
        self.writer.write("trial_started", trial=trial, attempt=attempt, session=self.session)

    def measure(self, trial: int, step: int, stop_reason: str | None = None, **metrics: float) -> None:
        metrics = {"score": self.rng.random(), "loss": self.rng.random(), **metrics}
        decision = "continue" if stop_reason is None else "stop"
        more: dict[str, Any] = {"attempt": 0, "seconds": 0.25, "rung": step, "decision": decision}
        self.writer.write("measured", trial=trial, step=step, metrics=metrics, stop_reason=stop_reason, **more)

    def finish(self, trial: int, state: str, reason: str, steps: int, error: dict[str, str] | None = None) -> None:
        fields: dict[str, Any] = {"state": state, "reason": reason, "error": error, "steps": steps}
        self.writer.write("trial_ended", trial=trial, seconds=0.25 * steps, **fields)

    def run(self, trial: int, first_step: int = 1) -> None:
        """A trial's life from a step on: completed, stopped early or failed."""
        fate = self.rng.choice(["budget", "budget", "early_stopped", "early_stopped", "nan", "exception"])
        last = self.steps if fate == "budget" else self.rng.randint(first_step, self.steps)
        for step in range(first_step, last + 1):
            ends = step == last and fate != "exception"
            value = math.nan if ends and fate == "nan" else self.rng.random()
            self.measure(trial, step, fate if ends else None, score=value)
        state = {"budget": "completed", "early_stopped": "stopped"}.get(fate, "failed")
        error = {"type": "ValueError", "message": "no", "traceback": "Traceback …"} if fate == "exception" else None
        self.finish(trial, state, fate, last, error)

    def whole(self, trials: int) -> JournalMaker:
        """A search of one session, from its start to its end."""
        self.begin()
        for _ in range(trials):
            trial = self.propose()
            self.start(trial)
            self.run(trial)
        self.end()
        self.writer.close()
        return self

    def killed_and_resumed(self, trials: int) -> JournalMaker:
        """A search whose first session was killed with two trials under way, which the second one goes on with."""
        self.begin()
        for _ in range(trials // 2):
            trial = self.propose()
            self.start(trial)
            self.run(trial)
        left = [self.propose(), self.propose()]
        self.start(left[0])
        self.measure(left[0], 1)
        self.begin()
        for trial, first_step in zip(left, (2, 1), strict=True):
            self.start(trial, attempt=1)
            self.run(trial, first_step)
        while self.trials < trials:
            trial = self.propose()
            self.start(trial)
            self.run(trial)
        self.end("time")
        self.writer.close()
        return self


@contextlib.contextmanager
def server_that_answers(status: int, body: bytes) -> Iterator[str]:
    """The address of a server that says the same to all who ask."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@contextlib.contextmanager
def search_lock(folder: Path) -> Iterator[None]:
    """As a search's process holds it."""
    file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def client(uri: str) -> Any:
    from raynas.tracking.uri import prepare_environment

    prepare_environment()
    import mlflow

    return mlflow.MlflowClient(tracking_uri=uri)


def artifacts_of(run: Any) -> Path:
    """The folder of a run's artifacts, which lies on this machine."""
    return Path(unquote(run.info.artifact_uri.removeprefix("file://")))


def all_runs(uri: str, name: str) -> list[Any]:
    mlflow = client(uri)
    experiment = mlflow.get_experiment_by_name(name)
    return [] if experiment is None else list(mlflow.search_runs([experiment.experiment_id], max_results=5_000))


def trial_runs(uri: str, name: str) -> dict[int, Any]:
    """Trial number to run; every trial has one run."""
    found = [run for run in all_runs(uri, name) if "raynas.trial" in run.data.tags]
    numbered = {int(run.data.tags["raynas.trial"]): run for run in found}
    assert len(numbered) == len(found), "a trial has two runs"
    return numbered


def compare(uri: str, folder: Path, experiment: str | None = None, best: bool = True) -> None:
    """Holds the store against the journal of a search that is over, field by field."""
    mlflow, history = client(uri), History.from_events(read(folder / "journal.jsonl"))
    name = experiment or folder.name
    found = trial_runs(uri, name)
    assert sorted(found) == sorted(history.trials)
    (parent,) = [run for run in all_runs(uri, name) if run.data.tags["raynas.kind"] == "search"]
    assert parent.info.status != "RUNNING"
    for number, record in history.trials.items():
        run = found[number]
        tags, about = run.data.tags, f"trial {number}"
        expected = {"completed": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}.get(record.state, "KILLED")
        assert run.info.status == expected, about
        assert run.info.start_time == round(record.proposed_at * 1_000), about
        if record.ended_at is not None:
            assert run.info.end_time == round(record.ended_at * 1_000), about
        assert run.info.run_name == f"{number:03d} {record.name}", about
        assert tags["mlflow.parentRunId"] == parent.info.run_id
        assert tags["raynas.state"] == (record.state if record.terminal else "unfinished"), about
        assert tags["raynas.reason"] == (record.reason or "interrupted"), about
        for tag in ("trial_id", "network_id", "strategy"):
            assert tags[f"raynas.{tag}"] == getattr(record, tag), about
        assert json.loads(tags["raynas.origin"]) == record.origin, about
        assert run.data.params == runs.params(record.values), about
        compare_metrics(mlflow, run, record)
        location = artifacts_of(run)
        if location.is_dir():
            assert json.loads((location / "architecture.json").read_text())["architecture"] == record.values
            assert (location / "error.txt").exists() == bool(record.error), about
    if best:
        compare_best(mlflow, parent, history)


def compare_metrics(mlflow: Any, run: Any, record: Any) -> None:
    """Every value of every metric, once, with its step and time."""
    expected: dict[str, list[tuple[int, int, float]]] = {}
    for measurement in record.measurements:
        for name, value in {**measurement.metrics, "seconds": measurement.seconds}.items():
            entry = (measurement.step, round(measurement.time * 1_000), float(value))
            expected.setdefault(name, []).append(entry)
    written = {name: history_of(mlflow, run, name) for name in run.data.metrics if name not in {"parameters", "flops"}}
    assert {name: [same(entry) for entry in entries] for name, entries in written.items()} == {
        name: [same(entry) for entry in entries] for name, entries in expected.items()
    }, f"trial {record.number}"


def compare_best(mlflow: Any, parent: Any, history: History) -> None:
    """The search's best so far, in the order in which trials ended."""
    metric = f"best_{history.objective.metric}"
    points = history_of(mlflow, parent, metric) if metric in parent.data.metrics else []
    assert len(points) == len({step for step, _, _ in points}), "a point is doubled"
    best = history.best()
    if best:
        assert points[-1][2] == history.value(best[0])
        assert points[-1][0] == len(history.ended)


def history_of(mlflow: Any, run: Any, metric: str) -> list[tuple[int, int, float]]:
    entries = mlflow.get_metric_history(run.info.run_id, metric)
    return sorted((entry.step, entry.timestamp, entry.value) for entry in entries)


def same(entry: tuple[int, int, float]) -> tuple[int, int, Any]:
    """NaN made comparable; MLflow's databases hold infinity as the largest number."""
    step, time, value = entry
    if math.isnan(value):
        return step, time, "nan"
    return step, time, math.copysign(1.7976931348623157e308, value) if math.isinf(value) else value
