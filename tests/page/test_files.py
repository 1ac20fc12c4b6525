"""The files of the page: all are there, each has a type, and none loads anything from elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from nplmon.page import page_files, plotly_file
from nplmon.page.files import TYPES, plotly_version

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "service" / "nplmon" / "page"
SOURCES = sorted(path for path in FOLDER.rglob("*") if path.suffix in TYPES)
LINES = 400


def test_every_file_is_read_with_type_and_digest() -> None:
    files = page_files()
    assert set(files) == {path.relative_to(FOLDER).as_posix() for path in SOURCES}
    assert len({file.etag for file in files.values()}) == len(files)
    assert files["script/app.js"].content_type == "text/javascript; charset=utf-8"


def test_plotly_comes_from_the_installed_package() -> None:
    assert plotly_file().body.lstrip().startswith(b"/**\n* plotly.js v")
    address = f"/page/plotly.min.js?v={plotly_version()}"
    assert f'data-plotly="{address}"'.encode() in page_files()["index.html"].body


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_file_is_short_and_loads_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LINES
    assert set(re.findall(r"[a-z]+://[^\s\"'`)]+", text)) <= {"http://www.w3.org/2000/svg"}


def test_index_and_imports_name_files_that_exist() -> None:
    files = page_files()
    index = files["index.html"].body.decode()
    named = set(re.findall(r'(?:src|href)="/page/([\w./-]+)"', index))
    for name, file in files.items():
        if name.endswith(".js"):
            text = file.body.decode()
            named |= {f"script/{target}" for target in re.findall(r'(?:from|import\() ?"\./([\w.-]+)"', text)}
    assert named - set(files) == set()


def test_nothing_is_inline() -> None:
    """The content policy allows no inline script and no inline style."""
    index = page_files()["index.html"].body.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", index)


def test_the_wheel_holds_the_files(tmp_path: Path) -> None:
    """Built as `pip` would, without a network: hatchling is there."""
    build = "import hatchling.build as b, sys; print(b.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    wheel = tmp_path / done.stdout.split()[-1]
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    assert {f"nplmon/page/{name}" for name in page_files()} <= inside
    runbooks = {f"nplmon/api/runbooks/{path.name}" for path in (ROOT / "docs" / "runbooks").iterdir()}
    assert runbooks
    assert runbooks <= inside


def test_the_scripts_keep_their_promises(node: str) -> None:
    """Run the tests of formats, states, routes and the live connection, in node."""
    scripts = sorted(map(str, (Path(__file__).parent / "script").glob("*.test.mjs")))
    assert scripts
    done = subprocess.run(
        [node, "--test", "--test-reporter=spec", *scripts],
        env={"TZ": "Europe/Zurich", "PAGE": json.dumps(str(FOLDER / "script"))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
