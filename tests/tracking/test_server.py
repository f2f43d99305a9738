"""A real ``mlflow server`` on PostgreSQL: a search is written over HTTP while the server stops, dies and comes back.

Debian's PostgreSQL in a private cluster in a temporary folder; skipped, with a word, where there is none.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tracking_support import JournalMaker, client, compare, search_lock, trial_runs

from raynas.tracking import start, sync
from raynas.tracking.position import load_position
from raynas.tracking.uri import prepare_environment

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 300.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The address of an empty database."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb")) or [shutil.which("initdb") or ""]
    if not found[-1]:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed (pip install 'psycopg[binary]')")
    programs = Path(found[-1]).parent
    root = os.geteuid() == 0
    # PostgreSQL refuses to run as root.
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if root else {}
    folder = Path(tempfile.mkdtemp(prefix="raynas-postgres-"))
    if root:
        shutil.chown(folder, "nobody", "nogroup")
    port = free_port()

    def call(*command: str) -> None:
        subprocess.run(command, check=True, cwd=folder, capture_output=True, env={"PATH": os.environ["PATH"]}, **user)

    try:
        call(str(programs / "initdb"), "-D", f"{folder}/data", "-A", "trust", "-U", "raynas", "-E", "UTF8")
        control = [str(programs / "pg_ctl"), "-w", "-D", f"{folder}/data"]
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder}"
        call(*control, "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://raynas@127.0.0.1:{port}/postgres"
        finally:
            call(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Server:
    """An ``mlflow server`` that can be stopped, killed and started again at the same address."""

    def __init__(self, store: str, folder: Path) -> None:
        self.store, self.folder, self.port = store, folder, free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        prepare_environment()
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--backend-store-uri", self.store]
        command += ["--artifacts-destination", (self.folder / "artifacts").as_uri()]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.healthy():
            assert self.process.poll() is None, (self.folder / "server.log").read_text()[-2_000:]
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.2)

    def healthy(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.address}/health", timeout=2) as answer:
            return answer.status == 200
        return False

    def signal(self, number: int) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()


@pytest.fixture
def server(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "4")  # so that requests are given up while they are being done
    server = Server(postgres, tmp_path)
    server.start()
    yield server
    server.kill()


def some_trials(maker: JournalMaker, number: int) -> None:
    for _ in range(number):
        trial = maker.propose()
        maker.start(trial)
        maker.run(trial)


def test_the_server_stops_dies_and_comes_back_in_mid_search(server: Server, tmp_path: Path):
    maker = JournalMaker(tmp_path / "runs" / "served", seed=9)
    with search_lock(maker.folder):
        tracker = start(maker.folder, tracking_uri=server.address)
        maker.begin()
        some_trials(maker, 10)
        end = time.monotonic() + PATIENCE_SECONDS
        while (load_position(maker.folder) or None) is None or load_position(maker.folder).seq < 10:
            assert time.monotonic() < end, (maker.folder / "tracker.log").read_text()
            time.sleep(0.1)
        server.signal(signal.SIGSTOP)  # it hangs: requests are taken, and answered only long after they were given up
        written = maker.writer.next_seq
        some_trials(maker, 10)  # the journal is written as if nothing were,
        assert load_position(maker.folder).seq < written  # while the tracker waits with the server
        time.sleep(10)
        server.signal(signal.SIGCONT)
        some_trials(maker, 5)
        time.sleep(2)
        server.kill()
        some_trials(maker, 5)
        server.start()
        under_way = maker.propose()
        maker.start(under_way)
        maker.measure(under_way, 1)
        maker.end("interrupted")
        line = tracker.finish(PATIENCE_SECONDS)
    assert line == "", (maker.folder / "tracker.log").read_text()
    compare(server.address, maker.folder)
    run = trial_runs(server.address, "served")[under_way]
    assert [entry.path for entry in client(server.address).list_artifacts(run.info.run_id)] == ["architecture.json"]


def test_a_server_that_was_away_all_the_time_is_filled_by_hand(server: Server, tmp_path: Path):
    server.kill()
    maker = JournalMaker(tmp_path / "runs" / "late", seed=10)
    with search_lock(maker.folder):
        tracker = start(maker.folder, tracking_uri=server.address)
        maker.begin()
        some_trials(maker, 6)
        maker.end()
        line = tracker.finish(8)
        tracker.kill()
    assert "raynas sync late" in line
    server.start()
    sync(maker.folder, server.address)
    compare(server.address, maker.folder)
