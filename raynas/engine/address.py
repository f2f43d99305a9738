"""Whether a Ray cluster answers at an address, found in seconds: Ray itself tries for minutes before it says no."""

from __future__ import annotations

import os
import socket

from raynas.errors import ClusterError, UserError

#: For each of: the connection, and the answer.
_PATIENCE_SECONDS = 5.0
#: Ray speaks gRPC, which is HTTP/2 (RFC 9113): both sides begin with a frame of settings. This one is empty.
_SETTINGS = 4
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, _SETTINGS, 0, 0, 0, 0, 0))


def require_answer(address: str) -> None:
    """Returns where a server that can be Ray's answers at ``address`` (``host:port``, or ``auto``).

    Raises:
        ClusterError: none does.
        UserError: it is no such address.
    """
    if address == "local":
        return
    found = _running_here() if address == "auto" else address
    if "://" in found:
        raise UserError(
            f"--address {found!r} is not supported (a Ray client's address); give host:port of the head node (its port "
            "is 6379 if nobody chose another), or submit the search as a job (cluster/README.md)"
        )
    host, _, port = found.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise UserError(f"--address {found!r} is not an address; give host:port of the head node, or auto")
    problem = _problem(host.strip("[]"), int(port))
    if problem:
        which = repr(address) if found == address else f"{address!r} ({found})"
        raise ClusterError(f"no Ray cluster answers at {which}: {problem}; start one with ray start --head")


def _running_here() -> str:
    """The address that ``auto`` stands for: ``$RAY_ADDRESS``, or a cluster on this machine."""
    from ray._private.services import canonicalize_bootstrap_address

    try:
        return canonicalize_bootstrap_address("auto") or "local"
    except (ConnectionError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ClusterError(f"no Ray cluster answers at 'auto': {reason} Start one with ray start --head") from None


def _problem(host: str, port: int) -> str:
    """Why what is there cannot be Ray; empty where it can."""
    try:
        with socket.create_connection((host, port), timeout=_PATIENCE_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
                return ""  # the answer is not to be read without Ray's certificates
            connection.sendall(_GREETING)
            with connection.makefile("rb") as answer:
                head = answer.read(9)
    except TimeoutError:
        return f"nothing was heard from there within {_PATIENCE_SECONDS:g} s"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return "" if len(head) == 9 and head[3] == _SETTINGS else "what answers there is not Ray"
