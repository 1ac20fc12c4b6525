"""All kernel widths of a monitor: fitted together, on one device."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
import torch
from tests.aggregator.samples import (
    EVENTS,
    KERNEL,
    SEVERAL,
    a_monitor,
    admit,
    chunk,
    sample,
)
from tests.aggregator.samples import prepared as a_prepared
from tests.trainer.work import AtWork

from nplmon.broker import Broker
from nplmon.broker.messages import Fit
from nplmon.nplm.basis import basis_keys
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.preparation import prepare
from nplmon.nplm.reference import Reference
from nplmon.prepared import Prepared
from nplmon.trainer import trainer

Start = Callable[..., AtWork]


@pytest.mark.anyio
async def test_all_kernel_widths_are_fitted_in_one_lease(broker: Broker, start: Start) -> None:
    """One result with a fit for each width, in their order; each as if it were the only one."""
    quantiles = (0.25, 0.5, 0.75)
    kernel = msgspec.structs.replace(KERNEL, sigma_quantiles=quantiles)
    await broker.monitors.create(a_monitor(kernel=kernel))
    work = start()
    await admit(broker, 1)
    await work.ended("finished")
    (fit,) = await broker.statistics.fits("m", "a", 0, 10)
    assert isinstance(fit, Fit)
    bases = [
        prepare(sample(2000), centres=KERNEL.centres, lambda_=KERNEL.lambda_, sigma_quantile=quantile)
        for quantile in quantiles
    ]
    for one, basis in zip(fit.widths, bases, strict=True):
        alone = KernelModel(Reference(sample(2000)), basis).fit(chunk(1), float(EVENTS))
        assert one.t_chunk == pytest.approx(alone.statistic, rel=1e-6)
        assert len(one.score) == 8 * basis.size
    assert work.value("nplmon_fit_duration_seconds_count", monitor="m") == 1
    # Each in the store, so that all processes work in the same ones.
    for key in basis_keys(("x", "y"), KERNEL.centres, KERNEL.lambda_, (), quantiles, KERNEL.seed):
        assert await broker.references.basis("ab12", key) is not None


def test_all_widths_together_fit_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each alone would be kept in float32; three of them would take three quarters of the memory."""
    ready = a_prepared(SEVERAL)
    largest = max(width.features.nbytes for width in ready.widths)
    monkeypatch.setattr("nplmon.nplm.kernel._memory", lambda device: 4 * largest)
    for widths, dtype in ((ready.widths[:1], torch.float32), (ready.widths, torch.float16)):
        models = trainer._on_device(Prepared(ready.reference, widths), torch.device("cpu"))
        assert {model._sums.psi.dtype for model in models} == {dtype}
