"""docs/client.md runs as it stands, and names every method and every error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.client.serving import Service

from nplmon import client as room
from nplmon.client import Client, ClientError

PAGE = (Path(__file__).parents[2] / "docs/client.md").read_text()


def test_the_blocks_run_one_after_the_other(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NPLMON_URL", service.url)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        code = block.replace("http://127.0.0.1:8471", service.url)
        exec(compile(code, "docs/client.md", "exec"), names)  # noqa: S102  # the page's own code
    said = capsys.readouterr().out
    assert "1 500\n" in said
    assert "night-1-9 is new" in said
    assert "11 accepted, 11 pending" in said
    assert "not-finite | " in said
    assert said.endswith("3 200\n")


def test_the_page_names_all_methods_and_no_others() -> None:
    methods = {name for name in dir(Client) if not name.startswith("_") and callable(getattr(Client, name))}
    rows = re.search(r"\| method \|.*?\n\n", PAGE, re.DOTALL)
    assert rows is not None
    assert set(re.findall(r"`(\w+)\(", rows[0])) == methods


def test_the_page_names_all_errors_and_no_others() -> None:
    errors = {
        name
        for name in room.__all__
        if isinstance(getattr(room, name), type) and issubclass(getattr(room, name), ClientError)
    }
    rows = re.search(r"\| error \|.*?\n\n", PAGE, re.DOTALL)
    assert rows is not None
    named = set(re.findall(r"`([A-Z]\w+)`", rows[0]))
    assert named == errors
