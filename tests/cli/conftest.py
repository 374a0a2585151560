"""A clean place to run commands in: an empty working directory and none of our variables."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oomdb.cli.main import run

from .fleet import Fleet, running_fleet
from .sample_commands import sample

NOW = datetime(2026, 1, 15, 15, 0, 0, tzinfo=UTC)

Run = Callable[..., tuple[int, str, str]]
Show = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory."""
    for name in os.environ:
        if name.startswith("OOMDB_") or name in ("NO_COLOR", "TERM"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run_sample(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line and return its exit code, stdout and stderr."""

    def invoke(*args: str) -> tuple[int, str, str]:
        code = run(args, group=sample, now=NOW)
        out, err = capsys.readouterr()
        return code, out, err

    return invoke


@pytest.fixture
def show(run_sample: Run) -> Show:
    """Run a command line around `show` and return what the options became."""

    def invoke(*args: str) -> dict[str, Any]:
        code, out, err = run_sample(*args)
        assert (code, err) == (0, "")
        said: dict[str, Any] = json.loads(out)
        return said

    return invoke


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Serve three clusters to collect from."""
    with running_fleet(tmp_path) as running:
        yield running
