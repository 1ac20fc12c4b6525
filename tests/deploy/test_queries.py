"""Every query of a rule parses and names only what is exported; and the judge of queries does find faults."""

from __future__ import annotations

import pytest
from tests.deploy.queries import complaints, exported, known, rules

SERIES = known()


def test_every_rule_asks_for_what_is_there() -> None:
    assert {rule.name: said for rule in rules() if (said := complaints(rule.expr, SERIES))} == {}


def test_no_name_is_recorded_twice() -> None:
    names = [rule.name for rule in rules() if rule.recording]
    assert len(names) == len(set(names))
    assert not set(names) & set(exported())


@pytest.mark.parametrize(
    "query",
    [
        'max by (monitor, kind) (nplmon_test_statistic{monitor=~"$monitor"})',
        "histogram_quantile(0.9, sum by (le) (rate(nplmon_fit_duration_seconds_bucket[$__rate_interval])))",
        'time() - max by (monitor) (nplmon_last_update_timestamp_seconds{monitor=~"${monitor:regex}"}) > 600',
        'sum by (job) (up{job="nplmon-api"}) == 0 or absent(up{job="nplmon-api"})',
        'sum by (which) (label_replace(nplmon_run_chunks, "which", "$1", "monitor", "(.*)"))',
        'sum(rate(nplmon_chunks_processed_total{outcome="failed"}[5m])) > 0',
    ],
)
def test_a_right_query_has_no_complaint(query: str) -> None:
    assert complaints(query, SERIES) == []


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("max by (monitor (nplmon_test_statistic)", "does not parse"),
        ("nplmon_run_chunks{monitor=~$monitor}", "does not parse"),
        ("nplmon_run_chunk", "nobody exports nplmon_run_chunk"),
        ("nplmon_fit_duration_seconds", "nobody exports nplmon_fit_duration_seconds"),
        ('{__name__="nplmon_run_chunks"}', "nobody exports None"),
        ('nplmon_run_chunks{kind="t_agg"}', "nplmon_run_chunks has no label kind"),
        ('nplmon_p_value{kind="t_aggregate"}', "nplmon_p_value never has kind 't_aggregate'"),
        ("max by (kind) (nplmon_run_chunks)", "no metric in it has the label kind"),
        ("nplmon_run_chunks * on (run) nplmon_run_events", "no metric in it has the label run"),
        ("vector(1)", "names no metric"),
    ],
)
def test_a_wrong_query_is_found(query: str, complaint: str) -> None:
    assert any(said.startswith(complaint) for said in complaints(query, SERIES)), complaints(query, SERIES)
