"""Reading samples: which columns, their names, units and weights, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from tests.offline.conftest import exponential, sample

from nplmon.client import FileError
from nplmon.offline.sample import read_sample


def write(path: Path, **columns: object) -> str:
    np.savez(path, **{name: np.asarray(values) for name, values in columns.items()})
    return str(path)


def test_files_are_joined_and_told_apart(tmp_path: Path) -> None:
    first = write(tmp_path / "a.npz", pt=np.arange(3.0), eta=np.zeros(3))
    second = write(tmp_path / "b.npz", eta=np.ones(2), pt=np.arange(2.0))
    read = read_sample([first, second])
    assert (read.features, read.units) == (("pt", "eta"), ("", ""))
    assert read.events.tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1]]
    assert [part.tolist() for part in read.parts()] == [[[0, 0], [1, 0], [2, 0]], [[0, 1], [1, 1]]]
    assert [(one.file, one.events) for one in read.sources] == [(first, 3), (second, 2)]
    assert read.sources[0].sha256 == hashlib.sha256(Path(first).read_bytes()).hexdigest()


def test_features_are_chosen_and_ordered(tmp_path: Path) -> None:
    file = write(tmp_path / "a.npz", pt=np.arange(3.0), eta=np.zeros(3), phi=np.ones(3))
    assert read_sample([file], ["phi", "pt"]).events.tolist() == [[1, 0], [1, 1], [1, 2]]
    with pytest.raises(FileError, match="a name comes twice"):
        read_sample([file], ["pt", "pt"])
    with pytest.raises(FileError, match="has no column 'mass'"):
        read_sample([file], ["mass"])


def test_weights_are_no_feature(tmp_path: Path) -> None:
    file = write(tmp_path / "a.npz", w=np.array([0.5, 2.0]), pt=np.arange(2.0))
    read = read_sample([file], weights="w")
    assert (read.features, read.events.tolist()) == (("pt",), [[0], [1]])
    assert read.weights is not None
    assert read.weights.tolist() == [0.5, 2.0]
    bare = tmp_path / "a.npy"
    np.save(bare, np.array([[0.5, 7.0], [2.0, 8.0]]))
    named = read_sample([str(bare)], ["w", "pt"], weights="w")
    assert (named.features, named.events.tolist()) == (("pt",), [[7], [8]])
    with pytest.raises(FileError, match="name them with --features, the weights among them"):
        read_sample([str(bare)], weights="w")
    with pytest.raises(FileError, match="no column is left beside the weights"):
        read_sample([file], ["w"], weights="w")


def test_columns_without_names_are_numbered(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 2)))
    np.save(tmp_path / "b.npy", np.zeros((4, 3)))
    assert read_sample([str(tmp_path / "a.npy")]).features == ("x1", "x2")
    with pytest.raises(FileError, match="has 3 columns, the files before it 2"):
        read_sample([str(tmp_path / "a.npy"), str(tmp_path / "b.npy")])


def test_units_are_those_of_the_file_or_given(tmp_path: Path) -> None:
    file = write(tmp_path / "a.npz", events=np.zeros((2, 2)), features=["pt", "eta"], units=["GeV", ""])
    assert read_sample([file]).units == ("GeV", "")
    assert read_sample([file], ["eta", "pt"]).units == ("", "GeV")
    assert read_sample([file], units=["MeV", "1"]).units == ("MeV", "1")
    with pytest.raises(FileError, match="--units names 1 for 2 features: pt, eta"):
        read_sample([file], units=["GeV"])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named(bad: float, tmp_path: Path) -> None:
    file = write(tmp_path / "a.npz", pt=np.array([1.0, bad, bad]), eta=np.array([bad, 0.0, 0.0]))
    with pytest.raises(FileError, match=r"event 0 \(counted from 0\) has eta = .*3 of 3 events"):
        read_sample([file])


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, 2)))
    with pytest.raises(FileError, match="holds no events"):
        read_sample([str(tmp_path / "a.npy")])


def test_shared_events_are_counted_unless_features_are_discrete() -> None:
    events = exponential(0, 1_000)
    whole, part, other = sample(events), sample(events[::4], exponential(1, 750)), sample(exponential(2, 500))
    assert part.shared_with(whole) == 0.25
    assert other.shared_with(whole) == 0.0
    discrete = sample(np.arange(100.0)[:, None] % 7)
    assert discrete.shared_with(discrete) == 0.0
