"""Cutting data: by size across files, or by file."""

from __future__ import annotations

import numpy as np
import pytest
from tests.offline.conftest import sample

from nplmon.offline.chunk import cut, union
from nplmon.offline.errors import AnalysisError

DATA = sample(np.arange(5.0)[:, None], np.arange(5.0, 8.0)[:, None])


def test_each_file_is_a_chunk() -> None:
    chunks = cut(DATA, None)
    assert [(one.file, one.first, one.expected) for one in chunks] == [
        ("part0.npy", 0, 5.0),
        ("part1.npy", 0, 3.0),
    ]
    assert [one.expected for one in cut(DATA, None, [4.5, 3.5])] == [4.5, 3.5]


def test_chunks_of_a_size_go_on_into_the_next_file() -> None:
    chunks = cut(DATA, 3)
    assert [one.events[:, 0].tolist() for one in chunks] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert [(one.file, one.first) for one in chunks] == [
        ("part0.npy", 0),
        ("part0.npy", 3),
        ("part1.npy", 1),
    ]
    assert len(cut(DATA, 3, rest=False)) == 2
    whole = union(chunks)
    assert (whole.events[:, 0].tolist(), whole.expected, whole.file) == (list(range(8)), 8.0, "part0.npy")


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(AnalysisError, match="8 events are less than one chunk of 9"):
        cut(DATA, 9, rest=False)
    with pytest.raises(AnalysisError, match="1 expected counts for 2 files"):
        cut(DATA, None, [5.0])
    with pytest.raises(AnalysisError, match="one file per chunk"):
        cut(DATA, 4, [5.0, 3.0])
