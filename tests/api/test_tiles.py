"""Tiles: the state of a monitor, what holds beside it, and which is more urgent."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.api.glimpses import ALARM, KNOWN, NOW, TEST, WARNING, a_glance, a_head, a_run, a_statistic

from nplmon.api.sparkline import SparklineColumns
from nplmon.api.tiles import STATES, Tile, tile_of
from nplmon.broker.glances import FeatureHead, Glance, ToleranceHead

LONG_AGO = NOW - 600
WARNING_KNOWN = msgspec.structs.replace(KNOWN, level="warning", sequence=2)
SILENT = a_statistic(value=None, state="stopped", p=None, threshold=None)


def tile(seen: Glance) -> Tile:
    return tile_of(seen, SparklineColumns(), NOW)


@pytest.mark.parametrize(
    ("seen", "state", "flags"),
    [
        pytest.param(a_glance(), "waiting", (), id="no run"),
        pytest.param(a_glance(a_run(accepted=0, applied=0, dead=0)), "waiting", (), id="no chunk applied"),
        pytest.param(a_glance(a_run(), a_head()), "ok", (), id="ok"),
        pytest.param(a_glance(a_run(), a_head(alarm=WARNING)), "warning", (), id="warning"),
        pytest.param(a_glance(a_run(), a_head(alarm=ALARM)), "alarm", (), id="alarm"),
        pytest.param(a_glance(a_run(), a_head(updated_at=LONG_AGO)), "stale", (), id="stale"),
        pytest.param(a_glance(a_run(), a_head(updated_at=LONG_AGO + 0.1)), "ok", (), id="not yet stale"),
        pytest.param(
            a_glance(a_run(), a_head(updated_at=LONG_AGO, alarm=WARNING)), "stale", (), id="stale warning"
        ),
        pytest.param(
            a_glance(a_run(), a_head(updated_at=LONG_AGO, alarm=ALARM)), "alarm", ("stale",), id="stale alarm"
        ),
        pytest.param(a_glance(a_run(opened_at=LONG_AGO)), "stale", (), id="opened, and nothing since"),
        pytest.param(
            a_glance(a_run(), a_head(statistics={"t_score": SILENT})), "uncalibrated", (), id="no threshold"
        ),
        pytest.param(a_glance(a_run(), a_head(), calibration="failed"), "uncalibrated", (), id="toys failed"),
        pytest.param(a_glance(a_run(), a_head(), calibration="void"), "uncalibrated", (), id="toys void"),
        pytest.param(a_glance(a_run(), a_head(), calibration="running"), "ok", (), id="toys run"),
        pytest.param(a_glance(a_run(), a_head(), calibration="cancelled"), "ok", (), id="toys cancelled"),
        pytest.param(
            a_glance(a_run(), a_head(alarm=ALARM), calibration="void"),
            "alarm",
            ("uncalibrated",),
            id="alarm without calibration",
        ),
        pytest.param(a_glance(a_run(), a_head(pool_left=0)), "ok", ("pool-empty",), id="pool empty"),
        pytest.param(a_glance(a_run(), a_head(pool_left=1)), "ok", (), id="pool not empty"),
        pytest.param(a_glance(a_run(), a_head(exposure_ratio=0.51)), "ok", ("exposure",), id="exposure"),
        pytest.param(
            a_glance(a_run(), a_head(tolerance=ToleranceHead(withheld=True))),
            "ok",
            ("withheld",),
            id="withheld",
        ),
        pytest.param(
            a_glance(a_run(acknowledged=KNOWN), a_head(alarm=ALARM)), "acknowledged", (), id="known"
        ),
        pytest.param(
            a_glance(a_run(acknowledged=KNOWN), a_head(alarm=ALARM, updated_at=LONG_AGO)),
            "stale",
            (),
            id="known, and stale",
        ),
        pytest.param(
            a_glance(a_run(acknowledged=WARNING_KNOWN), a_head(alarm=WARNING)),
            "acknowledged",
            (),
            id="warning known",
        ),
        pytest.param(
            a_glance(a_run(acknowledged=WARNING_KNOWN), a_head(alarm=ALARM)), "alarm", (), id="risen since"
        ),
        pytest.param(a_glance(a_run(acknowledged=KNOWN), a_head()), "ok", (), id="acknowledged, none now"),
        pytest.param(a_glance(a_run(), a_head(), test=TEST), "ok", ("test",), id="test alarm"),
        pytest.param(a_glance(a_run(), a_head(), stale_after=10.0), "stale", (), id="stale early"),
        pytest.param(a_glance(a_run(), a_head(), dead=2), "ok", ("dead-letters",), id="dead letters"),
        pytest.param(
            a_glance(a_run(state="closed"), a_head(alarm=ALARM, updated_at=LONG_AGO, pool_left=0)),
            "closed",
            (),
            id="a closed run asks for nothing",
        ),
        pytest.param(
            a_glance(a_run(state="closed"), a_head(), dead=1),
            "closed",
            ("dead-letters",),
            id="closed, with dead",
        ),
    ],
)
def test_state_and_flags(seen: Glance, state: str, flags: tuple[str, ...]) -> None:
    found = tile(seen)
    assert (found.state, found.flags) == (state, flags)


def test_urgency_is_by_state_and_then_by_flags() -> None:
    def urgency(**changes: Any) -> int:
        return tile(a_glance(a_run(), a_head(**changes))).urgency

    alarm, stale, warning = urgency(alarm=ALARM), urgency(updated_at=LONG_AGO), urgency(alarm=WARNING)
    known = tile(a_glance(a_run(acknowledged=KNOWN), a_head(alarm=ALARM))).urgency
    flagged, fine = urgency(pool_left=0), urgency()
    closed = tile(a_glance(a_run(state="closed"), a_head())).urgency
    assert alarm < stale < warning < known < flagged < fine < tile(a_glance()).urgency < closed
    assert STATES[0] == "alarm"
    assert STATES[-1] == "closed"


def test_the_numbers_are_those_of_the_statistic_that_decides() -> None:
    features = (FeatureHead(name="pt", shift=0.1, rank=2), FeatureHead(name="eta", shift=-0.4, rank=1))
    other = a_statistic(kind="t_agg", value=99.0)
    found = tile(
        a_glance(a_run(), a_head(features=features, statistics={"t_agg": other, "t_score": a_statistic()}))
    )
    assert (found.deciding, found.value, found.threshold, found.warning_threshold) == ("t_score", 12, 20, 15)
    assert (found.p, found.z, found.statistic_state) == (0.1, 1.3, "closed form")
    assert (found.chunks, found.events, found.pending, found.sequence) == (3, 60, 1, 4)
    assert found.worst_feature is not None
    assert (found.worst_feature.name, found.worst_feature.shift) == ("eta", -0.4)


def test_an_acknowledgement_is_shown_while_it_is_in_force() -> None:
    assert tile(a_glance(a_run(acknowledged=KNOWN), a_head(alarm=ALARM))).acknowledged == KNOWN
    assert tile(a_glance(a_run(acknowledged=WARNING_KNOWN), a_head(alarm=ALARM))).acknowledged is None


def test_before_the_first_chunk_there_are_no_numbers() -> None:
    found = tile(a_glance())
    assert (found.run, found.value, found.updated_at, found.worst_feature) == (None, None, None, None)
    assert found.alarm.level == "ok"
