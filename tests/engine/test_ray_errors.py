"""Lost workers, dead machines and full disks: told apart by type, and blamed on the trial that had the process."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray import cloudpickle
from ray.core.generated.common_pb2 import ActorDiedErrorContext
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayError, RaySystemError
from ray.tune import TuneError
from torch import nn

from raynas.engine.ray_errors import lost_processes, lost_worker, pickled_error, why_ray_ended
from raynas.engine.session import Session
from raynas.engine.supervisor import blame
from raynas.engine.worker.messages import mistake, mistake_fields
from raynas.engine.worker.process import WorkerProcess, this_process, write_note
from raynas.errors import (
    DiskFull,
    InfrastructureLost,
    SpaceError,
    StorageError,
    UserError,
    WorkerLost,
    WorkerOutOfMemory,
)
from raynas.journal import History, Writer
from raynas.objectives.objective import Objective
from raynas.schedulers.rungs import Rungs
from raynas.searchers.random import RandomSearcher
from raynas.space import Choice, Space, op
from raynas.storage.search_folder import SearchFolder

PID = 4321
HOSTS = [("10.0.0.1", "aa" * 28), ("10.0.0.2", "bb" * 28)]  # address, Ray's id of the node


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A session with two trials under way."""
    folder = SearchFolder(tmp_path, "s")
    folder.create()
    space = Space(a=op(nn.Linear, 13, Choice(*range(3, 40))))
    objective = Objective("score", "max")
    with Writer(folder.journal) as writer:
        session = Session(
            folder,
            number=0,
            space=space,
            searcher=RandomSearcher(space, seed=0),
            rule=Rungs(9),
            objective=objective,
            strategy="random",
            history=History(objective),
            writer=writer,
            trials=40,
            keep_best=3,
            cost=lambda architecture: {},
        )
        for number in range(2):
            trial = session.next_trial()
            assert trial is not None
            session.started(number)
            folder.trial_folder(number).mkdir(parents=True)
        yield session


def note(session: Session, number: int, process: WorkerProcess) -> None:
    write_note(session.folder.worker_note(number), process)


def monitor(host: int, *, killed: int, considered: tuple[int, ...] = ()) -> Exception:
    """What ``Tuner.fit`` raises where Ray 2.60's memory monitor has ended a worker."""
    ip, node = HOSTS[host]
    worker = "(Task: job ID=01000000, lease ID=06, task name=TrialRunner.train, required resources={{CPU: 1}}, pid={}, "
    worker += "actual memory used=1.67GB, worker ID=3e3d)"
    lines = [f"Selected to kill: {worker.format(killed)}", *(worker.format(pid) for pid in considered)]
    words = (
        f"1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: {ip}, ID: {node}) was "
        "28.62GB / 30.00GB (0.954017)\nRay killed 1 worker(s) based on the killing policy\nConsidered workers: [\n"
        + "\n".join(lines)
        + f"]\nTo see more information about memory usage on this node, use `ray logs raylet.out -ip {ip}`"
    )
    ended = RuntimeError(f"Caught unexpected exception: {words}")
    ended.__cause__ = OutOfMemoryError(words)
    return ended


def blamed(session: Session, error: Exception) -> dict[int, str | None]:
    """The trials that end by the error, and why."""
    lost = why_ray_ended(error)
    assert isinstance(lost, WorkerLost)
    blame(session, error, lost)
    return {number: session.history.trials[number].reason for number in session.history.ended}


@pytest.mark.parametrize("with_node", [True, False])
@pytest.mark.parametrize("host", [0, 1])
def test_of_two_workers_of_one_id_on_two_machines_the_lost_one_is_blamed(
    session: Session, host: int, with_node: bool
) -> None:
    for number, (ip, node) in enumerate(HOSTS):
        note(session, number, WorkerProcess(PID, ip, node if with_node else None))
    assert blamed(session, monitor(host, killed=PID)) == {host: "out_of_memory"}
    assert session.history.under_way == {1 - host}


def test_a_worker_that_the_memory_monitor_only_considered_is_not_blamed(session: Session) -> None:
    for number, pid in enumerate((PID, PID + 1)):
        note(session, number, WorkerProcess(pid, *HOSTS[0]))
    assert blamed(session, monitor(0, killed=PID + 1, considered=(PID,))) == {1: "out_of_memory"}


def test_a_note_of_an_earlier_release_has_no_machine_and_is_read(session: Session) -> None:
    session.folder.worker_note(0).write_text(json.dumps({"pid": PID + 1, "host": "here"}))
    session.folder.worker_note(1).write_text(json.dumps({"pid": PID, "host": "here"}))
    assert blamed(session, monitor(1, killed=PID)) == {1: "out_of_memory"}


def test_of_the_trials_that_a_process_had_the_last_one_is_blamed(session: Session) -> None:
    for number in range(2):  # trial 0 has been paused and promoted, and no worker has begun it again
        note(session, number, WorkerProcess(PID, *HOSTS[0]))
        os.utime(session.folder.worker_note(number), (number, number))
    assert blamed(session, monitor(0, killed=PID)) == {1: "out_of_memory"}


def test_where_no_process_of_theirs_is_named_only_a_single_trial_is_blamed(session: Session) -> None:
    assert blamed(session, RuntimeError("something of Ray's")) == {}
    session.failed(0, "exception", None)
    assert blamed(session, RuntimeError("something of Ray's")) == {0: "exception", 1: "worker_died"}


def died(words: str) -> ActorDiedError:
    address = {"pid": PID, "node_ip_address": HOSTS[1][0]}
    return ActorDiedError(ActorDiedErrorContext(actor_id=b"x" * 16, error_message=words, **address))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (died("The actor died because its node has died. Node Id: bb"), InfrastructureLost),
        (died("Worker unexpectedly exits. (1) The process is killed by the OOM killer due to high memory"), WorkerLost),
        (OutOfMemoryError("1 worker(s) were killed"), WorkerOutOfMemory),
        (None, WorkerLost),
    ],
)
def test_lost_workers_are_told_apart_by_type(error: RayError | None, kind: type[WorkerLost]) -> None:
    lost = lost_worker(error)
    assert type(lost) is kind
    assert (lost.message, lost.details) == (
        ("its worker process died", "its worker process died")
        if error is None
        else (str(error).splitlines()[0], str(error))
    )


def test_an_actor_that_died_is_named_with_its_machine() -> None:
    assert lost_processes(died("it exits")) == [WorkerProcess(PID, HOSTS[1][0])]


@pytest.mark.usefixtures("ray_session")
def test_a_worker_says_where_it_is_and_raises_what_the_driver_knows(session: Session, tmp_path: Path) -> None:
    import ray

    @ray.remote
    def where() -> WorkerProcess:
        return this_process()

    @ray.remote
    def fail() -> None:
        raise StorageError("checkpoint cannot be written: Permission denied: /x")

    (machine,) = ray.nodes()
    told = ray.get(where.remote())
    assert (told.ip, told.node) == (machine["NodeManagerAddress"], machine["NodeID"])
    with pytest.raises(StorageError) as caught:
        ray.get(fail.remote())
    kept = tmp_path / "error.pkl"
    kept.write_bytes(cloudpickle.dumps(caught.value))  # as Tune keeps it for a trial
    lost = lost_worker(pickled_error(SimpleNamespace(pickled_error_file=str(kept))))
    assert type(lost) is InfrastructureLost
    assert lost.message == "checkpoint cannot be written: Permission denied: /x"
    session.died(1, lost, begun=True)
    session.gave_up(1)
    trial = session.history.trials[1]
    assert (trial.reason, trial.error and trial.error["message"]) == ("infrastructure", lost.message)


def in_tune(error: Exception) -> Exception:
    """As Tune raises what went wrong in its own steps: the words alone, and the error as their context."""
    ended = TuneError(f"Traceback (most recent call last): … {error}")
    ended.__context__ = error
    return ended


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (in_tune(OSError(errno.ENOSPC, "No space left on device", "/x")), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/x"), True),
        (RaySystemError("IOError: No space left on device"), True),
        (OSError("spilling failed: No space left on device"), True),
        (OSError(errno.EACCES, "Permission denied", "/no space left"), False),
        (ValueError("no space left in the buffer"), False),
    ],
)
def test_a_full_disk_is_told_by_what_the_system_said(error: Exception, full: bool) -> None:
    assert isinstance(why_ray_ended(error), DiskFull) is full


def test_a_mistake_keeps_its_type_on_the_way_to_the_driver() -> None:
    class Own(SpaceError):
        """Of a person's own file, which the driver need not know."""

    kinds = {UserError("give x"): UserError, SpaceError("give x"): SpaceError, Own("give x"): SpaceError}
    for error, kind in kinds.items():
        fields = json.loads(json.dumps(mistake_fields(error)))
        assert (type(mistake(fields)), str(mistake(fields))) == (kind, "give x")
