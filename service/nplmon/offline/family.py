"""Model families by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

from nplmon.nplm import KernelModel, MlpModel, SparkerModel
from nplmon.offline.errors import AnalysisError

if TYPE_CHECKING:
    from nplmon.nplm import Model, Reference
    from nplmon.offline.settings import Family, Settings

DEFAULTS: Final[dict[Family, dict[str, Any]]] = {
    "kernel": {"centres": 1000, "lambda_": 1e-5, "sigma_quantile": 0.9},
    "sparker": {"centres": 10, "lambda_": 1e-5, "sigma_quantile": 0.9},
    "mlp": {},
}
"""Where nothing is said: what a monitor takes; what the paper takes for one feature; the network has no kernels."""
HIDDEN, MORE_HIDDEN = (4,), (5,)
"""Neurons of the network's hidden layer for one feature and for more."""


def prepare(
    settings: Settings,
    reference: Reference,
    sigma: float | None = None,
    sigma_quantile: float | None = None,
) -> Model:
    """Prepare the model that the settings name with one kernel width, with the family's own values for None.

    Raises
    ------
    AnalysisError
        If a setting is out of range.
    """
    device = _device(settings.device)
    given = {
        "centres": settings.centres,
        "lambda_": settings.lambda_,
        "sigma": sigma,
        "sigma_quantile": sigma_quantile,
    }
    chosen = DEFAULTS[settings.model] | {name: value for name, value in given.items() if value is not None}
    try:
        if settings.model == "kernel":
            return KernelModel.prepare(reference, **chosen, seed=settings.seed, device=device)
        if settings.model == "mlp":
            hidden = HIDDEN if reference.events.shape[1] == 1 else MORE_HIDDEN
            return MlpModel(reference, hidden=hidden, seed=settings.seed, device=device)
        kernels, lambda_a = chosen.pop("centres"), chosen.pop("lambda_")
        return SparkerModel(
            reference, kernels=kernels, lambda_a=lambda_a, **chosen, seed=settings.seed, device=device
        )
    except ValueError as error:
        raise AnalysisError(str(error)) from error


def _device(wish: str) -> torch.device:
    if wish == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wish)
    except RuntimeError as error:
        raise AnalysisError(f"no device {wish!r}: choose auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise AnalysisError(
            f"device {wish!r} is not there: torch sees {count} CUDA devices; choose auto or cpu"
        )
    return device
