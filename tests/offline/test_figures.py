"""Each plot is made of what it says, in a style that stays inside; every file is a picture with something in it."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread
from tests.offline.conftest import Compare, exponential, silent

from nplmon.nplm import statistic
from nplmon.nplm.null import ChiSquareSum
from nplmon.offline.analysis import Analysis
from nplmon.offline.figures import draw
from nplmon.offline.figures.course_figure import course_figure
from nplmon.offline.figures.marginal_figure import marginal_figure
from nplmon.offline.figures.null_figure import density_of, null_figure
from nplmon.offline.figures.style import axis_name, p_words, style
from nplmon.offline.marginal import Marginal
from nplmon.offline.verdict import Verdict, judge

NULL = ChiSquareSum(np.ones(1), np.full(1, 10.0))


def verdict(value: float, toys: np.ndarray | None = None) -> Verdict:
    return judge("t_full", value, statistic.TestStatistic(value=value, null=NULL, chunks=1), toys)


def labels(figure: object) -> list[str]:
    return [
        text.get_text()
        for axes in figure.axes
        if (legend := axes.get_legend())
        for text in legend.get_texts()
    ]  # type: ignore[attr-defined]


def test_all_plots_are_drawn_and_none_is_empty(null: Analysis, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    written = draw(null, tmp_path, silent)
    assert sorted(path.name for path in written) == [
        f"{name}{suffix}" for name in ("chunks", "marginal-1-x", "statistic") for suffix in (".pdf", ".png")
    ]
    assert dict(mpl.rcParams) == before
    for path in written:
        assert path.stat().st_size > 5_000
        if path.suffix == ".png":
            pixels = imread(path)[..., :3]
            assert pixels.shape[0] > 700
            # Neither blank nor black: some ink in each quarter of the height.
            assert all((part.min(axis=2) < 0.5).any() for part in np.array_split(pixels, 4))
            assert (pixels > 0.99).mean() > 0.4
        else:
            assert path.read_bytes().startswith(b"%PDF-")


def test_the_same_analysis_gives_the_same_files(null: Analysis, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    for first, second in zip(
        draw(null, tmp_path, silent), draw(null, tmp_path / "again", silent), strict=True
    ):
        assert first.read_bytes() == second.read_bytes(), first.name


def test_a_marginal_shows_data_reference_and_what_was_learned(anomaly: Analysis) -> None:
    (one,) = anomaly.marginals
    with style():
        figure = marginal_figure(one)
    assert labels(figure) == [
        f"data, {len(anomaly.data.events):,} events",
        "reference",
        "reference × learned ratio",
    ]
    upper, lower = figure.axes
    assert lower.get_xlabel() == "x [mm]"
    assert upper.get_ylabel().endswith(" mm")
    assert upper.get_yscale() == "log"
    stairs = [patch.get_data().values for patch in upper.patches]
    assert any(np.array_equal(values, one.learned) for values in stairs)
    assert any(np.array_equal(values, one.reference) for values in stairs)
    ratio = [patch.get_data().values for patch in lower.patches]
    there = one.reference > 0
    assert any(
        np.allclose(values[there], (one.learned / one.reference)[there])
        for values in ratio
        if len(values) == len(there)
    )


def test_an_excess_out_of_the_frame_is_marked_at_its_edge() -> None:
    reference = np.full(10, 100.0)
    data = reference.copy()
    data[3] = 3_000.0
    one = Marginal(
        name="x",
        unit="",
        edges=np.arange(11.0),
        data=data,
        reference=reference,
        reference_error=np.sqrt(reference),
        learned=reference,
        shift=0.0,
        shift_error=0.1,
    )
    figure = marginal_figure(one)
    upper, lower = figure.axes
    assert upper.get_yscale() == "linear"
    assert upper.get_ylim()[1] > 3_000
    top = lower.get_ylim()[1]
    assert top == 5.0
    marks = [line for line in lower.lines if line.get_marker() == "^"]
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in marks] == [([3.5], [5.0])]


def test_the_density_of_the_closed_form_is_that_of_a_chi_square() -> None:
    closed = verdict(20.0).closed_form
    assert closed is not None
    t, density = density_of(closed, 0.0, 60.0)
    exact = t**4 * np.exp(-t / 2) / (2**5 * 24)
    # A difference over a bin of 0.25 is a mean, not a value: right to a few 1e-4 of the peak, 0.1.
    assert np.allclose(density, exact, atol=5e-5)


def test_the_observed_value_is_a_line_or_an_arrow_at_the_edge() -> None:
    near, far = null_figure(verdict(20.0)), null_figure(verdict(500.0))
    line = [one for one in near.axes[0].lines if list(one.get_xdata()) == [20.0, 20.0]]
    assert len(line) == 1
    assert near.axes[0].get_xlim()[1] < 60
    assert far.axes[0].get_xlim()[1] < 60
    assert len(far.axes[0].texts) == 1  # the arrow
    assert not near.axes[0].texts
    assert any("observed 500.0" in label and "closed form" in label for label in labels(far))


def test_the_legend_says_where_p_is_from() -> None:
    toys = np.random.default_rng(0).chisquare(10, size=199)
    both = labels(null_figure(verdict(20.0, toys)))
    assert any(label.startswith("199 toys, ") for label in both)
    assert any(label.startswith("closed form, 10.0") for label in both)
    assert any("(toys)" in label and "$p = " in label for label in both)
    bound = labels(null_figure(judge("t_agg", 90.0, None, toys)))
    assert any(r"p \leq" in label for label in bound)
    none = labels(null_figure(judge("t_agg", 90.0, None, reason="too small")))
    assert any("uncalibrated: no $p$" in label for label in none)


def test_chunks_stand_in_the_bands_of_their_null(null: Analysis) -> None:
    figure = course_figure(null.chunk_verdicts, null.course)
    upper, lower = figure.axes
    bands = [patch.get_data() for patch in upper.patches]
    closed = null.chunk_verdicts[0].closed_form
    assert closed is not None
    assert bands[0].values[0] == pytest.approx(closed.statistic.threshold(0.0227501), rel=1e-4)
    assert bands[1].baseline[0] == pytest.approx(closed.statistic.threshold(0.8413447), rel=1e-4)
    (line,) = [one for one in lower.lines if one.get_marker() == "s"]
    assert list(line.get_ydata()) == [one.z for one in null.course]
    alone = course_figure(null.chunk_verdicts, [])
    assert len(alone.axes) == 1


def test_chunks_without_a_null_are_drawn_without_bands(compare: Compare) -> None:
    found = compare(exponential(2, 100), size=5, analysis="aggregation")
    figure = course_figure(found.chunk_verdicts, found.course)
    assert not figure.axes[0].patches
    assert len(figure.axes) == 1


def test_numbers_and_names_on_axes() -> None:
    assert axis_name("m$1", "GeV") == r"m\$1 [GeV]"
    assert p_words(0.5) == "0.5"
    assert p_words(2e-17) == r"2.0 \times 10^{-17}"
