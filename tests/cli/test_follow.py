"""Following a growing directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from tests.client.serving import Service, sample

from nplmon.cli.growing import GrowingDirectory
from nplmon.client import Client, UnknownRun


def test_a_file_is_taken_when_it_is_complete_and_once(tmp_path: Path) -> None:
    directory = GrowingDirectory(tmp_path, (".npy",), settle=1.0)
    path = tmp_path / "a.npy"
    now = path.parent.stat().st_mtime
    path.write_bytes(b"x")
    (tmp_path / ".b.npy").write_bytes(b"x")
    (tmp_path / "c.npy.part").write_bytes(b"x")
    (tmp_path / "empty.npy").touch()
    assert directory.ready(0.0, now) == []
    assert directory.ready(0.9, now) == []
    path.write_bytes(b"xy")
    assert directory.ready(1.1, now) == []
    assert directory.ready(2.0, now) == []
    assert directory.ready(2.2, now) == [path]
    directory.take(path)
    assert directory.ready(9.0, now) == []
    path.write_bytes(b"xyz")
    assert directory.ready(10.0, now) == []
    assert directory.ready(11.1, now) == [path]


def test_a_file_that_is_renamed_into_place_or_was_there_is_taken_at_once(tmp_path: Path) -> None:
    directory = GrowingDirectory(tmp_path, (".npy",), settle=1.0)
    names = ("z.npy", "a.npy")
    for age, name in zip((200, 100), names, strict=True):
        path = tmp_path / name
        path.write_bytes(b"x")
        os.utime(path, (time.time() - age, time.time() - age))
    assert [path.name for path in directory.ready(0.0, time.time())] == list(names)


COMMAND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
from nplmon.cli import main
main()
"""


def follow(service: Service, monitor: str, directory: Path) -> subprocess.Popen[str]:
    arguments = ["push", directory, "--follow", "--monitor", monitor, "--run", "r", "--chunk-size", "20"]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        env={**os.environ, "NPLMON_URL": service.url, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_accepted(client: Client, monitor: str, chunks: int) -> None:
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        try:
            if client.run(monitor, "r").accepted >= chunks:
                return
        except UnknownRun:
            pass
        time.sleep(0.1)
    raise AssertionError(f"not {chunks} chunks in time")


def stop(process: subprocess.Popen[str]) -> tuple[str, str]:
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=30)


def test_files_are_pushed_as_they_come_and_a_restart_counts_none_twice(
    service: Service, client: Client, monitor: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "one.npy", sample(50, 1))
    process = follow(service, monitor, tmp_path)
    try:
        wait_accepted(client, monitor, 3)
        (tmp_path / "broken.csv").write_text("a,b\n1,x\n")
        np.save(tmp_path / "two.part", sample(20, 2))
        (tmp_path / "two.part.npy").rename(tmp_path / "two.npy")
        wait_accepted(client, monitor, 4)
        time.sleep(1.5)
    finally:
        out, err = stop(process)
    assert process.returncode == 2, err  # one file was left out
    assert "broken.csv left out: " in err
    assert "Traceback" not in err
    assert out == f"pushed 4 chunks (70 events) to {monitor}/r; last sequence number 4\n"

    (tmp_path / "broken.csv").unlink()
    np.save(tmp_path / "three.npy", sample(10, 3))
    process = follow(service, monitor, tmp_path)
    try:
        wait_accepted(client, monitor, 5)
    finally:
        out, err = stop(process)
    assert process.returncode == 0, err
    assert "4 of them had been accepted before and count once" in out
    assert client.run(monitor, "r").accepted == 5
