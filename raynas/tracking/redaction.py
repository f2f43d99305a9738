"""Addresses and messages without passwords.

Whatever RayNAS keeps or shows of a store's address goes through here: ``spec.yaml``, ``tracker.json``, the journal,
what is written to MLflow, the screen and the logs. The address itself is passed by the environment alone (``uri.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus, unquote, unquote_plus

#: Stands for what was taken out.
HIDDEN = "***"

_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<rest>.*)", re.DOTALL)

#: What may stand where the host is expected: names or addresses with ports, several of them with commas.
_HOSTS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:,@/\[\]]*)(:\d*)?(,(\[[0-9A-Fa-f:.%]+\]|[^:,@/\[\]]*)(:\d*)?)*")

#: Names of parameters whose values are secrets (``sslkey`` and ``passfile`` name files).
_SECRET_NAME = re.compile(
    r"pass(?!file)|pwd|token|secret|credential|signature|authorization|^(sig|key|auth|odbc_connect)$"
    r"|(api|access|account|private|shared)[-_]?key",
    re.IGNORECASE,
)

#: Schemes whose user name is no secret by itself; in a web address it may be a token.
_DATABASES = ("postgresql", "mysql", "mssql", "sqlite", "oracle")

_USER_IN_TEXT = re.compile(r"://[^\s/@'\"]*@")


def public_uri(tracking_uri: str) -> str:
    """The address with ``***`` for what may be a secret; where it cannot be told apart, only its scheme is left.

    ``public_uri(public_uri(x)) == public_uri(x)``.
    """
    found = _ADDRESS.fullmatch(tracking_uri)
    if found is None:  # a path, or "databricks"
        return HIDDEN if re.search(r":.*@", tracking_uri) else tracking_uri
    scheme, rest = found["scheme"], found["rest"]
    if re.fullmatch(r"\d{1,5}(/[^@]*)?", rest):  # host:port, whose scheme was forgotten
        return tracking_uri
    if scheme in {"file", "sqlite"} and re.match(r"/(?!/[^/])", rest):  # a path: no host, no user
        return f"{scheme}:{_without_secret_parameters(rest)}"
    if not rest.startswith("//"):
        return tracking_uri if re.fullmatch(r"/[^:@?#]*", rest) else f"{scheme}:{HIDDEN}"
    shown = _public_rest(rest[2:], database=scheme.startswith(_DATABASES))
    return f"{scheme}://{HIDDEN if shown is None else shown}"


def _public_rest(rest: str, *, database: bool) -> str | None:
    """What follows ``//``, with ``***`` for secrets; None where it is not clear where they end."""
    before, at, after = rest.rpartition("@")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if at and not re.search(r"[/?#]", before):  # a password may hold "@": the last one ends it
        user = f"{before}@" if database and ":" not in before else f"{HIDDEN}@"
    elif at and re.search(r"[:@]", authority):  # a password with "/", or a path with "@": nobody can tell
        return None
    else:
        user, after = "", rest
    if not _HOSTS.fullmatch(re.split(r"[/?#]", after, maxsplit=1)[0]):
        return None
    return user + _without_secret_parameters(after)


def _without_secret_parameters(rest: str) -> str:
    """A path with its parameters, ``***`` for the values of those that are secret."""
    start = re.search(r"[?#]", rest)
    if start is None:
        return rest
    parts = re.split(r"([?&;#])", rest[start.start() :])
    hidden = False
    for index in range(2, len(parts), 2):
        name, equals, value = parts[index].partition("=")
        if equals and value and _SECRET_NAME.search(unquote_plus(name)):
            parts[index], hidden = f"{name}={HIDDEN}", True
        elif hidden and not equals:  # the rest of a password that holds a separator
            return f"{rest[: start.start()]}{start[0]}{HIDDEN}"
    return rest[: start.start()] + "".join(parts)


def is_redacted(tracking_uri: str) -> bool:
    """Whether a secret was taken out of this address: it cannot be used as it is."""
    return HIDDEN in tracking_uri and public_uri(tracking_uri) == tracking_uri


def without_user(address: str) -> str:
    """A web address without user, password and parameters: what a browser is given (it asks for them itself)."""
    public = public_uri(address)
    scheme, separator, rest = public.partition("://")
    return f"{scheme}{separator}{re.split(r'[?#]', rest.rpartition('@')[2], maxsplit=1)[0]}"


def without_secrets(text: str, tracking_uri: str) -> str:
    """A message, such as another library's error, without what is secret in the address that it is about."""
    public = public_uri(tracking_uri)
    if public != tracking_uri:
        text = text.replace(tracking_uri, public)
        for secret in sorted(set(_secrets(tracking_uri)), key=len, reverse=True):
            # Few letters are hidden where they are a word; anywhere else they would be found by what is missing.
            pattern = re.escape(secret) if len(secret) > 3 else rf"(?<!\w){re.escape(secret)}(?!\w)"
            text = re.sub(pattern, HIDDEN, text)
    return _USER_IN_TEXT.sub(f"://{HIDDEN}@", text)


def _secrets(tracking_uri: str) -> Iterator[str]:
    """What may stand for the address's secrets in a message, in every way of writing it."""
    rest = tracking_uri.partition(":")[2].lstrip("/")
    for secret in _raw_secrets(rest):
        for spelled in (secret, unquote(secret), unquote_plus(secret)):
            yield from filter(None, (spelled, quote(spelled, safe=""), quote_plus(spelled), repr(spelled)[1:-1]))


def _raw_secrets(rest: str) -> Iterator[str]:
    before, at, _ = rest.rpartition("@")
    if at:
        user, colon, password = before.partition(":")
        if colon:
            yield from (before, password)
            # A library that takes the wrong end for the password's tells of its pieces.
            yield from (piece for piece in re.split(r"[@/?#:]", password) if piece != password)
        else:
            yield user
    elif not _HOSTS.fullmatch(re.split(r"[/?#]", rest, maxsplit=1)[0]):
        yield rest
        yield from re.split(r"[@/?#:]", rest.partition(":")[2])
    for name, value in re.findall(r"[?&;#]([^=&;#]*)=([^&;#]*)", rest):
        if _SECRET_NAME.search(unquote_plus(name)):
            yield value
            yield from re.split("[=;]", unquote_plus(value))  # a connection string as a whole
