"""What a trainer tells Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram, Info

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

DURATIONS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)


class TrainerMetrics:
    """The metrics of one trainer, in a registry that is handed in."""

    def __init__(self, registry: CollectorRegistry, device: str) -> None:
        self.chunks = Counter(
            "nplmon_chunks_processed_total",
            "Chunks this trainer ended, by outcome.",
            ["monitor", "outcome"],
            registry=registry,
        )
        self.fit_duration = Histogram(
            "nplmon_fit_duration_seconds",
            "Duration of the fits of one chunk, all kernel widths together, in s.",
            ["monitor"],
            buckets=DURATIONS,
            registry=registry,
        )
        self.toy_batches = Counter(
            "nplmon_toy_batches_processed_total",
            "Batches of toys this trainer ended, by outcome.",
            ["monitor", "outcome"],
            registry=registry,
        )
        self.toy_duration = Histogram(
            "nplmon_toy_batch_duration_seconds",
            "Duration of one batch of toys, in s, with what it waited for chunks.",
            ["monitor"],
            buckets=DURATIONS,
            registry=registry,
        )
        self.redeliveries = Counter(
            "nplmon_redeliveries_total",
            "Chunks taken over from another trainer or handed back.",
            ["monitor"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "nplmon_dead_letters_total",
            "Chunks given up, by reason.",
            ["monitor", "reason"],
            registry=registry,
        )
        self.store_errors = Counter(
            "nplmon_trainer_store_errors_total", "Times that the store did not answer.", registry=registry
        )
        Info("nplmon_trainer", "The device of the fits.", registry=registry).info({"device": device})

    def announce(self, monitor: str) -> None:
        """Show a monitor's counters from zero, so that the first increase is seen as one."""
        for outcome in ("finished", "duplicate", "superseded", "lost", "failed", "returned"):
            self.chunks.labels(monitor, outcome)
            self.toy_batches.labels(monitor, outcome)
        for reason in ("crash", "exception"):
            self.dead_letters.labels(monitor, reason)
        self.redeliveries.labels(monitor)
        self.fit_duration.labels(monitor)
        self.toy_duration.labels(monitor)
