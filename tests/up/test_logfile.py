"""The log file of a child: followed line by line, bounded in size."""

from __future__ import annotations

import json
import os
from pathlib import Path

from nplmon.supervisor.logfile import LogFile


def write(descriptor: int, *lines: str) -> None:
    os.write(descriptor, "".join(lines).encode())


def test_only_loud_records_are_given_and_each_once(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "logs" / "trainer.log")
    child = log.open_for_child()
    write(child, '{"level": "info", "event": "fitted"}\n', '{"level": "warning", "event": "slow"}\n')
    write(child, '{"level": "error", "event": "lost"}\n', '{"level": "critical", "event": "gone"}\n')
    assert [record["event"] for record in log.follow()] == ["slow", "lost", "gone"]
    assert log.follow() == []
    os.close(child)


def test_a_line_that_is_half_written_is_waited_for(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "trainer.log")
    child = log.open_for_child()
    write(child, '{"level": "warning", "ev')
    assert log.follow() == []
    write(child, 'ent": "slow"}\n')
    assert [record["event"] for record in log.follow()] == ["slow"]
    os.close(child)


def test_lines_of_an_earlier_life_are_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "trainer.log"
    path.write_text('{"level": "error", "event": "old"}\n', encoding="utf-8")
    assert LogFile(path).follow() == []


def test_last_words_are_the_end_of_a_traceback(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "trainer.log")
    child = log.open_for_child()
    write(child, "Traceback (most recent call last):\n", '  File "x.py"\n', "KeyError: 'x'\n", "\n", "[1]\n")
    assert log.follow() == []
    assert log.last_words == "[1]"
    os.close(child)


def test_it_is_bounded_and_the_child_writes_on(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "trainer.log", limit_bytes=10_000)
    child = log.open_for_child()
    line = json.dumps({"level": "warning", "event": "x" * 100}) + "\n"
    seen = 0
    for _ in range(1000):
        write(child, line)
        seen += len(log.follow())
    assert seen == 1000  # nothing is lost when nobody writes between copy and emptying
    kept = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(kept) == 2
    assert all(size <= 10_000 + len(line) for size in kept)
    assert b"\0" not in log.path.read_bytes()  # the child appends: no hole at the start
    os.close(child)


def test_a_file_that_somebody_emptied_or_removed_is_followed_on(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "trainer.log")
    log.path.write_text("x" * 1000 + "\n", encoding="utf-8")
    log.follow()
    log.path.write_text('{"level": "error", "event": "new"}\n', encoding="utf-8")
    assert [record["event"] for record in log.follow()] == ["new"]
    log.path.unlink()
    assert log.follow() == []
    os.close(log.open_for_child())
    log.path.write_text('{"level": "error", "event": "newer"}\n', encoding="utf-8")
    assert [record["event"] for record in log.follow()] == ["newer"]
