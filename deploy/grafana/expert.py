"""The expert's view of one monitor: every statistic with its null, evidence, rate, reference and calibration."""

from __future__ import annotations

from deploy.grafana.board import Board, Section, label_values
from deploy.grafana.panel import SOURCE, course, history, number, runbooks
from deploy.grafana.query import ONE, Query, deciding, growth, latest, of_kind
from deploy.grafana.state import STATES, state
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.common import BigValueTextMode

TESTS = "t_.+"
EVIDENCE = "log_.+"
FLAG = ((0, "no", "green"), (1, "YES", "orange"))
MEANING = tuple((one.code, one.words, one.colour) for one in reversed(STATES))
STATE_OF_TOYS = f"{latest('nplmon_calibration_state', ONE, by='monitor, state')} == 1"
KIND = f'{ONE}, kind="$kind"'


def _band(mean: str, deviation: str) -> list[Query]:
    return [
        Query(f"{mean} + on (monitor) {deviation}", "mean + sd"),
        Query(mean, "mean"),
        Query(f"{mean} - on (monitor) {deviation}", "mean - sd"),
    ]


STATISTICS = Section(
    "Statistics of $monitor",
    [
        history(
            "State",
            "The most urgent of what holds, as the shifter sees it.",
            Query(state(ONE), "{{monitor}}"),
            meaning=MEANING,
            size=(24, 3),
        ),
        course(
            "$kind against its null",
            "The kind chosen above, with mean and standard deviation of its null and the values at which it "
            "would raise a warning and an alarm. The null of t is a sum of chi-squares: one standard deviation "
            "says little about its tail, p does.",
            "short",
            Query(latest("nplmon_test_statistic", KIND), "$kind"),
            *_band(latest("nplmon_null_mean", KIND), latest("nplmon_null_deviation", KIND)),
            Query(latest("nplmon_alarm_threshold", KIND), "alarm threshold"),
            Query(latest("nplmon_warning_threshold", KIND), "warning threshold"),
            size=(14, 10),
        ),
        course(
            "All test statistics",
            "2 log likelihood ratio of the run after each chunk; t_chunk that of the last chunk alone.",
            "short",
            Query(of_kind("nplmon_test_statistic", TESTS), "{{kind}}"),
            size=(10, 10),
        ),
        course(
            "p",
            "p-value of each statistic under its null, the choice of the kernel width included; below what "
            "its calibration can tell (dashed) it is an upper bound.",
            "sci",
            Query(of_kind("nplmon_p_value"), "{{kind}}"),
            Query(of_kind("nplmon_p_value_resolution"), "{{kind}} resolution"),
            size=(12, 9),
            log=True,
        ),
        course(
            "Significance Z",
            "One-sided Gaussian significance of each p.",
            "suffix: σ",
            Query(of_kind("nplmon_significance"), "{{kind}}"),
            size=(12, 9),
        ),
        course(
            "Statistic / alarm threshold",
            "Each statistic as a share of its own threshold: at 100 % it would raise an alarm. The one that "
            "decides does.",
            "percentunit",
            Query(
                f"{of_kind('nplmon_test_statistic')} / on (monitor, kind) {of_kind('nplmon_alarm_threshold')}",
                "{{kind}}",
            ),
            Query(
                f"0 * {latest('nplmon_run_open')} + 1",
                "alarm threshold",
            ),
            size=(10, 8),
        ).links(runbooks("NplmonAnomaly")),
        course(
            "Winning width",
            "Sigma of the kernel width with the smallest p, in standard deviations of the reference: narrow for "
            "a peak, wide for a slope.",
            "suffix: sd",
            Query(of_kind("nplmon_winning_width"), "{{kind}}"),
            size=(6, 8),
        ),
        number(
            "Decides",
            "The statistic that decides on the alarm now, with its value.",
            "short",
            Query(deciding("nplmon_test_statistic"), "{{kind}}"),
            size=(4, 8),
            show=BigValueTextMode.VALUE_AND_NAME,
            decimals=1,
        ),
        number(
            "Overflow",
            "Whether the averaged density ratio overflows: 1 when it does, then t_ref decides.",
            "short",
            Query(latest("nplmon_density_ratio_overflow"), "{{monitor}}"),
            size=(4, 8),
            steps=((0, "green"), (1, "orange")),
            decimals=0,
        ),
    ],
)

EVIDENCE_AND_POOL = Section(
    "Evidence that may be looked at after every chunk",
    [
        course(
            "E-processes and e-detectors",
            "Logarithm of the e-process and of the Shiryaev-Roberts and CUSUM e-detectors: exact with events of "
            "the pool, `_poisson` with the reference in place of H0.",
            "short",
            Query(of_kind("nplmon_test_statistic", EVIDENCE), "{{kind}}"),
            size=(12, 9),
        ),
        course(
            "... / alarm threshold",
            "As a share of the line that each must cross: log(1 / alpha) for log E, the logarithm of the run "
            "length for the detectors.",
            "percentunit",
            Query(
                f"{of_kind('nplmon_test_statistic', EVIDENCE)} / on (monitor, kind) "
                f"{of_kind('nplmon_alarm_threshold', EVIDENCE)}",
                "{{kind}}",
            ),
            Query(f"0 * {latest('nplmon_run_open')} + 1", "alarm threshold"),
            size=(12, 9),
        ),
        number(
            "Pool left",
            "Events of the pool that this monitor has not used. Without any the exact e-process stops.",
            "short",
            Query(latest("nplmon_pool_events"), "events"),
            size=(4, 7),
            steps=((0, "red"), (1, "green")),
        ).links(runbooks("NplmonPoolLow")),
        course(
            "Pool used up",
            "Events of the pool that are used in a second.",
            "suffix: events/s",
            Query(growth("nplmon_pool_consumed_events_total", ONE), "events"),
            size=(8, 7),
        ),
        history(
            "Exact e-process stopped",
            "Whether there is no pool to go on with.",
            Query(latest("nplmon_e_process_stopped"), "{{monitor}}"),
            meaning=FLAG,
            size=(8, 7),
        ),
        number(
            "Left out of the test",
            "Events of the live run that the exact e-process left out because the pool was empty.",
            "short",
            Query(latest("nplmon_pool_untested_events"), "events"),
            size=(4, 7),
            steps=((0, "green"), (1, "orange")),
        ),
    ],
)

SIZE_AND_RATE = Section(
    "How large, and how many",
    [
        course(
            "Effect size",
            "Mean of |averaged density ratio - 1| over the reference: how large the difference is, however "
            "significant. The band is what noise alone makes of it.",
            "percentunit",
            Query(latest("nplmon_effect_size_ratio"), "effect size"),
            *_band(
                latest("nplmon_effect_size_null_mean_ratio"),
                latest("nplmon_effect_size_null_deviation_ratio"),
            ),
            size=(12, 8),
        ),
        course(
            "Tolerated",
            "Share of the templates in the mixture that explains the data best; no data where no template is "
            "tolerated.",
            "percentunit",
            Query(latest("nplmon_tolerated_fraction"), "share of the templates"),
            size=(6, 8),
        ),
        history(
            "Alarm withheld",
            "Whether the floor on the effect size withholds an alarm; no data where there is no floor.",
            Query(latest("nplmon_alarm_withheld"), "{{monitor}}"),
            meaning=FLAG,
            size=(6, 8),
        ),
        course(
            "Events of the run",
            "Events in the test of the rate, and what the exposure lets expect; no data where the rate is not "
            "tested apart.",
            "short",
            Query(latest("nplmon_rate_observed_events"), "observed"),
            Query(latest("nplmon_rate_expected_events"), "expected"),
            size=(8, 8),
        ),
        course(
            "p of the rate, and of both",
            "Two-sided p-value of the number of events with the value at which its alarm fires, and the p-value "
            "of shape and rate together.",
            "sci",
            Query(latest("nplmon_rate_p_value"), "rate"),
            Query(latest("nplmon_rate_alarm_p_value"), "alarm threshold of the rate"),
            Query(latest("nplmon_combined_p_value"), "shape and rate"),
            size=(10, 8),
            log=True,
        ).links(runbooks("NplmonRateAnomaly")),
        history(
            "Rate unknown",
            "Whether the rate cannot be tested, such as after a chunk without an exposure.",
            Query(latest("nplmon_rate_unknown"), "{{monitor}}"),
            meaning=FLAG,
            size=(6, 8),
        ),
    ],
)

REFERENCE = Section(
    "Reference and calibration",
    [
        course(
            "Exposure",
            "Expected events of the run over the effective size of the reference: how far the reference is used "
            "up.",
            "percentunit",
            Query(latest("nplmon_reference_exposure_ratio"), "exposure"),
            size=(8, 8),
        ),
        course(
            "Exposure / its budget",
            "Past 100 % the closed form no longer holds: take a larger reference or calibrate by toys.",
            "percentunit",
            Query(latest("nplmon_reference_exposure_budget_ratio"), "exposure"),
            Query(f"0 * {latest('nplmon_run_open')} + 1", "budget"),
            size=(8, 8),
        ).links(runbooks("NplmonReferenceExposure")),
        history(
            "Calibration by toys",
            "State of the calibration that was asked for, and whether toys judge the live run; no data where "
            "nobody asked.",
            Query(latest("nplmon_calibrated"), "toys judge the run"),
            Query(latest("nplmon_calibration_disagreement"), "toys and closed form disagree"),
            Query(latest("nplmon_uncalibrated"), "uncalibrated: no alarm is possible"),
            meaning=FLAG,
            size=(8, 8),
        ).links(runbooks("NplmonUncalibrated", "NplmonCalibrationFailed")),
        number(
            "State of the toys",
            "Of the monitor's calibration by toys: running, complete, failed, cancelled or void.",
            "short",
            Query(STATE_OF_TOYS, "{{state}}"),
            size=(6, 6),
            show=BigValueTextMode.NAME,
        ),
        course(
            "Toys",
            "Toys done, of those asked for.",
            "suffix: toys",
            Query(latest("nplmon_calibration_toys"), "done"),
            Query(latest("nplmon_calibration_toys_wanted"), "asked for"),
            size=(12, 6),
        ),
        number(
            "Expected run length",
            "Mean number of chunks between false alarms by the shape that the thresholds are made for.",
            "suffix: chunks",
            Query(latest("nplmon_calibration_expected_run_length_chunks"), "chunks"),
            size=(6, 6),
            decimals=0,
        ),
    ],
)

BOARD = Board(
    name="expert",
    description="Every statistic of one monitor with its null, evidence, rate, reference and calibration.",
    sections=(STATISTICS, EVIDENCE_AND_POOL, SIZE_AND_RATE, REFERENCE),
    monitors="one",
    start="now-12h",
    variables=(
        build.QueryVariable("kind")
        .label("statistic")
        .description("The kind of statistic that is shown against its null.")
        .datasource(SOURCE)
        .query(label_values(f"nplmon_null_mean{{{ONE}}}", "kind"))
        .definition(f"label_values(nplmon_null_mean{{{ONE}}}, kind)")
        .current(dashboard.VariableOption(text="t_score", value="t_score", selected=True))
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC),
    ),
)
