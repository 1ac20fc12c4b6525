"""Templates of a monitor: alternative references that are tolerated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nplmon.api.problems import Problem
from nplmon.broker.messages import TemplateReference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nplmon.broker.messages import AlarmStatistic, Reference

MOST_TEMPLATES: Final = 8
FIELD: Final = "tolerance.templates"


def checked_templates(
    templates: Sequence[Reference],
    reference: Reference,
    features: tuple[str, ...],
    units: tuple[str, ...],
    decides: AlarmStatistic,
) -> tuple[TemplateReference, ...]:
    """Give the templates of a monitor, each in its version.

    Parameters
    ----------
    templates:
        The references asked for.
    reference, features, units, decides:
        The monitor's; the last is the statistic that decides on its alarm.

    Raises
    ------
    Problem
        `settings`, if a template lacks a feature or has it in another unit, is named twice, or has the events of the
        reference or of another template, or an e-detector decides, which no template touches.
    """
    if templates and decides != "t_score":
        raise Problem(
            "settings",
            f"With templates the alarm is decided by t_score's minimum over their mixtures, not by {decides}.",
            field="alarm.statistic",
            value=decides,
            remedy='Use the statistic "t_score", or no templates.',
        )
    known = {reference.hash: reference.name}
    for template in templates:
        _same_features(template, features, units)
        if template.hash in known:
            raise Problem(
                "settings",
                f"The template {template.name!r} has the events of {known[template.hash]!r}.",
                field=FIELD,
                value=template.name,
                remedy="Name a reference with other events, each once.",
            )
        known[template.hash] = template.name
    return tuple(TemplateReference(name=one.name, hash=one.hash) for one in templates)


def _same_features(template: Reference, features: tuple[str, ...], units: tuple[str, ...]) -> None:
    found = dict(zip(template.features, template.units, strict=True))
    for feature, unit in zip(features, units, strict=True):
        if feature not in found:
            raise Problem(
                "settings",
                f"The template {template.name!r} has no feature {feature!r}; it has "
                f"{', '.join(template.features[:20])}.",
                field=FIELD,
                value=template.name,
                remedy="Name a reference with all features of the monitor.",
            )
        if found[feature] != unit:
            raise Problem(
                "settings",
                f"The template {template.name!r} has {feature!r} in {found[feature]!r}, the reference in {unit!r}.",
                field=FIELD,
                value=template.name,
                remedy="Upload the template in the units of the reference.",
            )
