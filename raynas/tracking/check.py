"""What can be known of a store's address without asking the store: found before a search starts."""

from __future__ import annotations

import os
import re
from importlib.metadata import entry_points
from urllib.parse import urlsplit

from raynas.errors import UserError
from raynas.tracking.redaction import HIDDEN, public_uri, without_secrets
from raynas.tracking.uri import sqlite_path

_WEB = {"http", "https"}
_DATABASES = {"sqlite", "postgresql", "mysql", "mssql"}
_DATABRICKS = {"databricks", "databricks-uc", "uc"}


def check_address(tracking_uri: str) -> None:
    """Finds an address at which MLflow can never write.

    Raises:
        UserError: it does not know such addresses, cannot read this one, lacks the database's driver, or no longer
            writes to folders of files; one line that says what to do.
    """
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", tracking_uri)
    scheme = found[1].lower() if found else ""
    kind = scheme.partition("+")[0]
    if tracking_uri in _DATABRICKS:
        return
    if scheme in {"", "file"}:
        _check_folder(tracking_uri)
    elif scheme in _WEB:
        _check_server(tracking_uri)
    elif kind in _DATABASES:
        if sqlite_path(tracking_uri) is None:
            _check_database(tracking_uri)
    elif scheme not in _DATABRICKS | set(entry_points(group="mlflow.tracking_store").names):
        raise _unusable(
            tracking_uri, f"it knows no addresses that begin with {scheme}:; write http://HOST:PORT or sqlite:///FILE"
        )


def _check_folder(tracking_uri: str) -> None:
    if os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() not in {"true", "1"}:
        raise _unusable(
            tracking_uri,
            "it writes to folders of files only with MLFLOW_ALLOW_FILE_STORE=true; set that, or give a database: "
            "sqlite:///FILE",
        )


def _check_server(tracking_uri: str) -> None:
    try:
        parts = urlsplit(tracking_uri)
        readable = bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        readable = False
    if not readable or public_uri(tracking_uri) == f"{tracking_uri.partition(':')[0]}://{HIDDEN}":
        raise _unusable(
            tracking_uri,
            "its host and port cannot be told apart; in a user's name and password write %40 for @, %2F for /, "
            "%3A for :, %3F for ? and %23 for #",
        )


def _check_database(tracking_uri: str) -> None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        make_url(tracking_uri).get_dialect().import_dbapi()
    except (ArgumentError, ValueError, ImportError, AttributeError) as error:
        what = " ".join(without_secrets(str(error), tracking_uri).split())
        raise _unusable(
            tracking_uri,
            f"{what}; install the database's driver, or write its name into the address: postgresql+psycopg://…",
        ) from None


def _unusable(tracking_uri: str, why: str) -> UserError:
    return UserError(f"MLflow cannot use the tracking URI {public_uri(tracking_uri)!r}: {why}")
