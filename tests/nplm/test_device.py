"""The core on a CUDA device: a real one where there is one, else torch's fake tensors.

Fake tensors have a device, a shape and no values; an operation on tensors of two devices fails as on a real one. All
decisions are taken on numbers that `host` and nothing else brings back: the run on the CPU records them, the run on the
fake device is given them again, and so takes the same way through the code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from nplmon.nplm import kernel, newton, problem, quasi_newton
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.loss import LossName
from nplmon.nplm.reference import Reference

CHUNKS = [np.random.default_rng(2).normal(size=(50, 2)), np.full((60, 2), 2.5)]
"""An ordinary chunk, and one that needs Newton's method."""


def work(device: str, loss: LossName, precision: kernel.Precision) -> list[float]:
    rng = np.random.default_rng(1)
    reference = Reference(rng.normal(size=(2_000, 2)), rng.uniform(0.5, 1.5, size=2_000))
    model = KernelModel.prepare(
        reference, centres=100, sigma=1.0, device=device, loss=loss, precision=precision
    )
    fits = model.fit_together(CHUNKS, [50.0, 60.0])
    fits.append(model.fit(CHUNKS[0], 50.0, start=fits[0].coefficients))
    return [fit.statistic for fit in fits]


def indexed(x: torch.Tensor, index: Any) -> torch.Tensor:
    """x[index] by operations, because a torch built without CUDA refuses brackets on a fake CUDA tensor."""
    dim = 0
    for part in index if isinstance(index, tuple) else (index,):
        if part is None:
            x = x.unsqueeze(dim)
        elif isinstance(part, slice):
            x = torch.ops.aten.slice.Tensor(x, dim, part.start, part.stop)
        elif isinstance(part, int):
            x = torch.ops.aten.select.int(x, dim, part)
            continue
        else:
            x = x.index_select(dim, torch.as_tensor(part).to(x.device))
        dim += 1
    return x


def assign(x: torch.Tensor, index: Any, value: torch.Tensor) -> None:
    """Do x[index] = value; a list of indices stands last."""
    *rest, last = index if isinstance(index, tuple) else (index,)
    if isinstance(last, slice | int):
        torch.ops.aten.copy_.default(indexed(x, index), value)
    else:
        x.index_copy_(len(rest), torch.as_tensor(last).to(x.device), value)


def with_host(monkeypatch: pytest.MonkeyPatch, host: Callable[[Any], Any]) -> None:
    for module in (problem, quasi_newton, newton, kernel):
        monkeypatch.setattr(module, "host", host)


@pytest.mark.parametrize(
    ("loss", "precision"), [("likelihood", "float32"), ("logistic", "float64"), ("likelihood", "float16")]
)
def test_a_cuda_device(loss: LossName, precision: kernel.Precision, monkeypatch: pytest.MonkeyPatch):
    real, brought = problem.host, []

    def recording(tensor: torch.Tensor) -> np.ndarray:
        brought.append(real(tensor))
        return brought[-1]

    with_host(monkeypatch, recording)
    on_cpu = work("cpu", loss, precision)
    assert len(brought) > 10

    if torch.cuda.is_available():
        with_host(monkeypatch, real)
        np.testing.assert_allclose(work("cuda", loss, precision), on_cpu, rtol=2e-3)
        return

    monkeypatch.setattr(FakeTensor, "__getitem__", indexed, raising=False)
    monkeypatch.setattr(FakeTensor, "__setitem__", assign, raising=False)
    numbers = iter(brought)

    def replaying(tensor: torch.Tensor) -> np.ndarray:
        assert tensor.device.type == "cuda"
        number = next(numbers)
        assert number.shape == tuple(tensor.shape)
        return number

    with_host(monkeypatch, replaying)
    with FakeTensorMode():
        assert work("cuda:0", loss, precision) == on_cpu
    assert next(numbers, None) is None
