"""Scenarios: ordinary up to the start, disturbed from there, repeatable chunk by chunk."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nplmon.simulators import dimuon
from nplmon.simulators.errors import SimulationError
from nplmon.simulators.scenario import SCENARIOS, scenario

NAMED = [
    "expo-quiet",
    "expo-bulk",
    "expo-tail",
    "expo-extreme-tail",
    "expo-excess",
    "expo-13",
    "dimuon-quiet",
    "dimuon-resonance",
    "dimuon-gain-shift",
    "dimuon-dead-sector",
    "dimuon-noise",
    "dimuon-efficiency",
    "dimuon-pileup",
    "level1",
]


def test_all_scenarios_are_there():
    assert list(SCENARIOS) == NAMED


@pytest.mark.parametrize("name", NAMED)
def test_chunks_and_reference_have_the_features(name):
    made = scenario(name)
    assert len(made.features) == len(made.units)
    for events in (made.reference(300), made.chunk(1, events=300).events, made.chunk(99, events=300).events):
        assert events.dtype == np.float32
        assert events.ndim == 2
        assert events.shape[1] == len(made.features)
        assert len(events) > 200
        assert np.isfinite(events).all()


@pytest.mark.parametrize("name", NAMED)
def test_the_anomaly_begins_at_the_start(name):
    made = scenario(name)
    quiet = name.endswith("quiet")
    labels = [chunk.anomalous for chunk in made.chunks(40, events=20)]
    assert labels == [False] * 20 + [not quiet] * 20
    if not quiet:
        assert [c.anomalous for c in made.chunks(3, events=20, start=2)] == [False, True, True]


@pytest.mark.parametrize("name", [name for name in NAMED if not name.endswith("quiet")])
def test_ordinary_chunks_do_not_know_the_anomaly(name):
    """Start and strength change nothing before the start, and something from there on."""
    made = scenario(name)
    weak, strong = (
        list(made.chunks(3, events=2000, start=3, strength=strength)) for strength in (0.0, made.strength)
    )
    for before, after in zip(weak[:2], strong[:2], strict=True):
        np.testing.assert_array_equal(before.events, after.events)
    assert weak[2].events.shape != strong[2].events.shape or (weak[2].events != strong[2].events).any()


def test_a_chunk_is_the_same_whether_or_not_others_were_drawn():
    made = scenario("dimuon-resonance")
    streamed = {chunk.number: chunk.events for chunk in made.chunks(30, events=50)}
    np.testing.assert_array_equal(made.chunk(27, events=50).events, streamed[27])
    resumed = next(iter(made.chunks(1, first=27, events=50)))
    assert resumed.number == 27
    np.testing.assert_array_equal(resumed.events, streamed[27])


def test_chunks_seeds_scenarios_and_reference_are_independent():
    """No two of these draws share a value, as continuous draws do not."""
    made = scenario("dimuon-quiet")
    draws = [
        made.reference(200),
        made.chunk(1, events=200).events,
        made.chunk(2, events=200).events,
        made.chunk(1, events=200, seed=2).events,
        scenario("dimuon-resonance").chunk(1, events=200).events,
    ]
    for first, second in itertools.combinations(draws, 2):
        assert len(np.intersect1d(first[:, 0], second[:, 0])) <= 1


def test_ordinary_chunks_come_from_the_law_of_the_reference(ks_distance):
    """20 chunks of 1,000 against 20,000 reference events: KS distance below 0.0195 (99.9 % quantile)."""
    made = scenario("dimuon-resonance")
    stream = np.concatenate([chunk.events for chunk in made.chunks(20, events=1000)])
    reference = made.reference(20_000)
    for column in range(5):
        assert ks_distance(stream[:, column], reference[:, column]) < 0.0195


def test_counts_fluctuate_when_asked():
    """200 chunks of mean 500: variance over mean within 4 sigma (0.4) of 1; else all have 500."""
    made = scenario("expo-quiet")
    assert {len(chunk.events) for chunk in made.chunks(20, events=500)} == {500}
    counts = np.array([len(chunk.events) for chunk in made.chunks(200, events=500, fluctuate=True)])
    assert abs(counts.var(ddof=1) / 500 - 1) < 0.4
    assert abs(counts.mean() - 500) < 4 * np.sqrt(500 / 200)


def test_pile_up_grows_with_the_chunk_number():
    """Mean pt1 rises by 0.5 GeV a chunk: from the 1st to the 11th disturbed one by 5, within 4 x 0.16."""
    made = scenario("dimuon-pileup")
    means = [made.chunk(n, events=10_000, start=1, strength=0.5).events[:, 0].mean() for n in (1, 11)]
    assert abs(means[1] - means[0] - 5.0) < 4 * np.hypot(11.3, 12.6) / 100


@pytest.mark.parametrize("name", [name for name in NAMED if name.startswith("dimuon")])
def test_faulty_pairs_still_pass_the_trigger(name):
    events = scenario(name).chunk(30, events=2000).events
    assert dimuon.accepted(events).all()
    assert (events[:, 0] >= events[:, 1]).all()


def test_a_stream_without_count_never_ends():
    numbers = [chunk.number for chunk in itertools.islice(scenario("expo-13").chunks(events=5), 100)]
    assert numbers == list(range(1, 101))


def test_refusals_come_at_once():
    """Not twenty chunks later, when the first anomalous one is drawn."""
    with pytest.raises(SimulationError, match="no scenario 'nope': choose one of expo-quiet"):
        scenario("nope")
    with pytest.raises(SimulationError, match="fraction is 2"):
        scenario("dimuon-resonance").chunks(40, strength=2.0)
    with pytest.raises(SimulationError, match="start is 0"):
        scenario("expo-13").chunks(40, start=0)
    with pytest.raises(SimulationError, match="events is -5"):
        scenario("expo-13").chunks(40, events=-5)
    with pytest.raises(SimulationError, match="seed is -1"):
        scenario("expo-13").chunks(40, seed=-1)


def test_held_out_samples_share_no_event_with_reference_and_chunks():
    """An event that was learned from, or is in the data, makes a pool unfair."""
    made = scenario("expo-quiet")
    samples = [made.held_out(number, 500) for number in range(3)]
    samples += [made.reference(500), *(made.chunk(number, events=500).events for number in range(1, 4))]
    # float32 numbers may agree by chance; whole samples do not.
    assert len(np.unique(np.concatenate(samples))) > 3400
    np.testing.assert_array_equal(made.held_out(2, 500), samples[2])
    with pytest.raises(SimulationError):
        made.held_out(-1, 500)
