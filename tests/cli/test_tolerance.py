"""Tolerance on the command line: templates and a floor are set, shown, and said in a run's state."""

from __future__ import annotations

import json

import numpy as np
from tests.cli.conftest import Nplmon

from nplmon.cli.tolerance import tolerance_words
from nplmon.client import Client, TemplateFraction, ToleranceState


def test_templates_and_a_floor_are_set_and_shown(nplmon: Nplmon, client: Client, monitor: str) -> None:
    sample = client.reference(client.monitor(monitor).reference)
    rng = np.random.default_rng(9)
    for name in ("up", "down"):
        events = rng.normal(size=(300, len(sample.features))).astype(np.float32)
        client.put_reference(name, events, features=sample.features, units=sample.units)
    ended = nplmon(
        *("monitor", "create", "tolerant", "--reference", sample.name, "--effect-size-floor", "0.02"),
        *("--template", "up", "--template", "down", "--json"),
    )
    assert ended.code == 0, ended.err
    said = json.loads(ended.out)["tolerance"]
    assert said["effect_size"] == 0.02
    assert [one["name"] for one in said["templates"]] == ["up", "down"]
    shown = nplmon("monitor", "show", "tolerant").out
    assert "effect size up to 0.02; mixtures with up (" in shown
    assert client.monitor("tolerant").tolerance.templates[1].name == "down"
    refused = nplmon("monitor", "create", "no", "--reference", sample.name, "--template", sample.name)
    assert refused.code != 0
    assert "has the events of" in refused.err
    client.delete_monitor("tolerant")


def test_a_run_says_what_is_tolerated() -> None:
    mixture = (TemplateFraction(name="up", fraction=0.25),)
    assert tolerance_words(ToleranceState(templates=mixture)) == "mixture: 0.25 up"
    withheld = ToleranceState(
        templates=mixture, effect_size=0.1, withheld=True, reason="alarm withheld: small"
    )
    assert tolerance_words(withheld) == "mixture: 0.25 up; alarm withheld: small"
