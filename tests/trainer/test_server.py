"""What a trainer needs at its start, and the choice of its device."""

from __future__ import annotations

import pytest
import torch

from nplmon import aggregator
from nplmon import trainer as trainers
from nplmon.settings import Settings
from nplmon.trainer.server import choose_device


def test_the_device_that_is_asked_for() -> None:
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(("cards", "device"), [(0, "cpu"), (2, "cuda:0")])
def test_auto_takes_a_cuda_device_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, cards: int, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
    assert choose_device("auto") == torch.device(device)


@pytest.mark.parametrize(("wish", "cards"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_a_device_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, wish: str, cards: int) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    with pytest.raises(ValueError, match=f"'{wish}' is not there: torch sees {cards} CUDA devices"):
        choose_device(wish)


@pytest.mark.parametrize("serve", [trainers.serve, aggregator.serve])
def test_without_a_store_it_does_not_start(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NPLMON_REDIS_URL", raising=False)
    for log in ("nplmon.trainer.server", "nplmon.aggregator.server"):
        monkeypatch.setattr(f"{log}.log_lines.configure", lambda *_: None)
    with pytest.raises(ValueError, match="set NPLMON_REDIS_URL"):
        serve(Settings())
