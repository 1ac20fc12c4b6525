"""What each command does to the service, and what it prints."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from tests.cli.conftest import Nplmon
from tests.client.serving import Service, sample

from nplmon.client import Client


def test_references_are_added_listed_and_shown(nplmon: Nplmon, client: Client, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", pt=np.arange(100.0), eta=sample(100)[:, 0], w=np.linspace(0.5, 1.5, 100))
    np.savez(tmp_path / "b.npz", pt=np.arange(100.0), eta=sample(100)[:, 1], w=np.ones(100))
    ended = nplmon(
        *("reference", "add", "muons", tmp_path / "a.npz", tmp_path / "b.npz"),
        *("--features", "eta,pt", "--units", ",GeV", "--weights", "w"),
    )
    assert ended.code == 0, ended.err
    stored = client.reference("muons")
    assert (stored.events, stored.features, stored.units) == (200, ("eta", "pt"), ("", "GeV"))
    assert stored.sum_weights == pytest.approx(200.0)
    assert "53.71" in ended.out  # the weighted mean of pt
    assert "muons" in nplmon("reference", "list").out
    assert json.loads(nplmon("reference", "show", "muons", "--json").out)["hash"] == stored.hash
    plain = nplmon("reference", "add", "plain", tmp_path / "a.npz", "--json")
    assert json.loads(plain.out)["features"] == ["pt", "eta", "w"]


def test_monitors_are_created_listed_shown_and_deleted(nplmon: Nplmon, client: Client, monitor: str) -> None:
    ended = nplmon(
        *("monitor", "create", "all", "--reference", "sample", "--features", "eta", "--mode", "rate"),
        *(
            "--rate",
            "12.5",
            "--centres",
            "40",
            "--lambda",
            "1e-5",
            "--sigma",
            "1.5",
            "--sigma",
            "0.5",
            "--sigma-quantile",
            "0.8",
        ),
        *("--seed", "7", "--expected-run-length", "500", "--warning-run-length", "50"),
        *("--alarm-statistic", "t_score", "--false-alarm-probability", "0.001"),
        *("--description", "everything set", "--json"),
    )
    assert ended.code == 0, ended.err
    said = json.loads(ended.out)
    assert said["kernel"] == {
        "centres": 40,
        "lambda": 1e-5,
        "sigmas": [0.5, 1.5],
        "sigma_quantiles": [0.8],
        "seed": 7,
    }
    assert said["alarm"] == {
        "expected_run_length": 500.0,
        "warning_run_length": 50.0,
        "statistic": "t_score",
        "false_alarm_probability": 0.001,
    }
    assert (said["mode"], said["rate"], said["features"]) == ("rate", 12.5, ["eta"])
    assert said["description"] == "everything set"
    shown = nplmon("monitor", "show", "all").out
    assert "40 centres, lambda 1e-05, sigma 0.5, 1.5" in shown
    assert "by t_score, a false one every 500 chunks" in shown
    listed = nplmon("monitor", "list").out
    assert "all" in listed
    assert monitor in listed
    counted = ("--control-events", 900, "--control-exposure", "2.5")
    assert nplmon("monitor", "create", "apart", "--reference", "sample", *counted).code == 0
    assert "the rate apart: 900 events in a control exposure of 2.5" in nplmon("monitor", "show", "apart").out
    assert "give both" in nplmon("monitor", "create", "half", "--reference", "sample", *counted[:2]).err
    client.delete_monitor("apart")
    refused = nplmon("monitor", "delete", "all")
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert nplmon("monitor", "delete", "all", "--yes").out == "deleted all\n"
    assert "all" not in {m.name for m in client.monitors()}


def test_a_file_is_pushed_in_chunks_and_counts_once(
    nplmon: Nplmon, service: Service, client: Client, monitor: str, tmp_path: Path
) -> None:
    events = sample(50)
    np.savez(tmp_path / "a b.npz", events=events[:, ::-1], features=np.array(["eta", "pt"]))
    push = ("push", tmp_path / "a b.npz", "--monitor", monitor, "--run", "r", "--chunk-size", 20)
    first = nplmon(*push, "--exposure", "0.5")
    assert first.out == f"pushed 3 chunks (50 events) to {monitor}/r; last sequence number 3\n"
    assert first.err == ""
    repeated = nplmon(*push, "--exposure", "0.5", "--json")
    assert repeated.code == 0, repeated.err
    again = json.loads(repeated.out)
    assert (again["chunks"], again["duplicates"], again["last_sequence"]) == (3, 3, 3)
    assert client.run(monitor, "r").accepted == 3
    payloads = [service.with_broker(lambda b, n=n: b.statistics.payload(monitor, "r", n)) for n in (1, 2, 3)]
    assert np.array_equal(np.frombuffer(b"".join(payloads), "<f4").reshape(-1, 2), events)
    assert nplmon(*push[:-1], 30, "--run", "s", "--drop-rest", "--concurrency", 4).code == 0
    assert client.run(monitor, "s").accepted == 1


def test_features_may_be_the_monitors_in_any_order_or_stand_for_them(
    nplmon: Nplmon, service: Service, monitor: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", pt=np.arange(5.0), eta=-np.arange(5.0), q=np.ones(5))
    for run, features, first in (("a", "eta,pt", 1.0), ("b", "q,eta", 1.0), ("c", "eta,q", -1.0)):
        ended = nplmon(
            *("push", tmp_path / "a.npz", "--monitor", monitor, "--run", run),
            *("--chunk-size", 5, "--features", features),
        )
        assert ended.code == 0, ended.err
        payload = service.with_broker(lambda b, run=run: b.statistics.payload(monitor, run, 1))
        assert np.frombuffer(payload, "<f4").reshape(-1, 2)[1, 0] == first


@pytest.mark.parametrize("form", ["npy", "csv"])
def test_standard_input_is_pushed(
    nplmon: Nplmon, client: Client, monitor: str, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    body = io.BytesIO()
    if form == "npy":
        np.save(body, sample(10))
    else:
        np.savetxt(body, sample(10), delimiter=";", header="pt;eta", comments="")
    body.seek(0)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(body)))  # type: ignore[arg-type]  # a raw stream
    ended = nplmon("push", "-", "--monitor", monitor, "--run", "r", "--chunk-size", 4)
    assert ended.code == 0, ended.err
    assert client.run(monitor, "r").accepted == 3


def test_runs_are_listed_closed_and_reset(nplmon: Nplmon, client: Client, monitor: str) -> None:
    assert "no runs yet" in nplmon("run", "list", monitor).out
    client.push(monitor, "night", sample(5))
    assert "night" in nplmon("run", "list", monitor).out
    assert nplmon("run", "close", monitor, "night").out == (
        f"closed {monitor}/night with 1 chunks accepted, 0 applied\n"
    )
    assert json.loads(nplmon("run", "list", monitor, "--json").out)[0]["state"] == "closed"
    assert "epoch 2" in nplmon("run", "reset", monitor, "night").out


def test_a_status_says_everything_in_words(
    nplmon: Nplmon, service: Service, client: Client, monitor: str
) -> None:
    from nplmon.broker.messages import Alarm

    receipts = [client.push(monitor, "r", sample(5, seed)) for seed in range(2)]
    assert "none yet: no chunk is applied" in nplmon("status", monitor).out
    alarm = Alarm(level="alarm", kind="t_agg", chunk="c2", sequence=2, rule="p_2 = 1.5e-07 <= 0.0017")
    service.apply(monitor, "r", receipts, alarm=alarm)
    said = nplmon("status", monitor, "--run", "r").out
    for words in ("ALARM since chunk 2 (c2)", "p_2 = 1.5e-07 <= 0.0017", "3 ± 1.25", "9.5", "5.12", "10 ("):
        assert words in said
    assert "0.02, of which noise makes 0.01 ± 0.003: an excess of 0.01" in said
    assert "0.1 to 0.3" in said  # the shift's interval
    as_json = json.loads(nplmon("status", monitor, "--json").out)
    assert as_json["snapshot"]["statistics"]["t_agg"]["value"] == 12.0
    assert as_json["run"]["name"] == "r"


def test_where_the_data_differ_is_shown_and_printed_as_a_table(
    nplmon: Nplmon, service: Service, client: Client, monitor: str
) -> None:
    service.apply(monitor, "r", [client.push(monitor, "r", sample(5))])
    said = nplmon("where", monitor, "--run", "r").out
    assert "7.25" in said
    assert "log ratio" in said
    assert nplmon("where", monitor, "--csv").out == "chunk,row,log_ratio,pt\nc1,3,2.5,7.25\n"
    assert json.loads(nplmon("where", monitor, "--json").out)["ranked"] == ["pt"]


def test_dead_chunks_are_listed_and_replayed(
    nplmon: Nplmon, service: Service, client: Client, monitor: str
) -> None:
    assert "no dead chunks" in nplmon("dead", "list", monitor).out
    for name in ("ill", "sick"):
        client.push(monitor, "r", sample(5), chunk=name)
        service.kill(monitor)
    listed = nplmon("dead", "list", monitor).out
    assert "ill" in listed
    assert "broken" in listed
    for wrong in ([], ["ill", "--all"], ["well"]):
        assert nplmon("dead", "replay", monitor, *wrong).code == 2
    assert nplmon("dead", "replay", monitor, "ill").out == f"replayed 1 chunk of {monitor}\n"
    assert nplmon("dead", "replay", monitor, "--all", "--run", "other").out.startswith("replayed 0")
    assert len(json.loads(nplmon("dead", "replay", monitor, "--all", "--json").out)) == 1
    assert json.loads(nplmon("dead", "list", monitor, "--json").out) == []


def test_watch_shows_the_run_and_survives_an_absent_service(
    nplmon: Nplmon,
    service: Service,
    client: Client,
    monitor: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from nplmon.cli import watch
    from nplmon.client import Unreachable

    looks = 0

    def pause(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            receipts = [client.push(monitor, "r", sample(5, seed)) for seed in range(2)]
            service.apply(monitor, "r", receipts, updated_at=1.0)
            client.push(monitor, "r", sample(5, 9))
        elif looks == 2:
            monkeypatch.setattr(Client, "perform", lambda *_: (_ for _ in ()).throw(Unreachable("gone")))
        elif looks == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(watch.time, "sleep", pause)
    monkeypatch.setenv("COLUMNS", "120")
    ended = nplmon("watch", monitor)
    assert ended.code == 0, ended.err
    assert ended.err == f"{monitor} has no runs yet; waiting for its first chunk\n"
    for words in ("3 ± 1.25", "t_agg of the last 2 chunks", "ok: no alarm", "STALE", "gone; trying again"):
        assert words in ended.out
