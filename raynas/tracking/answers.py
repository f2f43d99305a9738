"""What a store's answers mean: try again, ask a person, or do without. Every call to MLflow is made inside ``answers``.

The messages have no passwords in them, also where another library's words are told.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterable, Iterator

from raynas.errors import UserError
from raynas.tracking.redaction import without_secrets

#: ``MlflowException.error_code`` is the name of one of MLflow's codes (``ErrorCode`` in databricks.proto, MLflow 3.17).
#: These mean "this will never work": trying again is of no use.
_FINAL = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "MALFORMED_REQUEST", "INVALID_STATE", "RESOURCE_ALREADY_EXISTS"}
_BUSY = {"TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED"}
_GONE = "RESOURCE_DOES_NOT_EXIST"
_NO_PERMISSION = {401, 403}

#: What a disk may say today and not tomorrow.
_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT, errno.ESTALE}

_LONGEST = 500


class StoreTrouble(Exception):
    """What a store said. The text has a verb and stands after its address: ``does not answer: …``."""


class Unreachable(StoreTrouble):
    """The store did not answer, or not well, this time: what was asked may have been done or not. Try again."""


class Denied(StoreTrouble):
    """The store wants another user or password (401), or says that this one may not (403)."""


class Refused(StoreTrouble):
    """The store says that this can never be written; going on without it is all that can be done for now."""


class RunGone(StoreTrouble):
    """The run, or its experiment, was removed from the store for good."""


@contextlib.contextmanager
def answers(tracking_uri: str, *, artifact: bool = False) -> Iterator[None]:
    """Sorts what is raised inside.

    Args:
        tracking_uri: the store that is asked.
        artifact: the call is for the place of artifacts, which may be another one than the store and have troubles of
            its own: what is not about the network is then ``Refused``, and the rest is written all the same.

    Raises:
        StoreTrouble: one of its kinds. An error that nobody foresaw is ``Unreachable``: said, and tried again.
    """
    try:
        yield
    except (UserError, StoreTrouble):
        raise
    except Exception as error:
        trouble = _sorted(error, tracking_uri)
        if artifact and isinstance(trouble, Denied | RunGone):
            trouble = Refused(str(trouble))
        elif artifact and not _is_of_the_network(error):
            trouble = Refused(_message(error, tracking_uri))
        raise trouble from None  # the other library's error may hold the address


def all_of(writes: Iterable[Callable[[], None]]) -> None:
    """Makes all the calls.

    Raises:
        Refused: one of them was refused; the others were made all the same.
    """
    refused: Refused | None = None
    for write in writes:
        try:
            write()
        except Refused as error:
            refused = refused or error
    if refused is not None:
        raise refused


def _sorted(error: Exception, tracking_uri: str) -> StoreTrouble:
    from mlflow.exceptions import MlflowException

    words = _message(error, tracking_uri)
    status = _http_status(error, tracking_uri)
    if status in _NO_PERMISSION:
        return Denied(f"refused ({status}): {words}")
    if isinstance(error, MlflowException):
        code = getattr(error, "error_code", "")
        if code == _GONE:
            return RunGone(words or code)
        if code in _FINAL and not _is_of_the_network(error):
            return Refused(words or code)
    elif _is_a_mistake(error):
        return Refused(words)
    verb = "does not answer" if status is None or status >= 500 else f"answers with an error ({status})"
    return Unreachable(f"{verb}: {words}")


def _is_of_the_network(error: BaseException | None) -> bool:
    """Whether another try may go better: a connection, a server's own trouble, a disk that is full."""
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy import exc

    if isinstance(error, MlflowException):
        # MLflow wraps what a database or a connection says, all under the same few codes.
        return getattr(error, "error_code", "") in _BUSY or _is_of_the_network(error.__cause__ or error.__context__)
    if isinstance(error, exc.SQLAlchemyError):
        return not isinstance(error, exc.DataError | exc.IntegrityError | exc.ProgrammingError | exc.ArgumentError)
    if isinstance(error, requests.RequestException):
        return error.response is None or error.response.status_code >= 500
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    return isinstance(error, OSError) and error.errno in _PASSING


def _is_a_mistake(error: Exception) -> bool:
    """A driver that is not installed, an address that cannot be read."""
    from sqlalchemy import exc

    return isinstance(error, ImportError | exc.ArgumentError)


def _http_status(error: Exception, tracking_uri: str) -> int | None:
    """The status of a server's answer; None where there was none."""
    import requests
    from mlflow.exceptions import MlflowException, RestException

    if not tracking_uri.startswith(("http://", "https://")):
        return None
    if isinstance(error, requests.RequestException):
        return None if error.response is None else int(error.response.status_code)
    if isinstance(error, RestException) and not error.json.get("error_code"):
        return _ask_for_status(tracking_uri)  # the words are a gateway's, and MLflow has dropped the status
    if isinstance(error, MlflowException) and getattr(error, "error_code", "INTERNAL_ERROR") != "INTERNAL_ERROR":
        return int(error.get_http_status_code())
    return None


def _ask_for_status(tracking_uri: str) -> int | None:
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    with contextlib.suppress(Exception):
        path = "/api/2.0/mlflow/experiments/search"
        return int(
            http_request(get_default_host_creds(tracking_uri), path, "GET", params={"max_results": 1}).status_code
        )
    return None


def _message(error: BaseException, tracking_uri: str) -> str:
    """The line that says something: SQLAlchemy and MLflow put advice and statements around what a library said."""
    import requests
    from mlflow.exceptions import MlflowException

    wrapped = error.__context__ if isinstance(error, MlflowException) else None
    if isinstance(wrapped, requests.RequestException) and wrapped.response is None:
        error = getattr(wrapped.args[0] if wrapped.args else None, "reason", None) or wrapped
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("(raised as a result", "[SQL", "[parameters"))]
    text = (telling or lines or [""])[0]
    if not isinstance(error, MlflowException):
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    return without_secrets(text, tracking_uri)[:_LONGEST]
