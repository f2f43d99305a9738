"""What a trial prints, and what is said of its failure, within their limits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from torch import nn

from raynas.engine.session import Session
from raynas.journal import History, Writer, read
from raynas.journal.events import shortened
from raynas.objectives.objective import Objective
from raynas.schedulers.rungs import FullBudget
from raynas.searchers.random import RandomSearcher
from raynas.space import Choice, Space, op
from raynas.storage.search_folder import SearchFolder
from raynas.storage.trial_log import captured, log_path, tail

LIMIT = 1_000_000

STEP = """
import os, sys, time
from pathlib import Path
from raynas.storage.trial_log import captured, log_path

logs = Path(sys.argv[1])
path = log_path(logs, 3)
with captured(logs, 3):
    os.write(1, b"begun\\n" + b"x" * 5_000_000)
    until = time.monotonic() + 300
    while path.stat().st_size > 1_001_000:
        assert time.monotonic() < until, "the file is as long as it was"
        time.sleep(0.01)
    print("y" * 2_000_000, flush=True)
    assert path.stat().st_size < 1_001_000
with captured(logs, 3):
    print("z" * 10)
print("outside")
"""


def test_a_step_that_prints_without_end_is_held_to_the_limit_while_it_runs(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", STEP, str(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "outside\n"), done.stderr
    text = log_path(tmp_path, 3).read_text()
    assert text.startswith("begun\nxxx")
    assert len(text) < LIMIT + 200
    assert text.endswith("x\n(more than 1,000,000 bytes were printed; the rest is not kept)\n")


def test_below_the_limit_all_is_kept_and_silence_leaves_no_file(tmp_path: Path) -> None:
    for step in range(3):
        with captured(tmp_path, 1):
            os.system(f"echo {step}")
        with captured(tmp_path, 2):
            pass
    assert tail(tmp_path, 1) == ["0", "1", "2"]
    assert not log_path(tmp_path, 2).exists()


def test_a_long_error_is_short_in_the_journal_and_whole_in_the_trials_log(tmp_path: Path) -> None:
    space = Space(layer=op(nn.Linear, out_features=Choice(1, 2)), name="tiny")
    folder = SearchFolder(tmp_path, "s")
    folder.create()
    error = {"type": "ValueError", "message": "begun " + "m" * 300_000 + " ended", "traceback": "t" * 7_000}
    with Writer(folder.journal) as writer:
        session = Session(
            folder, number=0, space=space, searcher=RandomSearcher(space, seed=1), rule=FullBudget(1),
            objective=Objective("value"), strategy="random", history=History(Objective("value")), writer=writer,
            trials=2, keep_best=1, cost=lambda architecture: {},
        )  # fmt: skip
        trial = session.next_trial()
        assert trial is not None
        session.failed(trial.number, "exception", error)
    ended = list(read(folder.journal))[-1]["error"]
    assert len(ended["message"]) <= 2_000
    assert ended["message"].startswith("begun mmm")
    assert ended["message"].endswith("mmm ended")
    assert ended["traceback"] == error["traceback"]
    assert error["message"] in log_path(folder.logs, 0).read_text().splitlines()


def test_a_short_text_stays_and_a_long_one_loses_its_middle() -> None:
    assert shortened("a" * 100, 100) == "a" * 100
    text = shortened("a" * 1_000 + "b" * 1_000, 100)
    assert len(text) == 100
    assert text.startswith("a" * 20)
    assert text.endswith("b" * 20)
    assert "1,900 characters and more are left out here" in text
