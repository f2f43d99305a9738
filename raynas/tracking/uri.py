"""Which MLflow store a search goes to, and what MLflow's environment is to be.

The searches of a home share one store: ``mlflow.db`` in the home, with the artifacts in ``mlartifacts`` beside it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from raynas.errors import UserError
from raynas.tracking.redaction import is_redacted, public_uri

#: Set, unless a person has set them, before MLflow is imported: it shall not wait, report home or print addresses.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds; the default of 120 with 7 retries holds a tracker up for minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the tracker has its own back-off, which knows what was being written
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # costs two requests a run
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # the UI's server then takes 0.5 GB less
    "GIT_PYTHON_REFRESH": "quiet",
    "PGCONNECT_TIMEOUT": "10",  # seconds; else a PostgreSQL server that drops packets is waited for two minutes
}

_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_SQLITE = re.compile(r"sqlite(\+pysqlite)?:///(?P<path>[^?]+)")


def resolve_tracking_uri(home: Path, tracking_uri: str | None = None) -> str:
    """The store's address: the one given, else ``$MLFLOW_TRACKING_URI``, else the home's own SQLite file.

    An address that was kept without its password is completed from ``$MLFLOW_TRACKING_URI``: nothing else keeps one.

    Raises:
        UserError: the password is not there.
    """
    there = os.environ.get("MLFLOW_TRACKING_URI")
    address = tracking_uri or there or home_store(home)
    if not is_redacted(address):
        return address
    if there and not is_redacted(there) and public_uri(there) == address:
        return there
    raise UserError(
        f"the address of MLflow's store, {address}, is kept without its password; give it again, as "
        "MLFLOW_TRACKING_URI in the environment or with --tracking-uri"
    )


def home_store(home: Path) -> str:
    """The address of the store that the searches of a home share by default."""
    return sqlite_uri(home.absolute() / "mlflow.db")


def sqlite_uri(path: Path) -> str:
    """The address of an SQLite file. ``?`` begins a query there, and ``%`` a quoted character.

    Where something has to be quoted the driver is named as well: MLflow makes the folders of ``sqlite:///…`` addresses
    as they are written, and would leave an empty one of a wrong name.
    """
    text = str(path)
    quoted = text.replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{text}" if quoted == text else f"sqlite+pysqlite:///{quoted}"


def sqlite_path(tracking_uri: str) -> Path | None:
    """The file of an SQLite store; None for every other store."""
    found = _SQLITE.match(tracking_uri)
    return Path(unquote(found["path"])).absolute() if found else None


def artifact_folder(tracking_uri: str) -> Path | None:
    """Where an SQLite store's artifacts go; None where the server decides."""
    database = sqlite_path(tracking_uri)
    return database.parent / "mlartifacts" if database is not None else None


def prepare_environment() -> None:
    """Sets what MLflow reads from the environment; call it before MLflow is imported."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    _pass_proxies_by()


def _pass_proxies_by() -> None:
    """No proxy is asked for this machine's own servers; both spellings are read, by different libraries."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [host.strip() for host in known.split(",") if host.strip()]
    if "*" not in hosts:
        hosts += [host for host in _LOOPBACK if host not in hosts]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(hosts)
