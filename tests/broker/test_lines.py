"""Lines of a history read in part agree with the whole entries."""

import msgspec
import pytest

from nplmon.broker.lines import Line, LineStatistic, Mark, marks, read_line
from nplmon.broker.messages import HistoryEntry, Statistic

SCORE = Statistic(
    kind="t_score",
    value=1.5,
    state="calibrated",
    p=0.2,
    z=0.8,
    null_mean=1.0,
    null_deviation=0.5,
    threshold=4.0,
    warning_threshold=3.0,
    width=0.7,
    sequence=2,
)
CHUNK = Statistic(kind="t_chunk", value=9.0, state="closed form", p=0.1, sequence=2)
APPLIED = HistoryEntry(
    sequence=2,
    chunk="c2",
    state="applied",
    events=30,
    exposure=1.5,
    accepted_at=5.0,
    applied_at=6.0,
    fit_seconds=0.2,
    trainer="t1",
    statistics={"t_agg": CHUNK, "t_chunk": CHUNK, "t_score": SCORE},
    alarm="warning",
)
DEAD = msgspec.structs.replace(
    APPLIED, sequence=3, state="dead", statistics={}, fit_seconds=None, trainer=None
)


def stored(entry: HistoryEntry) -> bytes:
    return msgspec.json.encode(entry)


def told(statistic: Statistic) -> LineStatistic:
    names = LineStatistic.__struct_fields__
    return LineStatistic(**{name: getattr(statistic, name) for name in names if hasattr(statistic, name)})


@pytest.mark.parametrize(("kind", "wanted"), [("t_score", told(SCORE)), ("t_chunk", told(CHUNK))])
def test_a_line_is_that_of_the_entry(kind: str, wanted: LineStatistic) -> None:
    line = read_line(stored(APPLIED), kind)
    assert (line.wanted, line.t_chunk) == (wanted, told(CHUNK))
    for name in Line.__struct_fields__:
        if name not in {"wanted", "t_chunk"}:
            assert getattr(line, name) == getattr(APPLIED, name)


def test_what_a_line_lacks_has_no_numbers() -> None:
    assert read_line(stored(DEAD), "t_score").wanted == LineStatistic()
    assert read_line(stored(APPLIED), "log_e").wanted == LineStatistic()


def test_marks() -> None:
    lines = [stored(APPLIED), stored(DEAD)]
    assert marks(lines, "t_score") == [Mark(1.5, 4.0, "warning"), Mark(None, None, "warning", dead=True)]
    assert marks(lines, "log_e")[0] == Mark(None, None, "warning")
