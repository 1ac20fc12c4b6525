"""Every function of the road of a chunk against a plain model: any order, repeated calls, lost replies, late hands."""

from __future__ import annotations

import os
from functools import partial

import pytest
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.broker.beside import SEEN
from tests.broker.machine import Machine

from nplmon.broker.embedded import EmbeddedStore

FIRST, LAST = (
    int(os.environ.get(f"MACHINE_{end}", default)) for end, default in (("FIRST", "1"), ("LAST", "2"))
)
"""Seeds; `make chaos` goes more roads."""
PATIENCE = 12
"""Seeds that may be added until every answer was given."""
WANTED = {
    "admit": "accepted duplicate conflict epoch-moved run-closed full unknown-monitor",
    "replay": "accepted duplicate run-closed full unknown-monitor unknown-chunk",
    "delete dead": "True False",
    "place": "queued leased fitted applied dead None",
    "take": "some none",
    "take over": "some none buried",
    "renew": "some none",
    "finish": "finished duplicate superseded lost",
    "hand back": "handed back,lost,dead",
    "hold": "True False",
    "save": "saved fenced superseded moved",
    "turn": "True False",
    "close": "True False",
    "reset": "True False",
    "acknowledge": "acknowledged no-alarm changed",
    "begin test": "True False",
    "end test": "True False",
    "create": "True False",
    "change": "True False",
    "delete": "True False",
}


@pytest.fixture(autouse=True)
def _no_key_leaks() -> None:
    """Each road looks for leaks at its own end."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_any_order_of_calls_does_what_the_model_does(store: EmbeddedStore) -> None:
    """A seed is good for twenty-five roads of sixty steps, the same each time; that of one that fails is printed."""
    wanted = {
        (function, answer)
        for function, answers in WANTED.items()
        for answer in answers.split("," if "," in answers else None)
    }
    for number in range(FIRST, LAST + PATIENCE):
        if number > LAST and wanted <= set(SEEN):
            break
        print("seed", number, "after", sorted(wanted - set(SEEN)))
        run_state_machine_as_test(
            seed(number)(partial(Machine, store.url)),
            settings=settings(
                max_examples=25,
                stateful_step_count=60,
                deadline=None,
                derandomize=False,
                database=None,
                print_blob=True,
            ),
        )
    assert sorted(wanted - set(SEEN)) == [], f"answers that no road has come by; those it has: {SEEN}"
