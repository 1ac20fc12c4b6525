"""The tables: what was measured for each detector, median delays, and where ours are the fastest."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GOAL: Final = 0.8
"""Of the scenarios: no peer's median delay is smaller."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """In how many scenarios a detector's median delay is smaller than those of all peers, equal, or larger.

    Attributes
    ----------
    name:
        Of the detector.
    won, tied, lost:
        Scenarios.
    """

    name: str
    won: int
    tied: int
    lost: int

    @property
    def share(self) -> float:
        """The share in which no peer has a smaller median: won and tied."""
        return (self.won + self.tied) / max(self.won + self.tied + self.lost, 1)


def scores(result: dict[str, Any], problem: str | None = None) -> list[Score]:
    """Count for each of our detectors, in one problem or all; a scenario without any median does not count."""
    counted: dict[str, Counter[str]] = {}
    for one in result["problems"]:
        if problem not in {None, one["name"]}:
            continue
        ours = [detector["name"] for detector in one["detectors"] if detector["ours"]]
        peers = [detector["name"] for detector in one["detectors"] if not detector["ours"]]
        for scenario in one["scenarios"]:
            medians = {name: median(delay) for name, delay in scenario["delays"].items()}
            if not math.isfinite(min(medians.values())):
                continue
            best = min(medians[name] for name in peers)
            for name in ours:
                own = medians[name]
                verdict = "won" if own < best else "tied" if own == best and math.isfinite(own) else "lost"
                counted.setdefault(name, Counter())[verdict] += 1
    return [
        Score(name=name, won=count["won"], tied=count["tied"], lost=count["lost"])
        for name, count in counted.items()
    ]


def against_each(result: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Give the share of the scenarios in which ours has no larger median than one peer alone: {peer: {ours: share}}.

    Scenarios count in which one of the two has a median.
    """
    seen: dict[str, dict[str, list[bool]]] = {}
    for problem in result["problems"]:
        ours = [one["name"] for one in problem["detectors"] if one["ours"]]
        peers = [one["name"] for one in problem["detectors"] if not one["ours"]]
        for scenario in problem["scenarios"]:
            medians = {name: median(delay) for name, delay in scenario["delays"].items()}
            for peer, own in itertools.product(peers, ours):
                if math.isfinite(min(medians[peer], medians[own])):
                    seen.setdefault(peer, {}).setdefault(own, []).append(medians[own] <= medians[peer])
    return {peer: {own: sum(one) / len(one) for own, one in found.items()} for peer, found in seen.items()}


def fastest(scenario: dict[str, Any]) -> list[str]:
    """Give the detectors with the smallest median delay; none where nobody has one."""
    medians = {name: median(delay) for name, delay in scenario["delays"].items()}
    best = min(medians.values())
    return [name for name, value in medians.items() if value == best and math.isfinite(best)]


def median(delay: dict[str, Any]) -> float:
    """Give the median delay, infinite where there is none or no stream is left."""
    return math.inf if delay["median"] is None else float(delay["median"])


def markdown(result: dict[str, Any]) -> str:
    """Give all tables."""
    return "\n".join(_lines(result)) + "\n"


def summary(result: dict[str, Any]) -> str:
    """Give the table of shares, a line for each of our detectors."""
    problems = [one["name"] for one in result["problems"]]
    of_problem = [{one.name: one for one in scores(result, name)} for name in problems]
    rows = []
    for one in scores(result):
        shares = [f"{100 * found[one.name].share:.0f} %" if one.name in found else "" for found in of_problem]
        verdict = "met" if one.share >= GOAL else "MISSED"
        rows.append((one.name, one.won, one.tied, one.lost, f"{100 * one.share:.0f} %: {verdict}", *shares))
    header = ("ours", "smaller", "equal", "larger", f"not larger; goal {100 * GOAL:.0f} %", *problems)
    return "\n".join(_table(header, rows))


def _lines(result: dict[str, Any]) -> Iterator[str]:
    machine = result["machine"]
    yield (
        f"{machine['date']}, {machine['cores']} cores of an {machine['processor']}, one thread, "
        f"Python {machine['python']}; {sum(one['seconds'] for one in result['problems']) / 60:.0f} minutes of "
        "processor time of ours."
    )
    yield from (
        "",
        "Scenarios in which the median delay is smaller than every peer's, equal to the smallest, larger:",
    )
    yield from ("", summary(result))
    each = against_each(result)
    names = list(dict.fromkeys(own for found in each.values() for own in found))
    rows = [
        (peer, *(f"{100 * found[own]:.0f} %" if own in found else "" for own in names))
        for peer, found in each.items()
    ]
    yield from ("", "The share in which it is not larger than that of one peer alone:", "")
    yield from _table(("peer", *names), rows)
    of_problems = (f"{one['name']}: {line}" for one in result["problems"] for line in one["left out"])
    for line in dict.fromkeys([*result["left out"], *of_problems]):
        yield from ("", f"Left out: {line}.")
    for problem in result["problems"]:
        yield from _problem(problem)


def _problem(problem: dict[str, Any]) -> Iterator[str]:
    sizes = problem["sizes"]
    yield from ("", f"### {problem['name']}", "")
    yield f"{sizes['N_R']:,} reference events, {sizes['N']:,} events a chunk."
    own = next((one["seconds per chunk"] for one in problem["detectors"] if one["ours"]), 0.0)
    rows = []
    for number, one in enumerate(problem["detectors"], 1):
        found = one["run length"]
        cost = one["seconds per chunk"] / own if own else math.nan
        length = " to ".join(_length(found[name]) for name in ("low", "high"))
        shown = f"{cost:,.0f}" if cost >= 100 else f"{cost:.2g}"
        rows.append((number, one["name"], one["setting"], f"{_length(found['mean'])} ({length})", shown))
    yield ""
    yield from _table(("", "detector", "setting", "run length (95 %)", "cost of a chunk"), rows)
    names = [one["name"] for one in problem["detectors"]]
    yield ""
    yield (
        f"The first costs {1e3 * own:.2g} ms. Median delay in chunks (95 % interval), share detected, for each of them:"
    )
    yield ""
    rows = []
    for scenario in problem["scenarios"]:
        best = fastest(scenario)
        what = " ".join(filter(None, (scenario["name"], scenario["strength"])))
        row = [what, str(scenario["quiet"])]
        for name in names:
            cell = _cell(scenario["delays"][name])
            row.append(f"**{cell}**" if name in best else cell)
        rows.append(row)
    yield from _table(("scenario", "after", *range(1, len(names) + 1)), rows)


def _cell(delay: dict[str, Any]) -> str:
    if not delay["streams"]:
        return "all false"
    shown = [
        f">{delay['horizon']}" if delay[name] is None else f"{delay[name]:.0f}"
        for name in ("median", "low", "high")
    ]
    interval = "" if shown[1] == shown[2] else f" ({shown[1]} to {shown[2]})"
    share = "" if delay["detected"] == 1 else f" {100 * delay['detected']:.0f} %"
    return f"{shown[0]}{interval}{share}"


def _length(value: float | None) -> str:
    return "never" if value is None or not math.isfinite(value) else f"{value:.0f}"


def _table(header: Sequence[object], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    for row in [header, ["---"] * len(header), *rows]:
        yield f"| {' | '.join(map(str, row))} |"
