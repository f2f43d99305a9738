"""Addresses of stores: what is shown of them, where their passwords come from, and which can never work."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import pytest

from raynas.errors import SpecError, UserError
from raynas.spec.reading import make_spec, write_spec
from raynas.spec.settings import SearchSpec
from raynas.tracking import check_address, resolve_tracking_uri, runs
from raynas.tracking.position import Position
from raynas.tracking.redaction import is_redacted, public_uri, without_secrets, without_user
from raynas.tracking.uri import prepare_environment

SHOWN = {
    "postgresql+psycopg://ann:s3cret@db/ml": "postgresql+psycopg://***@db/ml",
    "postgresql://ann:s3@cret@db:5432/ml": "postgresql://***@db:5432/ml",
    "postgresql://ann:s3/cret@db/ml": "postgresql://***",
    "postgresql://ann:s3?cret@db/ml": "postgresql://***",
    "postgresql://ann:s3#cret@db/ml": "postgresql://***",
    "postgresql://ann:s3cret/ml": "postgresql://***",
    "postgresql://db/ml?user=ann&password=s3cret": "postgresql://db/ml?user=ann&password=***",
    "postgresql://db/ml?password=s3@cret&a=b": "postgresql://db/ml?password=***&a=b",
    "postgresql://db/ml?password=s3&cret": "postgresql://db/ml?***",
    "postgresql://db/ml?p%61ssword=s3cret": "postgresql://db/ml?p%61ssword=***",
    "mssql+pyodbc:///?odbc_connect=PWD%3Ds3cret": "mssql+pyodbc:///?odbc_connect=***",
    "sqlite+pysqlcipher://:s3cret@/file.db": "sqlite+pysqlcipher://***@/file.db",
    "http://ann:s3cret@host:5000/mlflow": "http://***@host:5000/mlflow",
    "https://s3cret@host/": "https://***@host/",
    "https://host/?token=s3cret#x": "https://host/?***",
    "ann:s3cret@host": "ann:***",
    "mysql:ann:s3cret": "mysql:***",
    # nothing to hide
    "postgresql://ann@127.0.0.1:5432/ml?sslmode=require&sslkey=/k": None,
    "postgresql://h1:1,h2:2/db": None,
    "http://[::1]:5000": None,
    "http://host/@me": None,
    "sqlite:////home/me@corp/a:b/mlflow.db": None,
    "sqlite:///mlflow.db?timeout=3": None,
    "file:///a/b@c": None,
    "./mlruns": None,
    "databricks": None,
    "localhost:5000": None,
}


@pytest.mark.parametrize(("address", "shown"), SHOWN.items())
def test_what_is_shown_of_an_address(address: str, shown: str | None, tmp_path: Path):
    public = public_uri(address)
    assert public == (shown or address)
    assert public_uri(public) == public
    assert is_redacted(public) is (shown is not None)
    if shown:
        message = without_secrets(f"(OperationalError) could not connect with {address!r}", address)
        assert public in message
        assert "cret" not in message
    write_spec(tmp_path / "spec.yaml", SearchSpec(space="mlp", tracking_uri=address))
    Position(address).save(tmp_path)
    kept = (tmp_path / "spec.yaml").read_text() + (tmp_path / "tracker.json").read_text()
    assert public in kept
    assert set(runs.spec_params({"tracking_uri": address}).values()) == (set() if shown else {address})
    assert "cret" not in kept


def test_what_libraries_tell_of_passwords():
    """Not always the address as it is: what they took for host, port or password, decoded or encoded."""
    for address, words in {
        "postgresql://ann:s3%40cret@db/ml": "password 's3@cret' for ann, nonnumeric port: s3%40cret",
        "http://ann:s3/cret@h": "Failed to parse: http://ann:s3, invalid port s3",
        "http://ann:s3cret@h": "HTTPConnectionPool(host='h'): http://ann:s3cret@h/api failed; 'ann:s3cret'",
        "mssql+pyodbc:///?odbc_connect=UID%3Dann%3BPWD%3Ds3cret": "UID=ann;PWD=s3cret: login failed",
        "postgresql://db/ml?password=s3cret": "('password', 's3cret')",
        "http://a:b@h": "b is no banana",
    }.items():
        told = without_secrets(words, address)
        assert not {"s3", "cret", "b"} & set(re.findall(r"\w+", told.replace("***", " "))), told
    assert without_secrets("banana", "http://a:b@h") == "banana"
    assert without_secrets("see http://x:y@z for more", "http://h") == "see http://***@z for more"


def test_what_a_browser_is_given():
    assert without_user("http://ann:s3cret@host:5000/mlflow?token=x") == "http://host:5000/mlflow"
    assert without_user("http://127.0.0.1:5000") == "http://127.0.0.1:5000"


def test_a_mistyped_address_is_told_without_its_password():
    with pytest.raises(SpecError, match=r"tracking_uri 'htp://\*\*\*@h': not the address"):
        make_spec({"space": "mlp", "tracking_uri": "htp://ann:s3cret@h"})


def test_a_password_comes_from_the_environment_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://ann:new@db/ml")
    assert resolve_tracking_uri(tmp_path, "postgresql://***@db/ml") == "postgresql://ann:new@db/ml"
    assert resolve_tracking_uri(tmp_path, "postgresql://ann:own@db/ml") == "postgresql://ann:own@db/ml"
    for elsewhere in ("postgresql://ann:new@elsewhere/ml", "postgresql://***@db/ml", ""):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", elsewhere)
        with pytest.raises(UserError, match=r"postgresql://\*\*\*@db/ml, is kept without its password; give it again"):
            resolve_tracking_uri(tmp_path, "postgresql://***@db/ml")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("nosuch://ann:s3cret@x", "knows no addresses that begin with nosuch:"),
        ("postgres://ann:s3cret@db/ml", "knows no addresses that begin with postgres:"),
        ("./mlruns", "only with MLFLOW_ALLOW_FILE_STORE=true"),
        ("file:///tmp/mlruns", "only with MLFLOW_ALLOW_FILE_STORE=true"),
        ("http://ann:s3/cret@host", "write %40 for @, %2F for /"),
        ("http://host:port", "cannot be told apart"),
        ("mssql+nosuch://ann:s3cret@db", "install the database's driver"),
        ("mysql+mysqlconnector://ann:s3cret@db/ml", "install the database's driver"),
    ],
)
def test_what_can_never_work_is_found_before_a_search_starts(address: str, why: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    with pytest.raises(UserError) as raised:
        check_address(address)
    assert why in str(raised.value)
    assert "cret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_may_work(monkeypatch: pytest.MonkeyPatch):
    for address in ("http://h:5000", "https://ann:s%2Fcret@h", "sqlite:///x.db", "databricks", "databricks://profile"):
        check_address(address)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    check_address("./mlruns")


@pytest.mark.parametrize(
    ("lower", "upper", "left"),
    [("", "", []), ("corp.example", "", ["corp.example"]), ("", "corp.example", ["corp.example"]), ("*", "", ["*"])],
)
def test_no_proxy_is_asked_for_this_machine(lower: str, upper: str, left: list[str], monkeypatch: pytest.MonkeyPatch):
    from requests.utils import should_bypass_proxies

    for name, value in (("no_proxy", lower), ("NO_PROXY", upper), ("http_proxy", "http://127.0.0.1:9")):
        monkeypatch.setenv(name, value)
    for name in ("https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    prepare_environment()
    prepare_environment()
    for host in ("127.0.0.1:5000", "localhost:5000"):
        assert should_bypass_proxies(f"http://{host}/health", no_proxy=None)
        assert urllib.request.proxy_bypass(host)
    assert bool(urllib.request.proxy_bypass("server.example")) is (left == ["*"])
    assert all(bool(urllib.request.proxy_bypass(host)) for host in left)
