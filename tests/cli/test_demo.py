"""`nplmon demo`: what it plays, what it tells, and the whole of it as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from nplmon.cli import main
from nplmon.client import Alarm, HistoryEntry, Run, Snapshot, Statistic, Status
from nplmon.demo import Report, real_stream, simulated_stream
from nplmon.demo.stream import Stream

DATA = Path(os.environ.get("NPLMON_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
RULE = "t_score = 40 >= 30 at chunk N: p = 1e-05 <= 0.0012, a false alarm every 1000 chunks (closed form)"
KEYS = {
    "chunks_accepted",
    "chunks_applied",
    "events",
    "statistics",
    "alarm_chunk",
    "chunks_per_second",
    "latency_p50_s",
    "latency_p99_s",
}
KINDS = {"t_chunk", "t_agg", "t_ref", "t_score", "t_sum"}


def report(alarm_chunk: int | None, *, ordinary: int = 3, total: int = 6) -> Report:
    """Give a report of chunks of 10 events, visible 1 s, 2 s, ... after they were accepted, in 12 s."""

    def t_score(number: int) -> Statistic:
        return Statistic(
            kind="t_score", value=10.0 * number, state="closed form", p=0.1, z=number / 2, sequence=number
        )

    def level(number: int) -> Any:
        return "alarm" if alarm_chunk is not None and number >= alarm_chunk else "ok"

    history = [
        HistoryEntry(
            sequence=number,
            chunk=f"chunk-{number:04d}",
            state="applied",
            events=10,
            accepted_at=100.0,
            applied_at=100.0 + number,
            statistics={"t_score": t_score(number)},
            alarm=level(number),
        )
        for number in range(1, total + 1)
    ]
    snapshot = Snapshot(
        monitor="dimuon",
        run="demo",
        run_epoch=1,
        monitor_epoch=1,
        reference_hash="0",
        sequence=total,
        chunks=total,
        dead=0,
        events=10 * total,
        expected=10.0 * total,
        exposure_ratio=0.1,
        statistics={"t_score": t_score(total)},
        alarm=Alarm() if alarm_chunk is None else Alarm(level="alarm", sequence=alarm_chunk, rule=RULE),
        updated_at=106.0,
        last_accepted_at=100.0,
    )
    run = Run(
        monitor="dimuon",
        name="demo",
        state="open",
        epoch=1,
        monitor_epoch=1,
        accepted=total,
        applied=total,
        dead=0,
        opened_at=99.0,
    )
    stream = Stream(
        description="events of a test",
        anomaly="a bump",
        features=("x",),
        units=("",),
        reference=np.zeros((1, 1), dtype=np.float32),
        chunks=[],
        ordinary=ordinary,
        total=total,
    )
    status = Status(run=run, snapshot=snapshot, pending=0, trainers=1)
    return Report(stream=stream, status=status, history=history, seconds=12.0)


def test_an_alarm_after_the_anomaly_began_is_a_success() -> None:
    found = report(5)
    assert (found.passed, found.alarm_chunk) == (True, 5)
    words = found.in_words()
    assert "6 of 6 accepted chunks are in the statistic, each once (events of a test)." in words
    assert "The 3 ordinary chunks raised no alarm (largest Z of t_score: 1.5)." in words
    assert f"ALARM at chunk 5, the 2nd after the anomaly began (a bump): {RULE}." in words


def test_an_alarm_of_an_ordinary_chunk_is_a_failure() -> None:
    found = report(3)
    assert (found.passed, found.alarm_chunk) == (False, 3)
    assert f"FALSE ALARM at ordinary chunk 3: {RULE}." in found.in_words()
    assert "raised no alarm" not in found.in_words()


def test_no_alarm_is_a_failure() -> None:
    found = report(None)
    assert (found.passed, found.alarm_chunk) == (False, None)
    assert "NO ALARM: a bump was not found in 3 chunks." in found.in_words()


@pytest.mark.parametrize(("alarm_chunk", "passed"), [(None, True), (6, False)])
def test_without_an_anomaly_silence_is_the_success(alarm_chunk: int | None, passed: bool) -> None:
    found = report(alarm_chunk, ordinary=6)
    assert found.passed is passed
    assert "NO ALARM" not in found.in_words()
    assert ("FALSE ALARM" in found.in_words()) is not passed


def test_the_numbers() -> None:
    found = report(5).as_json()
    assert set(found) >= KEYS
    assert (found["chunks_accepted"], found["chunks_applied"], found["events"]) == (6, 6, 60)
    assert found["statistics"]["t_score"]["Z"] == 3.0
    assert found["chunks_per_second"] == 0.5
    assert found["latency_p50_s"] == pytest.approx(3.5)
    assert 5.9 < found["latency_p99_s"] <= 6.0


@pytest.mark.parametrize(("alarm_chunk", "code"), [(5, 0), (2, 1), (None, 1)])
def test_the_exit_code_is_the_verdict(
    alarm_chunk: int | None, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Nowhere:
        api = "http://127.0.0.1:9"

        def __init__(self, data_dir: Path) -> None:
            self.data_dir = data_dir

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *error: object) -> None:
            pass

    def play(api: str, stream: Stream, show: Callable[..., None]) -> Report:
        return report(alarm_chunk)

    monkeypatch.setattr("nplmon.demo.RunningService", Nowhere)
    monkeypatch.setattr("nplmon.demo.play", play)
    monkeypatch.setattr("nplmon.demo.simulated_stream", lambda: report(None).stream)
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--json"])
    said = capsys.readouterr()
    assert ended.value.code == code
    assert json.loads(said.out)["alarm_chunk"] == alarm_chunk
    assert ("As it should be." in said.err) is (code == 0)


def test_the_simulated_stream_turns_anomalous_after_twenty_chunks() -> None:
    stream = simulated_stream()
    chunks = list(stream.chunks)
    assert [chunk.number for chunk in chunks] == list(range(1, 41))
    assert [chunk.anomalous for chunk in chunks] == [False] * 20 + [True] * 20
    assert stream.reference.shape == (100_000, len(stream.features))
    # The whole stream stays inside the exposure budget.
    assert sum(len(chunk.events) for chunk in chunks) < 0.5 * len(stream.reference)


def numbered(path: Path, count: int, first: int = 0) -> Path:
    """Write events that carry their own number, in the columns `a` and `b`, and a mass."""
    numbers = np.arange(first, first + count, dtype=np.float32)
    events = np.column_stack([numbers, -numbers, np.zeros_like(numbers)])
    np.savez(path, events=events, features=np.array(["a", "b", "mass"]))
    return path


def test_the_halves_of_a_file_share_no_event(tmp_path: Path) -> None:
    stream = real_stream(numbered(tmp_path / "sm.npz", 4_000), None, None)
    chunks = list(stream.chunks)
    assert stream.features == ("a", "b")
    assert (stream.ordinary, stream.total, len(chunks)) == (20, 20, 20)
    assert stream.reference[:, 0].tolist() == list(range(2_000))
    played = np.concatenate([chunk.events for chunk in chunks])
    assert played[:, 0].tolist() == list(range(2_000, 4_000))
    assert {chunk.events.shape for chunk in chunks} == {(100, 2)}


def test_the_smaller_file_gives_the_size_of_all_chunks(tmp_path: Path) -> None:
    stream = real_stream(
        numbered(tmp_path / "sm.npz", 4_000), numbered(tmp_path / "odd.npz", 1_210, 10_000), ["b", "a"]
    )
    chunks = list(stream.chunks)
    assert stream.features == ("b", "a")
    assert [chunk.anomalous for chunk in chunks] == [False] * 20 + [True] * 20
    assert {chunk.events.shape for chunk in chunks} == {(60, 2)}
    ordinary, odd = (np.concatenate([c.events[:, 1] for c in part]) for part in (chunks[:20], chunks[20:]))
    assert ordinary.tolist() == list(range(2_000, 3_200))
    assert odd.tolist() == list(range(10_000, 11_200))


def test_a_large_file_gives_chunks_of_5000(tmp_path: Path) -> None:
    stream = real_stream(numbered(tmp_path / "sm.npz", 210_000), None, ["a"])
    assert {chunk.events.shape for chunk in stream.chunks} == {(5_000, 1)}


@pytest.mark.parametrize(("ordinary", "odd"), [(1_999, None), (4_000, 999)])
def test_too_few_events_are_refused_in_one_line(
    ordinary: int, odd: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["demo", "--reference", str(numbered(tmp_path / "sm.npz", ordinary))]
    if odd is not None:
        arguments += ["--anomaly", str(numbered(tmp_path / "odd.npz", odd))]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.err.count("\n") == 1
    assert "sm.npz" in said.err
    assert f"a reference of {ordinary // 2} events" in said.err
    assert "give larger files" in said.err


def test_a_file_without_names_needs_features(tmp_path: Path) -> None:
    np.save(tmp_path / "sm.npy", np.zeros((4_000, 2), dtype=np.float32))
    with pytest.raises(ValueError, match="--features"):
        real_stream(tmp_path / "sm.npy", None, None)


def test_an_anomaly_needs_a_reference(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--anomaly", "odd.npz"])
    assert ended.value.code == 2
    assert "--reference" in capsys.readouterr().err


def run_demo(*options: str) -> tuple[int, dict[str, Any], str]:
    """Run it as a user does; give its exit code, the JSON object of its last line, and its words."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NPLMON_")}
    ended = subprocess.run(
        [sys.executable, "-m", "nplmon.cli", "demo", "--json", *options],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    lines = ended.stdout.splitlines()
    assert lines, ended.stderr
    return ended.returncode, json.loads(lines[-1]), ended.stderr


@pytest.mark.slow
@pytest.mark.timeout(270)
def test_the_anomaly_raises_the_alarm_and_the_ordinary_chunks_do_not() -> None:
    code, found, said = run_demo()
    assert code == 0, said
    assert set(found) >= KEYS
    assert (found["chunks_accepted"], found["chunks_applied"]) == (40, 40)
    assert 38_000 < found["events"] < 42_000  # 40,000 expected, and the counts fluctuate
    assert set(found["statistics"]) >= KINDS
    assert all({"value", "p", "Z"} <= set(one) for one in found["statistics"].values())
    assert 21 <= found["alarm_chunk"] <= 40
    assert found["statistics"]["t_score"]["value"] > found["statistics"]["t_score"]["threshold"]
    assert 0 < found["latency_p50_s"] <= found["latency_p99_s"]
    assert found["chunks_per_second"] > 0
    assert f"ALARM at chunk {found['alarm_chunk']}" in said


@pytest.mark.slow
@pytest.mark.timeout(270)
def test_real_ordinary_events_raise_no_alarm(tmp_path: Path) -> None:
    """120,000 events of the file, of which half are the reference: 20 chunks of 3,000."""
    path = DATA / "dimuon_sm.npz"
    if not path.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{path} is missing: set NPLMON_TEST_DATA to the folder that holds it")
        pytest.skip(f"{path} is missing: set NPLMON_TEST_DATA to the folder that holds it")
    with np.load(path) as file:
        events, features = file["events"], file["features"]
    chosen = np.random.default_rng(2026).permutation(len(events))[:120_000]
    np.savez(tmp_path / "sm.npz", events=events[chosen], features=features)
    code, found, said = run_demo("--reference", str(tmp_path / "sm.npz"))
    assert code == 0, said
    assert (found["chunks_applied"], found["events"]) == (20, 60_000)
    assert found["alarm_chunk"] is None
    assert "The 20 ordinary chunks raised no alarm" in said
