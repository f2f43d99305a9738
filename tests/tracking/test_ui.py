"""MLflow's UI in a real browser: whoever opens the address sees the trials, the best first, without a click."""

from __future__ import annotations

import math
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tracking_support import JournalMaker

from raynas.errors import UserError
from raynas.journal import History, read
from raynas.tracking import sync
from raynas.tracking.note import runs_page
from raynas.tracking.ui import find_experiment, start_ui


def page_as_shown(address: str, profile: Path) -> str:
    """The page's HTML after a browser has run it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no browser is installed (apt-get install chromium)")
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={profile}", "--window-size=1900,1400", "--virtual-time-budget=30000", "--dump-dom"]
    done = subprocess.run([*command, address], capture_output=True, text=True, timeout=300, check=True)
    return done.stdout


@pytest.mark.slow
def test_the_trials_are_there_sorted(home: Path, uri: str, tmp_path: Path):
    folder = JournalMaker(home / "shown", seed=2).whole(15).folder
    sync(folder)
    history = History.from_events(read(folder / "journal.jsonl"))
    where, experiment = find_experiment(home, "shown")
    assert where == uri
    assert experiment is not None
    server = start_ui(uri)
    try:
        html = page_as_shown(runs_page(server.address, experiment), tmp_path / "profile")
    finally:
        server.stop()
    shown = [int(number) for number in dict.fromkeys(re.findall(r">(\d{3}) stage1\.depth=", html))]
    latest = {
        number: record.measurements[-1].metrics["score"]
        for number, record in history.trials.items()
        if record.measurements and math.isfinite(record.measurements[-1].metrics["score"])
    }
    assert [number for number in shown if number in latest] == sorted(latest, key=lambda n: -latest[n])
    for column in ("score", "raynas.state", "stage1.depth", "parameters"):
        assert f">{column}<" in html, column
    assert "Search <strong>shown</strong>" in html


def test_a_port_that_is_taken(home: Path, uri: str):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port} cannot be used .* leave it out for a free one"):
            start_ui(uri, port)


def test_the_server_starts_behind_a_proxy_and_ends_with_its_command(home: Path, uri: str):
    """Nobody asks the proxy for it, and its store's address, which may hold a password, is no argument."""
    folder = JournalMaker(home / "brief").whole(1).folder
    sync(folder)
    command = [sys.executable, "-m", "raynas", "ui", "brief"]
    proxy = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    environment = {**os.environ, **proxy, "RAYNAS_HOME": str(home)}
    for name in ("no_proxy", "NO_PROXY"):
        environment.pop(name, None)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    address = next(line for line in process.stdout if line.startswith("http"))
    servers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    arguments = [argument for pid in servers for argument in Path(f"/proc/{pid}/cmdline").read_text().split("\0")]
    assert "server" in arguments
    assert uri not in arguments
    port = int(re.findall(r":(\d+)/", address)[0])
    process.terminate()
    process.wait(60)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
