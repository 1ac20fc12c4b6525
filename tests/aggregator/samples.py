"""A small reference, its fits and its ledger, all in this process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
import numpy as np
import safetensors.numpy

from nplmon.aggregator import thresholds
from nplmon.aggregator.judge import Judge
from nplmon.aggregator.ledger import Ledger
from nplmon.broker import Broker
from nplmon.broker.messages import (
    Death,
    Fit,
    KernelSettings,
    Mode,
    Monitor,
    Receipt,
    Reference,
    Run,
    WidthFit,
    run_lengths,
)
from nplmon.nplm import reference as nplm_reference
from nplmon.nplm.basis import Basis, basis_keys
from nplmon.nplm.calibration import Calibration
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.kernel_fit import KernelFit
from nplmon.nplm.preparation import prepare
from nplmon.prepared import Prepared, PreparedWidth

SEED = 7
HASH = "ab12"
EVENTS = 80
ONE, SEVERAL = (0.9,), (0.25, 0.5, 0.9)
"""Kernel widths, as quantiles of the pair distances."""
KERNEL = KernelSettings(centres=40, sigma_quantiles=ONE)


def sample(events: int, *seed: int) -> np.ndarray:
    """Draw events with two features."""
    return np.random.default_rng([SEED, *seed]).exponential(size=(events, 2)).astype(np.float32)


def chunk(sequence: int) -> np.ndarray:
    """Give the events of one chunk."""
    return sample(EVENTS, sequence)


@cache
def prepared(quantiles: tuple[float, ...] = ONE) -> Prepared:
    """Give the prepared reference."""
    events = sample(2000)
    bases = [prepare(events, centres=KERNEL.centres, sigma_quantile=quantile) for quantile in quantiles]
    widths = tuple(
        PreparedWidth(f"k{quantile}", basis, basis.features(events))
        for quantile, basis in zip(quantiles, bases, strict=True)
    )
    return Prepared(nplm_reference.Reference(events), widths)


def basis(width: int = 0) -> Basis:
    """Give the eigenbasis of the only width."""
    return prepared().widths[width].basis


@cache
def fits_on(quantiles: tuple[float, ...] = ONE) -> tuple[KernelModel, ...]:
    """Give the reference as a trainer has it, one model for each width."""
    one = prepared(quantiles)
    return tuple(KernelModel(one.reference, width.basis, width.features) for width in one.widths)


def a_monitor(name: str = "m", **changes: Any) -> Monitor:
    """Give a monitor over the reference."""
    plain = Monitor(
        name=name,
        epoch=1,
        reference="r",
        reference_hash=HASH,
        features=("x", "y"),
        units=("GeV", ""),
        kernel=KERNEL,
        created_at=1.0,
        changed_at=1.0,
    )
    return msgspec.structs.replace(plain, **changes)


def a_run(**changes: Any) -> Run:
    """Give a run with nothing in it."""
    plain = Run(
        monitor="m",
        name="a",
        state="open",
        epoch=1,
        monitor_epoch=1,
        accepted=0,
        applied=0,
        dead=0,
        opened_at=1.0,
    )
    return msgspec.structs.replace(plain, **changes)


def a_receipt(sequence: int, events: int = EVENTS, exposure: float | None = None) -> Receipt:
    """Give the receipt of one chunk."""
    return Receipt(
        monitor="m",
        run="a",
        chunk=f"c{sequence}",
        run_epoch=1,
        monitor_epoch=1,
        sequence=sequence,
        events=events,
        digest="",
        exposure=exposure,
        accepted_at=float(sequence),
    )


def fitted(
    receipt: Receipt,
    events: np.ndarray,
    expected: float | None = None,
    quantiles: tuple[float, ...] = ONE,
) -> Fit:
    """Fit one chunk as a trainer does."""
    lam = float(len(events)) if expected is None else expected
    return as_message(receipt, [model.fit(events, lam) for model in fits_on(quantiles)])


def as_message(receipt: Receipt, found: list[KernelFit]) -> Fit:
    """Say the fits of all widths as a trainer does."""
    return Fit(
        receipt=receipt,
        widths=tuple(
            WidthFit(
                coefficients=one.coefficients.tobytes(),
                score=one.score.tobytes(),
                t_chunk=one.statistic,
                iterations=one.iterations,
                decrement=one.resolution,
            )
            for one in found
        ),
        fit_seconds=0.1,
        trainer="t",
        device="cpu",
        finished_at=2.0,
    )


def a_fit(sequence: int, events: np.ndarray | None = None, quantiles: tuple[float, ...] = ONE) -> Fit:
    """Fit the chunk of this number."""
    data = chunk(sequence) if events is None else events
    return fitted(a_receipt(sequence, len(data)), data, quantiles=quantiles)


def a_death(sequence: int) -> Death:
    """Let the chunk of this number be dead."""
    return Death(
        receipt=a_receipt(sequence), reason="exception", deliveries=3, error="broken", died_at=float(sequence)
    )


def payloads(sequences: Iterable[int]) -> dict[int, bytes]:
    """Give the stored events of chunks."""
    return {sequence: chunk(sequence).tobytes() for sequence in sequences}


_COMPUTED: dict[str, Calibration] = {}
_COMPUTE = thresholds.closed_form


def closed_form(one: Prepared, mode: Mode, expected: float, lengths: tuple[float, float]) -> Calibration:
    """Compute a calibration once for all tests of this process."""
    name = thresholds.name_of(one, mode, expected, lengths)
    if name not in _COMPUTED:
        _COMPUTED[name] = _COMPUTE(one, mode, expected, lengths)
    return _COMPUTED[name]


def calibration(
    mode: Mode = "shape",
    lengths: tuple[float, float] = (1000.0, 100.0),
    quantiles: tuple[float, ...] = ONE,
) -> Calibration:
    """Give the calibration in closed form of a monitor for its usual chunks."""
    return closed_form(prepared(quantiles), mode, thresholds.typical(EVENTS), lengths)


def a_ledger(
    monitor: Monitor | None = None,
    event_cap: int = 10_000,
    exposure_budget: float = 0.5,
    quantiles: tuple[float, ...] = ONE,
) -> Ledger:
    """Give the ledger of the run, with nothing in it."""
    settings = monitor or a_monitor()
    ledger = Ledger(
        settings,
        a_run(),
        prepared(quantiles),
        event_cap=event_cap,
        exposure_budget=exposure_budget,
    )
    ledger.judge = Judge(closed=calibration(settings.mode, run_lengths(settings), quantiles))
    return ledger


async def store_reference(broker: Broker) -> None:
    """Put the reference and its eigenbasis into the store."""
    one = prepared()
    reference = Reference(
        name="r",
        hash=HASH,
        features=("x", "y"),
        units=("GeV", ""),
        events=2000,
        weighted=False,
        sum_weights=2000.0,
        effective_events=2000.0,
        means=(1.0, 1.0),
        standard_deviations=(1.0, 1.0),
        minima=(0.0, 0.0),
        maxima=(9.0, 9.0),
        created_at=1.0,
    )
    await broker.references.put(reference, safetensors.numpy.save({"events": one.reference.events}))
    (key,) = basis_keys(("x", "y"), KERNEL.centres, KERNEL.lambda_, (), KERNEL.sigma_quantiles, KERNEL.seed)
    await broker.references.put_basis(HASH, key, one.widths[0].basis.to_bytes())


async def admit(broker: Broker, *sequences: int, monitor: str = "m", run: str = "a", **changes: Any) -> None:
    """Admit chunks `c1` and on."""
    for sequence in sequences:
        body = chunk(sequence).tobytes()
        wanted = {
            "monitor_epoch": 1,
            "digest": hashlib.sha256(body).hexdigest(),
            "payload": body,
            "events": EVENTS,
            "exposure": None,
            "source_time": None,
            "backlog_limit": 1000,
        }
        admitted = await broker.admission.admit(
            monitor=monitor, run=run, chunk=f"c{sequence}", **wanted | changes
        )
        assert admitted.status == "accepted"


async def fit(broker: Broker, count: int = 100, *, monitor: str = "m", die: bool = False) -> int:
    """Fit up to so many waiting chunks, or let them die; give how many."""
    leases = await broker.leases.take("t", [monitor], count=count, block_seconds=0.05)
    for lease in leases:
        if die:
            assert await broker.leases.hand_back("t", lease, "broken", 1) == "dead"
        else:
            assert lease.payload is not None
            events = np.frombuffer(lease.payload, dtype="<f4").reshape(-1, 2)
            assert await broker.leases.finish("t", lease, fitted(lease.receipt, events)) == "finished"
    return len(leases)
