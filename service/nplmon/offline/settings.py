"""What is asked of an analysis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from nplmon.offline.errors import AnalysisError

if TYPE_CHECKING:
    from nplmon.nplm.null import Mode
    from nplmon.nplm.run import RunKind

Kind = Literal["single", "sum", "aggregation", "resource-limited"]
Family = Literal["kernel", "sparker", "mlp"]
MOST_WIDTHS: Final = 8


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
    centres, lambda_, sigmas, sigma_quantiles:
        Of the kernels; None or nothing takes the family's own. Several widths are for "kernel". In "sparker" centres is
        the number of kernels and lambda_ is lambda_a; "mlp", a network, has none of them.
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
    sigmas: tuple[float, ...] = ()
    sigma_quantiles: tuple[float, ...] = ()
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
        if self.sigmas and self.sigma_quantiles:
            raise AnalysisError("--sigma and --sigma-quantile both give the kernel width: leave one out")
        self._check_widths(self.sigmas or self.sigma_quantiles)
        if self.model == "mlp" and (self.centres, self.lambda_, self.widths) != (None, None, [(None, None)]):
            raise AnalysisError("--model mlp has no kernels: leave out --centres, --lambda and --sigma")
        limited = self.models is not None or self.tested is not None
        if limited != (self.analysis == "resource-limited"):
            raise AnalysisError(
                "--analysis resource-limited needs --models N or --tested N, and no other analysis takes them"
            )

    def _check_widths(self, widths: tuple[float, ...]) -> None:
        if len(widths) < 2:
            return
        if len(set(widths)) < len(widths) or len(widths) > MOST_WIDTHS:
            raise AnalysisError(f"kernel widths {widths}: give up to {MOST_WIDTHS}, each once")
        if self.model != "kernel":
            raise AnalysisError(f"--model {self.model} takes one kernel width, not {len(widths)}")
        if self.analysis in {"sum", "resource-limited"} and not self.toys:
            raise AnalysisError(
                f"--analysis {self.analysis} has no closed form for several kernel widths together: give one, or --toys"
            )

    @property
    def widths(self) -> list[tuple[float | None, float | None]]:
        """Sigma and quantile of each kernel width, None where it is not given; at least one of both None."""
        given: list[tuple[float | None, float | None]] = [(sigma, None) for sigma in sorted(self.sigmas)]
        given += [(None, quantile) for quantile in sorted(self.sigma_quantiles)]
        return given or [(None, None)]

    @property
    def statistic(self) -> RunKind:
        """The kind of statistic that answers the question."""
        if self.analysis == "single":
            return "t_full"
        return "t_sum" if self.analysis == "sum" else "t_agg"
