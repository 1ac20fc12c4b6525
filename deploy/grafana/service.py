"""The service's view, for who keeps it running: queue, fits, HTTP, processes, store."""

from __future__ import annotations

from deploy.grafana.board import Board, Section
from deploy.grafana.panel import buckets, course, history, number, runbooks
from deploy.grafana.query import CHOSEN, Query, growth, latest, quantile
from grafana_foundation_sdk.models.common import BigValueTextMode

ROLES = 'job=~"nplmon-.+"'
FIRING = 'count by (alertname, monitor) (ALERTS{alertname=~"Nplmon.+", alertstate="firing"})'
UP_DOWN = ((0, "DOWN", "red"), (1, "up", "green"))


def _quantiles(histogram: str) -> list[Query]:
    return [Query(quantile(level, histogram), f"{level:.0%}") for level in (0.5, 0.9, 0.99)]


NOW = Section(
    "Now",
    [
        history(
            "Store",
            "Whether the store answered every process of the API at the last scrape.",
            Query("min(nplmon_store_up)", "store"),
            meaning=UP_DOWN,
            size=(4, 5),
        ).links(runbooks("NplmonRedisUnreachable")),
        number(
            "Processes scraped",
            "Processes of each role that Prometheus reaches.",
            "short",
            Query(f"sum by (job) (up{{{ROLES}}})", "{{job}}"),
            size=(5, 5),
            steps=((0, "red"), (1, "green")),
            decimals=0,
        ).links(runbooks("NplmonAggregatorDown", "NplmonApiDown", "NplmonScrapeFailed")),
        number(
            "Signs of life",
            "Trainers and aggregators that gave the store a sign of life lately. Without a trainer nothing is "
            "fitted, without an aggregator nothing is applied.",
            "short",
            Query("max by (role) (nplmon_workers)", "{{role}}"),
            size=(5, 5),
            steps=((0, "red"), (1, "green")),
            decimals=0,
        ).links(runbooks("NplmonWorkersDown")),
        number(
            "Dead letters",
            "Chunks that were given up and wait for somebody to replay or delete them.",
            "suffix: chunks",
            Query(f"sum({latest('nplmon_dead_chunks', CHOSEN)})", "dead"),
            size=(3, 5),
            steps=((0, "green"), (1, "red")),
            decimals=0,
        ).links(runbooks("NplmonDeadLetters")),
        number(
            "Alerts that fire",
            "Those of deploy/prometheus, as Prometheus evaluates them; none where nothing is shown.",
            "short",
            Query(
                'count by (alertname, monitor) (ALERTS{alertname=~"Nplmon.+", alertstate="firing"})',
                "{{alertname}} {{monitor}}",
            ),
            size=(7, 5),
            steps=((0, "red"),),
            show=BigValueTextMode.NAME,
        ).no_value("none"),
    ],
)

QUEUE = Section(
    "Queue",
    [
        course(
            "Age of the oldest chunk",
            "Since the oldest chunk that waits or is in work was accepted; nothing where none waits.",
            "s",
            Query(f"time() - {latest('nplmon_oldest_pending_timestamp_seconds', CHOSEN)}", "{{monitor}}"),
        ).links(runbooks("NplmonBacklogOld")),
        course(
            "Chunks that wait or are in work",
            "As the store has them.",
            "suffix: chunks",
            Query(latest("nplmon_backlog_chunks", CHOSEN), "{{monitor}} waiting"),
            Query(latest("nplmon_leased_chunks", CHOSEN), "{{monitor}} in work"),
            Query(latest("nplmon_unapplied_chunks", CHOSEN), "{{monitor}} not in the statistic"),
        ),
        course(
            "Chunks accepted and applied",
            "Where more are accepted than applied for long, the queue grows.",
            "suffix: chunks/s",
            Query(growth("nplmon_chunks_accepted_total"), "{{monitor}} accepted"),
            Query(growth("nplmon_chunks_applied_total", by="monitor, outcome"), "{{monitor}} {{outcome}}"),
            size=(8, 8),
        ),
        course(
            "Events accepted and applied",
            "The same in events.",
            "suffix: events/s",
            Query(growth("nplmon_events_accepted_total"), "{{monitor}} accepted"),
            Query(growth("nplmon_events_applied_total"), "{{monitor}} applied"),
            size=(8, 8),
        ),
        course(
            "From acceptance to the statistic",
            "Quantiles of the time that a chunk took, over the chosen monitors.",
            "s",
            *_quantiles("nplmon_chunk_age_seconds"),
            size=(8, 8),
        ),
    ],
)

FITS = Section(
    "Fits",
    [
        course(
            "Duration of fits",
            "Quantiles of the time that the fits of one chunk took, all kernel widths together.",
            "s",
            *_quantiles("nplmon_fit_duration_seconds"),
            size=(8, 8),
        ),
        buckets(
            "Fits by duration",
            "How many chunks a second took how long to fit.",
            "suffix: chunks/s",
            Query(growth("nplmon_fit_duration_seconds_bucket", by="le"), "{{le}}", heatmap=True),
            axis="s",
            size=(8, 8),
        ),
        course(
            "Chunks that trainers ended",
            "By outcome; all but `finished` cost time and nothing else.",
            "suffix: chunks/s",
            Query(growth("nplmon_chunks_processed_total", by="outcome"), "{{outcome}}"),
            size=(8, 8),
        ),
        course(
            "Taken over or handed back",
            "Chunks whose trainer ended or was stopped. Many of them: trainers crash.",
            "suffix: chunks/s",
            Query(growth("nplmon_redeliveries_total"), "{{monitor}}"),
            size=(8, 7),
        ).links(runbooks("NplmonWorkerCrashLoop")),
        course(
            "Given up",
            "Chunks that became dead letters, by reason.",
            "suffix: chunks/s",
            Query(growth("nplmon_dead_letters_total", by="monitor, reason"), "{{monitor}} {{reason}}"),
            size=(8, 7),
        ).links(runbooks("NplmonDeadLetters")),
        course(
            "Batches of toys",
            "Ended, by outcome; trainers replay them while no chunk waits.",
            "suffix: batches/s",
            Query(growth("nplmon_toy_batches_processed_total", by="outcome"), "{{outcome}}"),
            size=(8, 7),
        ),
    ],
)

HTTP = Section(
    "HTTP and notifications",
    [
        course(
            "Duration of requests",
            "90 % quantile by route, streams of events apart.",
            "s",
            Query(quantile(0.9, "nplmon_http_request_duration_seconds", "", by="route"), "{{route}}"),
        ),
        course(
            "Requests",
            "By route, over all processes of the API.",
            "reqps",
            Query(growth("nplmon_http_request_duration_seconds_count", "", by="route"), "{{route}}"),
        ),
        course(
            "Refused chunks",
            "By reason. `backlog-full` and `store-unreachable` are ours, most others the client's.",
            "suffix: chunks/s",
            Query(f"{growth('nplmon_chunks_rejected_total', '', by='reason')} > 0", "{{reason}}"),
            size=(8, 7),
        ),
        course(
            "Sent again",
            "Chunks that a client sent a second time: each counts once.",
            "suffix: chunks/s",
            Query(growth("nplmon_chunks_duplicate_total"), "{{monitor}}"),
            size=(8, 7),
        ),
        course(
            "Notifications",
            "Webhooks and e-mails of the monitors, by channel and outcome. Only `failed` ones did not arrive.",
            "suffix: notifications/s",
            Query(
                growth("nplmon_notifications_total", by="monitor, channel, outcome"),
                "{{monitor}} {{channel}} {{outcome}}",
            ),
            size=(8, 7),
        ).links(runbooks("NplmonNotificationFailed")),
    ],
)

PROCESSES = Section(
    "Processes",
    [
        course(
            "Memory",
            "Resident memory of each process; a line that rises for hours is a leak.",
            "bytes",
            Query(f"process_resident_memory_bytes{{{ROLES}}}", "{{job}} {{instance}}"),
            size=(8, 8),
        ),
        course(
            "CPU",
            "Cores that each process uses.",
            "suffix: cores",
            Query(f"rate(process_cpu_seconds_total{{{ROLES}}}[$__rate_interval])", "{{job}} {{instance}}"),
            size=(8, 8),
        ),
        course(
            "Open files",
            "As a share of what the process may open.",
            "percentunit",
            Query(
                f"process_open_fds{{{ROLES}}} / process_max_fds{{{ROLES}}}",
                "{{job}} {{instance}}",
            ),
            size=(8, 8),
        ),
        course(
            "Starts in the last hour",
            "How often the processes of each role were started again.",
            "short",
            Query(f"sum by (job) (changes(process_start_time_seconds{{{ROLES}}}[1h]))", "{{job}}"),
            size=(6, 7),
        ).links(runbooks("NplmonWorkerCrashLoop")),
        course(
            "Store did not answer",
            "Times a second that trainers and the aggregator found the store away.",
            "suffix: errors/s",
            Query("sum(rate(nplmon_trainer_store_errors_total[$__rate_interval]))", "trainers"),
            Query("sum(rate(nplmon_aggregator_store_errors_total[$__rate_interval]))", "aggregator"),
            size=(6, 7),
        ).links(runbooks("NplmonRedisUnreachable")),
        course(
            "Failures of the aggregator",
            "Saves or computations that failed. `exception` stops a run until it can be read again or is reset.",
            "suffix: failures/s",
            Query(
                growth("nplmon_aggregation_failures_total", by="monitor, reason"), "{{monitor}} {{reason}}"
            ),
            size=(6, 7),
        ).links(runbooks("NplmonAggregationFailing")),
        number(
            "Versions",
            "Processes of each role and version; two versions of one role outside an upgrade are a mistake.",
            "short",
            Query("count by (role, version) (nplmon_build_info)", "{{role}} {{version}}"),
            size=(6, 7),
            decimals=0,
            show=BigValueTextMode.VALUE_AND_NAME,
        ),
    ],
)

BOARD = Board(
    name="service",
    description="For who keeps nplmon running: queue, fits, HTTP, processes, store.",
    sections=(NOW, QUEUE, FITS, HTTP, PROCESSES),
    monitors="several",
    start="now-3h",
)
