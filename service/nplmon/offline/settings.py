"""What is asked of an analysis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from nplmon.offline.errors import AnalysisError

if TYPE_CHECKING:
    from nplmon.nplm.null import Mode
    from nplmon.nplm.run import RunKind

Kind = Literal["single", "sum", "aggregation", "resource-limited"]
Family = Literal["kernel", "sparker", "mlp"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of an analysis; they stand in its result.

    Attributes
    ----------
    analysis:
        "single": one fit to all events; "sum": one to each chunk, and their sum; "aggregation": the chunks' averaged
        density ratio, tested at all events; "resource-limited": the same with some chunks fitted or tested only.
    model:
        The model family.
    centres, lambda_, sigma, sigma_quantile:
        Of the kernels; None takes the family's own. In "sparker" centres is the number of kernels and lambda_ is
        lambda_a; "mlp", a network, has none of them.
    mode:
        "shape": the number of events says nothing; "rate": it is compared too.
    models, tested:
        Of "resource-limited": the first so many chunks are fitted, the last so many tested; None: all.
    toys:
        Pseudo-experiments; 0: none.
    seed:
        Of the centres, of what is held out of the reference and of the toys.
    device:
        A torch device, or "auto".

    Raises
    ------
    AnalysisError
        If they contradict each other.
    """

    analysis: Kind = "single"
    model: Family = "kernel"
    centres: int | None = None
    lambda_: float | None = None
    sigma: float | None = None
    sigma_quantile: float | None = None
    mode: Mode = "shape"
    models: int | None = None
    tested: int | None = None
    toys: int = 0
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.analysis not in get_args(Kind):
            raise AnalysisError(f"no analysis {self.analysis!r}: choose one of {', '.join(get_args(Kind))}")
        if self.model not in get_args(Family):
            raise AnalysisError(f"no model {self.model!r}: choose one of {', '.join(get_args(Family))}")
        if self.mode not in ("shape", "rate"):
            raise AnalysisError(f"no mode {self.mode!r}: choose shape or rate")
        if self.sigma is not None and self.sigma_quantile is not None:
            raise AnalysisError("--sigma and --sigma-quantile both give the kernel width: leave one out")
        kernels = (self.centres, self.lambda_, self.sigma, self.sigma_quantile)
        if self.model == "mlp" and any(one is not None for one in kernels):
            raise AnalysisError("--model mlp has no kernels: leave out --centres, --lambda and --sigma")
        limited = self.models is not None or self.tested is not None
        if limited != (self.analysis == "resource-limited"):
            raise AnalysisError(
                "--analysis resource-limited needs --models N or --tested N, and no other analysis takes them"
            )

    @property
    def statistic(self) -> RunKind:
        """The kind of statistic that answers the question."""
        if self.analysis == "single":
            return "t_full"
        return "t_sum" if self.analysis == "sum" else "t_agg"
