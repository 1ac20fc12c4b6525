"""The e-processes of a run, its pool and its exposure budget in words and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nplmon.cli.output import number

if TYPE_CHECKING:
    from rich.table import Table

    from nplmon.client import Snapshot

FORMS = (("two-sample, exact", ""), ("Poisson, approximate", "_poisson"))


def is_evidence(kind: str) -> bool:
    """Whether a kind belongs to an e-process, and not in the table of test statistics.

    Examples
    --------
    >>> is_evidence("log_sr_poisson"), is_evidence("t_score")
    (True, False)
    """
    return kind.startswith("log_")


def evidence_table(snapshot: Snapshot) -> Table | None:
    """Tabulate log E and the e-detectors, a line for each form; None where there are none."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("e-process", "log E", "line", "p, any time", "log e-SR", "log e-CUSUM", "line", "state"):
        table.add_column(name)
    for form, ending in FORMS:
        e, sr, cusum = (snapshot.statistics.get(kind + ending) for kind in ("log_e", "log_sr", "log_cusum"))
        if e is None:
            continue
        lines = [one.threshold for one in (sr, cusum) if one is not None and one.threshold is not None]
        crossed = any(
            one.value is not None and one.threshold is not None and one.value >= one.threshold
            for one in (e, sr, cusum)
            if one is not None
        )
        table.add_row(
            form,
            number(e.value),
            number(e.threshold, 3),
            number(e.p, 3),
            number(None if sr is None else sr.value),
            number(None if cusum is None else cusum.value),
            number(next(iter(lines), None), 3),
            Text(f"{e.state}: {e.note}" if e.note else e.state),
            style="bold red" if crossed else None,
        )
    return table if table.row_count else None


def exposure_words(snapshot: Snapshot) -> str:
    """Say how much of the exposure budget is used.

    Examples
    --------
    >>> from types import SimpleNamespace as Any
    >>> exposure_words(Any(exposure_ratio=0.123, exposure_budget=0.5))
    "0.123 of the reference's, the budget is 0.5"
    >>> exposure_words(Any(exposure_ratio=0.7, exposure_budget=0.5))
    "0.7 of the reference's: OVER the budget of 0.5, use a larger reference"
    """
    said = f"{snapshot.exposure_ratio:.3g} of the reference's"
    if snapshot.exposure_ratio > snapshot.exposure_budget:
        return f"{said}: OVER the budget of {snapshot.exposure_budget:g}, use a larger reference"
    return f"{said}, the budget is {snapshot.exposure_budget:g}"


def pool_words(snapshot: Snapshot) -> str:
    """Say what is left of the pool.

    Examples
    --------
    >>> from types import SimpleNamespace as Any
    >>> pool_words(Any(pool_left=None, pool_used=0, untested=80))
    'none: the exact e-process stands still'
    >>> pool_words(Any(pool_left=1500, pool_used=400, untested=0))
    '1,500 events left, 400 used by this run'
    >>> pool_words(Any(pool_left=0, pool_used=400, untested=30))
    '0 events left, 400 used by this run; 30 events of the run were not tested'
    """
    if snapshot.pool_left is None:
        return "none: the exact e-process stands still"
    said = f"{snapshot.pool_left:,} events left, {snapshot.pool_used:,} used by this run"
    return f"{said}; {snapshot.untested:,} events of the run were not tested" if snapshot.untested else said
