"""The shifter's view: is everything in order, since when not, and what to do."""

from __future__ import annotations

from deploy.grafana.board import Board, Section
from deploy.grafana.panel import course, history, link, note, number, runbooks, words
from deploy.grafana.query import ONE, Query, age, deciding, latest
from deploy.grafana.state import STATES, state
from deploy.grafana.state import age as since_update

LEVELS = ((0, "ok", "green"), (1, "WARNING", "yellow"), (2, "ALARM", "red"))
NO_YES = ((0, "no", "green"), (1, "YES", "purple"))
MONITOR = "${nplmon}/monitors/${__field.labels.monitor}"

WHAT_TO_DO = """\
| state | what to do |
|---|---|
| **ALARM** | Open the monitor: [which feature, since when, whom to call](${nplmon}/monitors/${monitor}/alarm). \
Acknowledge it there with your name. [Runbook](${nplmon}/runbooks/NplmonAnomaly) |
| **STALE** | The numbers are of the past: nothing was applied for too long. \
[Runbook](${nplmon}/runbooks/NplmonStatisticStale) |
| **WARNING** | Watch it; note it in the log. [Runbook](${nplmon}/runbooks/NplmonAnomalyWarning) |
| acknowledged | Somebody has seen it; the alarm stays until the run is reset or another one begins. |
| uncalibrated | No threshold: nothing can raise an alarm. [Runbook](${nplmon}/runbooks/NplmonUncalibrated) |
| ok, waiting, closed | Nothing. Waiting: a run is open, no chunk has come yet. |
| no data | No aggregator is scraped, or none holds the monitor. \
[Runbook](${nplmon}/runbooks/NplmonAggregatorDown), [runbook](${nplmon}/runbooks/NplmonMonitorUnattended) |

Links to another monitor: click on its state.
"""

MEANING = tuple((one.code, one.words, one.colour) for one in reversed(STATES))
RATIO = f"({deciding('nplmon_test_statistic')}) / on (monitor, kind) ({deciding('nplmon_alarm_threshold')})"

EVERY_MONITOR = Section(
    "Every monitor",
    [
        words(
            "State",
            "The most urgent of what holds for each monitor. Click to open it on nplmon's own page.",
            Query(state(), "{{monitor}}"),
            meaning=MEANING,
            size=(24, 5),
        ).data_links([link("Open ${__field.labels.monitor}", MONITOR)]),
        history(
            "State over time",
            "When each monitor was in which state. A gap: no aggregator was scraped.",
            Query(state(), "{{monitor}}"),
            meaning=MEANING,
            size=(14, 10),
        ).data_links([link("Open ${__field.labels.monitor}", MONITOR)]),
        note("What to do", "For each state.", WHAT_TO_DO, size=(10, 10)),
    ],
)

THIS_MONITOR = Section(
    "$monitor",
    [
        words(
            "State of $monitor",
            "The most urgent of what holds.",
            Query(state(ONE), "{{monitor}}"),
            meaning=MEANING,
            size=(6, 4),
        ).links([link("Alarm handling", "${nplmon}/monitors/${monitor}/alarm")]),
        number(
            "Statistic / alarm threshold",
            "The statistic that decides, as a share of the value at which an alarm is due now. At 100 % it fires.",
            "percentunit",
            Query(RATIO, "{{kind}}"),
            size=(6, 4),
            steps=((0, "green"), (1, "red")),
            decimals=0,
        ),
        number(
            "Significance Z now",
            "One-sided Gaussian significance of the statistic that decides. It allows for no other look at the "
            "data: whether an alarm is due is told by the threshold alone.",
            "suffix: σ",
            Query(deciding("nplmon_significance"), "{{kind}}"),
            size=(4, 4),
            decimals=1,
        ),
        number(
            "Since the last chunk",
            "Time since the statistic last changed, or since the run was opened.",
            "s",
            Query(since_update(ONE), "{{monitor}}"),
            size=(4, 4),
            decimals=0,
        ).links(runbooks("NplmonStatisticStale")),
        number(
            "... as a share of stale",
            "The same over the time after which this monitor counts as stale. At 100 % its numbers are of the "
            "past.",
            "percentunit",
            Query(
                f"({since_update(ONE)}) / on (monitor) {latest('nplmon_stale_after_seconds')}",
                "{{monitor}}",
            ),
            size=(4, 4),
            steps=((0, "green"), (0.5, "yellow"), (1, "red")),
            decimals=0,
        ),
        course(
            "Statistic against its thresholds",
            "The statistic that decides on the alarm, with the values at which a warning and an alarm are due at "
            "this number of chunks. Without an anomaly it reaches the alarm threshold once in the expected run "
            "length.",
            "short",
            Query(deciding("nplmon_test_statistic"), "{{kind}}"),
            Query(deciding("nplmon_alarm_threshold"), "alarm threshold"),
            Query(deciding("nplmon_warning_threshold"), "warning threshold"),
            size=(16, 10),
        ).links([*runbooks("NplmonAnomaly"), link("On nplmon's page", "${nplmon}/monitors/${monitor}")]),
        course(
            "Significance Z",
            "Of the shape by the statistic that decides, and of the number of events where the monitor tests the "
            "rate apart (positive: too many).",
            "suffix: σ",
            Query(deciding("nplmon_significance"), "shape: {{kind}}"),
            Query(latest("nplmon_rate_significance"), "rate"),
            size=(8, 10),
        ),
        words(
            "Latched alarm",
            "The highest level that the run has reached, by its shape or its rate. It stays also when somebody has "
            "acknowledged it, and when the run is stale or closed.",
            Query(latest("nplmon_alarm_level"), "alarm"),
            meaning=LEVELS,
        ).links([link("Alarm handling", "${nplmon}/monitors/${monitor}/alarm")]),
        words(
            "Alarm of the rate",
            "Whether the number of events raised a warning or an alarm; no data where the rate is not tested.",
            Query(latest("nplmon_rate_alarm_level"), "rate"),
            meaning=LEVELS,
        ).links(runbooks("NplmonRateAnomaly")),
        words(
            "Test alarm",
            "Whether somebody is trying the alarm out: then it is no news of the detector.",
            Query(latest("nplmon_test_alarm"), "test"),
            meaning=NO_YES,
        ).links(runbooks("NplmonTestAlarm")),
        number(
            "Chunks in the run",
            "Chunks in the live run's statistic.",
            "short",
            Query(latest("nplmon_run_chunks"), "chunks"),
            size=(3, 4),
            decimals=0,
        ),
        number(
            "Events in the run",
            "Events in the live run's statistic.",
            "short",
            Query(latest("nplmon_run_events"), "events"),
            size=(3, 4),
        ),
        number(
            "Run opened",
            "How long ago the live run was opened.",
            "s",
            Query(age("nplmon_run_opened_timestamp_seconds"), "{{monitor}}"),
            size=(3, 4),
            decimals=0,
        ),
        number(
            "Not in the statistic yet",
            "Chunks that were accepted but are not in the statistic: they wait, are fitted, or are about to be "
            "applied.",
            "suffix: chunks",
            Query(latest("nplmon_unapplied_chunks"), "chunks"),
            size=(3, 4),
            decimals=0,
        ).links(runbooks("NplmonBacklogOld")),
    ],
)

BOARD = Board(
    name="shifter",
    description="Is every monitor in order, since when not, and what to do.",
    sections=(EVERY_MONITOR, THIS_MONITOR),
    monitors="one",
    start="now-6h",
)
