"""The e-processes in a table: a line for each form, and nothing that looks like a number where there is none."""

from __future__ import annotations

from rich.console import Console

from nplmon.cli.display import statistics_table
from nplmon.cli.evidence import evidence_table
from nplmon.client import Snapshot, Statistic


def a_snapshot(**statistics: Statistic) -> Snapshot:
    return Snapshot(
        monitor="m",
        run="r",
        run_epoch=1,
        monitor_epoch=1,
        reference_hash="h",
        sequence=3,
        chunks=3,
        dead=0,
        events=30,
        expected=30.0,
        exposure_ratio=0.1,
        statistics=statistics,
        updated_at=1.0,
        last_accepted_at=1.0,
    )


def exact(kind: str, value: float, **members: object) -> Statistic:
    return Statistic(kind=kind, value=value, state="exact", sequence=3, threshold=4.605, **members)  # type: ignore[arg-type]


def silent(kind: str, state: str, note: str) -> Statistic:
    return Statistic(kind=kind, value=None, state=state, sequence=3, note=note)


def printed(table: object) -> list[str]:
    console = Console(width=300, record=True, file=None)
    with console.capture() as captured:
        console.print(table)
    return captured.get().splitlines()


def test_each_form_has_one_line_with_its_state() -> None:
    table = evidence_table(
        a_snapshot(
            t_score=Statistic(kind="t_score", value=1.0, state="closed form", sequence=3),
            log_e=exact("log_e", 5.25, p=0.003),
            log_sr=exact("log_sr", 2.5),
            log_cusum=exact("log_cusum", 1.75),
            log_e_poisson=silent("log_e_poisson", "invalid", "past [the] budget"),
            log_sr_poisson=silent("log_sr_poisson", "invalid", "past [the] budget"),
            log_cusum_poisson=silent("log_cusum_poisson", "invalid", "past [the] budget"),
        )
    )
    header, first, second = printed(table)
    assert header.split("  ")[0].strip() == "e-process"
    assert " ".join(first.split()) == "two-sample, exact 5.25 4.61 0.003 2.5 1.75 4.61 exact"
    # Brackets are no markup here.
    assert " ".join(second.split()) == "Poisson, approximate - - - - - - invalid: past [the] budget"


def test_without_e_processes_there_is_no_table_and_with_them_the_other_has_none_of_theirs() -> None:
    assert evidence_table(a_snapshot()) is None
    shown = printed(statistics_table(a_snapshot(log_e=exact("log_e", 5.25))))
    assert "log_e" not in "".join(shown)
