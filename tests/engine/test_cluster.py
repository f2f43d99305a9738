"""Ray and the address of a cluster: who ends it, and how soon a wrong address is told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import raynas
from raynas.engine import address as addresses
from raynas.engine.address import require_answer
from raynas.errors import UserError
from tests.engine.test_search import small

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_where_nothing_listens_a_search_is_refused_before_anything_else(
    listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = listener.getsockname()[1]
    listener.close()
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(UserError, match=f"no Ray cluster answers at '127.0.0.1:{port}': connection refused; start"):
        raynas.search(small(), home=tmp_path / "home", address=f"127.0.0.1:{port}", mlflow=False)
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    with pytest.raises(UserError, match=rf"no Ray cluster answers at 'auto' \(.*:{port}\): connection refused"):
        raynas.search(small(), home=tmp_path / "home", address="auto", mlflow=False)
    assert not (tmp_path / "home").exists()


@pytest.mark.usefixtures("ray_session")
def test_a_running_ray_answers() -> None:
    import ray

    require_answer(ray.get_runtime_context().gcs_address)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "what answers there is not Ray"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what answers there is not Ray"),
        (None, "nothing was heard from there within 0.2 s"),
    ],
)
def test_what_is_not_ray_is_told_apart(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, answer: bytes | None, words: str
) -> None:
    monkeypatch.setattr(addresses, "_PATIENCE_SECONDS", 0.2 if answer is None else 300.0)

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1_000)
            connection.sendall(answer or b"")

    if answer is not None:
        threading.Thread(target=serve, daemon=True).start()
    with pytest.raises(UserError, match=words):
        require_answer(f"127.0.0.1:{listener.getsockname()[1]}")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ray://head:10001", "is not supported"),
        ("head", "is not an address; give host:port"),
        ("head:port", "is not an address; give host:port"),
        ("no-such-host.invalid:6379", "no Ray cluster answers at 'no-such-host.invalid:6379'"),
    ],
)
def test_a_wrong_address_is_one_line(address: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as raised:
        require_answer(address)
    assert "\n" not in str(raised.value)


TWO = """
import sys, threading
import ray, raynas
from raynas.spec import components as parts
from tests.engine.test_search import small, Synthetic

together, joined, alone, met, found = threading.Barrier(2), threading.Event(), threading.Event(), [], {}
name_of = parts.free_name

def free_name(space, home):
    name = name_of(space, home)
    if len(met) < 2:
        met.append(name)
        together.wait(300)
    return name

def first(event):
    assert event["event"] != "session_started" or joined.wait(300)

def last(event):
    if event["event"] == "session_started":
        joined.set()
        assert alone.wait(300)

def run(which, progress):
    found[which] = raynas.search(
        small(), home=sys.argv[1], evaluator=Synthetic(), trials=3, workers=1, seed=which, mlflow=False,
        progress=progress)

parts.free_name = free_name
second = threading.Thread(target=run, args=(1, last))
second.start()
run(0, first)
assert ray.is_initialized(), "the second search still needs it"
alone.set()
second.join()
assert not ray.is_initialized(), "the last search ends what a search began"
print(met, [(found[which].name, found[which].status, len(found[which].history.ended)) for which in range(2)])
"""


def test_searches_of_one_process_share_ray_and_have_names_of_their_own(tmp_path: Path) -> None:
    """Two unnamed ones begun together: the first one ends while the second has trials to go."""
    done = subprocess.run(
        [sys.executable, "-c", TWO, str(tmp_path)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    met, found = done.stdout.strip().splitlines()[-1].split("] ", 1)
    assert len(set(met.strip("[").split(", "))) == 1, "both found the same name free"
    assert found.count("'finished'") == 2
    assert {path.name for path in tmp_path.iterdir()} == {"small-1", "small-2"}
