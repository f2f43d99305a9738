"""One small real search for all tests of what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import raynas


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with ``first``: three trials of resnet, one epoch each, of which two keep their weights."""
    folder = tmp_path_factory.mktemp("home")
    raynas.search("resnet", name="first", trials=3, epochs=1, workers=1, seed=1, keep_best=2, home=folder)
    return folder


@pytest.fixture
def search(home: Path) -> raynas.SearchResult:
    return raynas.load("first", home)
