"""The blocks of the README are executed in their order, against the service that its first block starts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import NOT_RUN, ROOT, Block, blocks

BLOCKS = blocks(ROOT / "README.md")
UP = "nplmon up\n"
STOP_SECONDS = 30


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Terminal:
    """A shell whose exported variables live on from block to block, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        port = free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NPLMON_")}
        self.environment = kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "NO_PROXY": "127.0.0.1",
            "NPLMON_URL": f"http://127.0.0.1:{port}",
            "NPLMON_PORT": str(port),
        }
        self.exported = directory / "exported.sh"
        self.exported.touch()

    def start(self, block: Block) -> subprocess.Popen[bytes]:
        """Start a command that stays, and wait until the service answers."""
        said = self.directory / "up.out"
        with said.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {block.text}"],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 60
        while "nplmon is ready" not in said.read_text():
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline, said.read_text()
            time.sleep(0.1)
        return process

    def run(self, block: Block) -> str:
        """Execute a block to its end and give what it printed."""
        if block.language == "python":
            command = [sys.executable, "-W", "error", "-c", block.text]
        else:
            script = f"set -euo pipefail\n. '{self.exported}'\n{block.text}\nexport -p > '{self.exported}'\n"
            command = ["bash", "-c", script]
        ended = subprocess.run(
            command,
            check=False,  # told below, with what it said
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 0, f"{block.place}: exit code {ended.returncode}\n{ended.stderr}"
        return ended.stdout


@pytest.fixture(scope="module")
def said() -> Iterator[dict[str, str]]:
    """Execute the tour once: what each block printed, by its text."""
    if shutil.which("curl") is None and not os.environ.get("CI"):
        pytest.skip("curl is not installed; the tour needs it")
    # The store's socket lies in it: a short name.
    directory = Path(tempfile.mkdtemp(prefix="tour-"))
    terminal = Terminal(directory)
    service: subprocess.Popen[bytes] | None = None
    try:
        printed = {}
        for block in BLOCKS:
            if block.marker == NOT_RUN:
                continue
            if block.text == UP:
                service = terminal.start(block)
            else:
                printed[block.text] = terminal.run(block)
        yield printed
        assert service is not None
        service.send_signal(signal.SIGINT)
        assert service.wait(STOP_SECONDS) == 0
    finally:
        if service is not None and service.poll() is None:
            service.terminate()
            service.wait(STOP_SECONDS)
        shutil.rmtree(directory, ignore_errors=True)


def printed_by(said: dict[str, str], words: str) -> str:
    (output,) = [output for text, output in said.items() if words in text]
    return output


def documents(output: str) -> Iterator[Any]:
    """Give the JSON objects in an output, one after the other."""
    decoder, start = json.JSONDecoder(), output.index('{"')
    while start < len(output) and output[start] == "{":
        document, start = decoder.raw_decode(output, start)
        yield document


def test_only_what_stays_on_the_screen_is_not_executed() -> None:
    assert [block.text for block in BLOCKS if block.marker] == ["nplmon watch dimuon\n"]
    assert {block.language for block in BLOCKS} == {"sh", "python"}
    assert BLOCKS[0].text == UP


@pytest.mark.timeout(180)
def test_a_chunk_sent_with_curl_gets_its_receipt(said: dict[str, str]) -> None:
    (receipt,) = documents(printed_by(said, "chunk-1'"))
    assert (receipt["chunk"], receipt["sequence"], receipt["events"]) == ("chunk-1", 1, 2000)


def test_the_client_sees_the_anomaly(said: dict[str, str]) -> None:
    *lines, rule = printed_by(said, "import Client").splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"chunk-{number}" for number in range(1, 10)]
    assert all(not line.endswith(" alarm") for line in lines[:5])
    assert lines[-1].endswith(" alarm")
    assert rule.startswith("t_score = ")
    assert rule.endswith("a false alarm every 1000 chunks (closed form)")


def test_every_number_that_is_explained_is_shown(said: dict[str, str]) -> None:
    output = printed_by(said, "nplmon status")
    statistic, history, ratio = documents(output)
    table, _, _ = output.partition('{"')
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = readme.partition("| number | meaning |")[2].partition("\n\n")[0]
    names = [name for row in rows.splitlines()[2:] for name in row.split("|")[1].split("`")[1::2]]
    assert len(names) == 18
    assert [name for name in names if name not in table] == []
    assert statistic["snapshot"]["chunks"] == 9
    assert [entry["sequence"] for entry in history["entries"]] == [8, 9]
    assert [one["name"] for one in ratio["features"]] == ["pt1", "pt2", "eta1", "eta2", "delta_phi"]


def test_the_run_is_closed_and_the_rate_is_compared(said: dict[str, str]) -> None:
    assert "closed" in printed_by(said, "nplmon run list")
    assert "night-1" in printed_by(said, "--mode rate")
