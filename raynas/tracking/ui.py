"""``raynas ui``: MLflow's own UI on the searches' store, and the address at which a search's runs are.

One server process on loopback, on a free port. A search that was written to a tracking server is looked at there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable
from pathlib import Path

from raynas.errors import UserError
from raynas.tracking.identity import is_copy
from raynas.tracking.note import runs_page
from raynas.tracking.position import load_position, written_to
from raynas.tracking.redaction import public_uri, without_secrets, without_user
from raynas.tracking.uri import artifact_folder, prepare_environment, resolve_tracking_uri

_START_SECONDS = 120.0


class UiServer:
    """A running ``mlflow server``; ``address`` is where it listens."""

    def __init__(self, process: subprocess.Popen[bytes], address: str) -> None:
        self.address = address
        self._process = process

    def wait(self) -> int:
        """Until it ends."""
        return self._process.wait()

    def stop(self) -> None:
        """Ends it, with the processes that it started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
                return


def open_ui(
    home: Path,
    name: str | None = None,
    *,
    port: int | None = None,
    tracking_uri: str | None = None,
    open_browser: bool | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Starts the UI, says its address and keeps it running until Ctrl-C.

    Args:
        home: the folder of all searches.
        name: the search whose runs to open; default: the list of searches.
        port: default: a free one.
        tracking_uri: default: where the search was written, else ``$MLFLOW_TRACKING_URI``, else the home's SQLite file.
        open_browser: default: where there is a desktop.
        say: takes the lines for a person.

    Raises:
        UserError: no such search, nothing of it is in MLflow yet, or the server does not start.
    """
    uri, experiment_id = find_experiment(home, name, tracking_uri)
    for number in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal must not leave the server behind
        signal.signal(number, signal.default_int_handler)
    server: UiServer | None = None
    if uri.startswith(("http://", "https://")):
        address = without_user(uri)  # a browser asks for the password itself
    else:
        say("starting MLflow's UI …")
        server = start_ui(uri, port)
        address = server.address
    page = address if experiment_id is None else runs_page(address, experiment_id)
    try:
        say(page)
        if has_desktop() if open_browser is None else open_browser:
            webbrowser.open(page)
        if server is not None:
            say("Ctrl-C ends it")
            server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        if server is not None:
            server.stop()


def find_experiment(home: Path, name: str | None, tracking_uri: str | None = None) -> tuple[str, str | None]:
    """The store's address, and the experiment of search ``name`` in it.

    Raises:
        UserError: nothing of it is in MLflow, or it is in another store.
    """
    if name is None:
        return resolve_tracking_uri(home, tracking_uri), None
    position = load_position(home / name)
    if position is not None and position.folder:
        origin = {"search_id": position.search_id, "name": name}
        position = None if is_copy(home / name, position.folder, origin) else position
    if position is None or position.experiment_id is None:
        raise UserError(f"search {name!r} is not in MLflow yet; write it there: raynas sync {name}")
    there = written_to(home / name, position)
    if there is not None and tracking_uri is not None and public_uri(tracking_uri) != public_uri(there):
        raise UserError(
            f"search {name!r} was written to {public_uri(there)}; to see it elsewhere: raynas sync {name} "
            "--tracking-uri …"
        )
    return resolve_tracking_uri(home, tracking_uri or there), position.experiment_id


def start_ui(tracking_uri: str, port: int | None = None) -> UiServer:
    """Starts ``mlflow server`` with one worker on loopback, and returns when it answers.

    Raises:
        UserError: it did not start; the message has its last words.
    """
    prepare_environment()
    from raynas.tracking.answers import StoreTrouble
    from raynas.tracking.store import open_store

    try:
        open_store(tracking_uri)  # makes the tables where there are none, guarded against trackers that do the same
    except StoreTrouble as trouble:
        raise UserError(f"MLflow's store {public_uri(tracking_uri)} {trouble}") from None
    port = _free_port(port or 0)
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    # Not an argument: it may hold a password, and all users of the machine see each other's arguments.
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": tracking_uri}
    artifacts = artifact_folder(tracking_uri)
    if artifacts is not None:
        command += ["--default-artifact-root", artifacts.as_uri()]
    # stderr is drained by nobody once it runs: a file that is gone when it is closed, not a pipe that fills up.
    import tempfile

    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
            close_fds=True,
        )
        server = UiServer(process, f"http://127.0.0.1:{port}")
        try:
            until = time.monotonic() + _START_SECONDS
            while not _healthy(server.address):
                if process.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    words = log.read().decode(errors="replace").strip().splitlines() or ["no word of why"]
                    why = without_secrets(words[-1], tracking_uri)
                    raise UserError(f"MLflow's UI did not start on port {port}: {why}")
                time.sleep(0.2)
        except BaseException:
            server.stop()
            raise
    return server


def has_desktop() -> bool:
    """Whether a browser that is opened here would be seen by someone."""
    if sys.platform == "darwin":
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _healthy(address: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # past any proxy: the server is on loopback
    try:
        with direct.open(f"{address}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _free_port(wanted: int) -> int:
    """``wanted``, or any free port for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will: connections closed just now
        try:
            probe.bind(("127.0.0.1", wanted))
        except (OSError, OverflowError) as error:
            raise UserError(f"--port {wanted} cannot be used ({error}); leave it out for a free one") from None
        return int(probe.getsockname()[1])
