"""`nplmon up` with a real store and fake roles: start, order of stopping, accidents."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from tests.up.running import Up, alive, wait_until

from nplmon.broker.embedded import EmbeddedStore

Start = Callable[..., Up]


def test_it_says_where_it_is_and_ctrl_c_stops_all_in_order(start: Start, data_dir: Path) -> None:
    up = start("--port", "0", "--trainers", "2")
    up.wait_ready()
    wait_until(lambda: len(up.addresses["metrics"]) == 4, "all signs of life")
    addresses = up.addresses
    assert set(addresses["metrics"]) == {"api", "trainer-1", "trainer-2", "aggregator"}
    assert addresses["pid"] == up.process.pid
    for said in (addresses["api"], addresses["docs"], addresses["metrics"]["aggregator"], addresses["store"]):
        assert said in up.said
    assert httpx.get(f"{addresses['api']}/readyz", trust_env=False).status_code == 200
    targets = {one["labels"]["job"]: one for one in up.targets}
    assert set(targets) == {"nplmon-api", "nplmon-trainer", "nplmon-aggregator"}
    for name in ("api", "aggregator"):
        assert addresses["metrics"][name] == f"http://{targets[f'nplmon-{name}']['targets'][0]}/metrics"
    store = EmbeddedStore(data_dir)
    assert store.pid is not None

    up.press_ctrl_c()
    assert up.wait_end() == 0
    way = [role for role, _ in up.journal("stopping", "stopped")]
    assert way == ["api"] * 2 + ["trainer"] * 4 + ["aggregator"] * 2
    assert store.pid is None
    assert list(data_dir.glob("*.json")) == []
    assert "Traceback" not in up.said


def test_sigterm_stops_it_as_well(start: Start) -> None:
    up = start("--port", "0")
    up.wait_ready()
    up.process.terminate()
    assert up.wait_end() == 0
    assert [role for role, _ in up.journal("stopped")] == ["api", "trainer", "aggregator"]


def test_a_dead_child_is_started_again_and_that_is_logged(start: Start) -> None:
    up = start("--port", "0")
    up.wait_ready()
    before = up.addresses["metrics"]["trainer-1"]
    (target,) = [one for one in up.targets if one["labels"]["job"] == "nplmon-trainer"]
    ((_, first),) = [line for line in up.journal("started") if line[0] == "trainer"]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: len([line for line in up.journal("started") if line[0] == "trainer"]) == 2, "restart")
    assert "killed by SIGKILL" in up.said
    wait_until(lambda: up.addresses["metrics"]["trainer-1"] != before, "its new metrics address")
    # To Prometheus it is the same one, elsewhere.
    (again,) = [one for one in up.targets if one["labels"] == target["labels"]]
    assert again["targets"] == [up.addresses["metrics"]["trainer-1"].split("/")[2]] != target["targets"]


def test_a_dead_store_is_started_again_with_its_data(start: Start, data_dir: Path) -> None:
    up = start("--port", "0")
    up.wait_ready()
    store = EmbeddedStore(data_dir)
    first = store.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: store.pid not in (None, first), "a new store")
    wait_until(lambda: "the store answers again" in up.said, "the log")
    up.press_ctrl_c()
    assert up.wait_end() == 0


def test_a_second_one_on_the_same_directory_is_refused(start: Start) -> None:
    first = start("--port", "0")
    first.wait_ready()
    second = start("--port", "0")
    assert second.wait_end() == 2
    assert second.said.startswith("nplmon: nplmon up is already running on ")
    assert f"(process {first.process.pid})" in second.said
    assert second.said.count("\n") == 1
    assert first.process.poll() is None


def test_after_kill_9_the_children_stop_and_the_next_one_goes_on(start: Start, data_dir: Path) -> None:
    """The children notice by the lifeline alone: the killed parent sends them nothing."""
    first = start("--port", "0")
    first.wait_ready()
    port = first.addresses["api"].rpartition(":")[2]
    children = [pid for _, pid in first.journal("started")]
    store = EmbeddedStore(data_dir)
    server = store.pid
    first.process.kill()
    first.process.wait()

    second = start("--port", port)
    second.wait_ready()
    wait_until(lambda: not any(alive(pid) for pid in children), "the first one's children are gone")
    assert sorted(pid for _, pid in second.journal("stopped")) == sorted(children)
    assert store.pid == server  # the store lived on, and what it held
    second.press_ctrl_c()
    assert second.wait_end() == 0
    assert store.pid is None


def test_a_busy_port_is_told_in_one_line(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = start("--port", str(port))
        assert up.wait_end() == 2
    last = up.said.splitlines()[-1]
    assert last == (
        f"nplmon: port {port} on 127.0.0.1 is taken by another program: stop it, or choose another with --port"
    )
    assert up.journal("started") == []


def test_a_port_that_becomes_free_is_waited_for(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = start("--port", str(port))
        wait_until(lambda: "is busy, waiting" in up.said, "it waits")
    up.wait_ready()
    assert up.addresses["api"] == f"http://127.0.0.1:{port}"


def test_a_second_ctrl_c_does_not_wait(start: Start) -> None:
    up = start("--port", "0")
    up.wait_ready()
    (up.playground / "trainer-stubborn").touch()
    up.press_ctrl_c()
    wait_until(lambda: "api" in [role for role, _ in up.journal("stopped")], "the API has stopped")
    time.sleep(0.3)
    assert up.process.poll() is None  # it waits for the trainer
    up.press_ctrl_c()
    assert up.wait_end(5.0) == 0
    assert [role for role, _ in up.journal("stopped")] == ["api"]
    assert not any(alive(pid) for _, pid in up.journal("started"))


def test_a_role_that_cannot_start_ends_it_with_its_last_words(start: Start, data_dir: Path) -> None:
    data_dir.parent.joinpath("aggregator-broken").touch()
    up = start("--port", "0")
    assert up.wait_end() == 2
    last = up.said.splitlines()[-1]
    assert last.startswith(
        "nplmon: aggregator died 3 times before it was ready (exit code 1): ModuleNotFoundError"
    )
    assert str(data_dir / "logs" / "aggregator.log") in last
    assert not any(alive(pid) for _, pid in up.journal("started"))
    assert EmbeddedStore(data_dir).pid is None


def test_warnings_of_children_are_repeated_and_the_rest_is_in_their_files(
    start: Start, data_dir: Path
) -> None:
    data_dir.parent.joinpath("trainer-complains").touch()
    up = start("--port", "0")
    up.wait_ready()
    wait_until(lambda: "disk is nearly full" in up.said, "the warning")
    assert '"free_mb": 3' in up.said
    assert '"child": "trainer-1"' in up.said
    assert "all is well" not in up.said
    assert "all is well" in (data_dir / "logs" / "trainer-1.log").read_text(encoding="utf-8")


def test_a_given_store_is_used_and_left_alone(start: Start, data_dir: Path, tmp_path: Path) -> None:
    given = EmbeddedStore(tmp_path / "elsewhere")
    given.start()
    try:
        up = start("--port", "0", NPLMON_REDIS_URL=given.url)
        up.wait_ready()
        assert up.addresses["store"] == given.url
        up.press_ctrl_c()
        assert up.wait_end() == 0
        assert given.pid is not None
        assert not (data_dir / "valkey").exists()
    finally:
        given.stop()


def test_a_given_store_that_is_not_there_is_told_without_its_password(start: Start) -> None:
    up = start("--port", "0", NPLMON_REDIS_URL="redis://monitor:geheim@127.0.0.1:1/0")
    assert up.wait_end() == 2
    assert "no store at redis://***@127.0.0.1:1/0" in up.said
    assert "geheim" not in up.said


def test_an_address_that_is_no_store_is_told(start: Start) -> None:
    up = start("--port", "0", NPLMON_REDIS_URL="http://127.0.0.1:6379")
    assert up.wait_end() == 2
    assert up.said.startswith("nplmon: NPLMON_REDIS_URL: ")
    assert up.said.count("\n") == 1
