"""`nplmon pool` and `nplmon reference add --pool-share`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tests.cli.conftest import Nplmon
from tests.client.serving import FEATURES, sample

from nplmon.client import Client
from nplmon.simulators.scenario import scenario


def test_a_share_is_set_aside_from_files(nplmon: Nplmon, client: Client, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", sample(200))
    ended = nplmon(
        *("reference", "add", "shared", tmp_path / "a.npy", "--features", "pt,eta", "--pool-share", "0.4")
    )
    assert ended.code == 0, ended.err
    assert (client.reference("shared").events, client.pool("shared").events) == (120, 80)


def test_events_of_files_are_added_once(nplmon: Nplmon, client: Client, tmp_path: Path) -> None:
    # Content of its own: what other tests added would be the same version, with their monitors.
    client.put_reference("filled", sample(203), FEATURES, ["GeV", ""])
    client.create_monitor("filling", "filled")
    more = sample(50) + 1
    np.savez(tmp_path / "more.npz", eta=more[:, 1], w=more[:, 1], pt=more[:, 0])
    np.savez(tmp_path / "others.npz", y=more[:, 1] + 1, x=more[:, 0])
    added = nplmon("pool", "add", "filled", tmp_path / "more.npz")
    assert added.out == "added 50 events to the pool of filled: 50 now\n"
    assert "nothing added" in nplmon("pool", "add", "filled", tmp_path / "more.npz").out
    other = nplmon("pool", "add", "filled", tmp_path / "others.npz", "--features", "x,y", "--json")
    assert json.loads(other.out)["added"] == 50
    shown = nplmon("pool", "show", "filled").out
    assert "events     100" in shown
    assert "filling  100" in shown
    assert json.loads(nplmon("pool", "show", "filled", "--json").out)["left"] == {"filling": 100}
    assert nplmon("pool", "add", "filled", tmp_path / "others.npz").code == 2


def test_a_pool_is_fed_up_to_its_mark_and_the_feeder_goes_on(nplmon: Nplmon, client: Client) -> None:
    """A feeder that began anew with the same events would only find them there."""
    made = scenario("expo-quiet")
    client.put_reference("fed", made.reference(300), made.features)
    feed = ("pool", "feed", "fed", "--scenario", "expo-quiet", "--events", "100", "--once", "--above")
    assert nplmon(*feed, "250").out.count("added 100 events") == 3
    assert nplmon(*feed, "250").out == ""
    assert nplmon(*feed, "400").out.count("added 100 events") == 1
    pool = client.pool("fed")
    assert (pool.events, len(pool.segments)) == (400, 4)
    assert "no scenario" in nplmon("pool", "feed", "fed", "--scenario", "none").err
    wrong = nplmon("pool", "feed", "fed", "--scenario", "dimuon-quiet", "--above", "999", "--once")
    assert "The feature 'x' is missing" in wrong.err
