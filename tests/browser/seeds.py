"""A service as it is in the middle of a shift: six monitors, each in a state of its own."""

from __future__ import annotations

from tests.browser.service import CONTACT, RUNBOOK, Service

SHIFT = {
    "tracker": "Momenta of muon pairs, after every refill of the gas",
    "muon-chambers": "Sectors of the muon chambers",
    "calorimeter": "Noise between the bunches",
    "trigger": "Turn-on of the dimuon trigger",
    "forward": "Forward spectrometer",
    "luminosity": "Muon pairs for the luminosity",
}
RUN, CHUNKS, BEGINS = "night-7", 24, 13
"""What is odd begins with chunk number 13."""


def seed(service: Service) -> None:
    """Bring `tracker` into an alarm, `muon-chambers` into one that is acknowledged, `calorimeter` into a warning.

    `trigger` is ok, `forward` stale with a dead letter, `luminosity` waits for its first chunk. The streams have fixed
    seeds, so each state is reached in the same way each time.
    """
    for name, description in SHIFT.items():
        stale_after = 1.0 if name == "forward" else 600.0
        handling = {"runbook": RUNBOOK, "contact": CONTACT, "stale_after": stale_after}
        service.watch(name, description=description, handling=handling)
    service.push_broken("forward", RUN)
    service.push("forward", RUN, range(201, 201 + CHUNKS))
    runs = {
        "trigger": ("dimuon-quiet", None),
        "muon-chambers": ("dimuon-dead-sector", 1.0),
        "calorimeter": ("dimuon-noise", 0.028),
        "tracker": ("dimuon-gain-shift", -0.03),
    }
    for name, (odd, strength) in runs.items():
        service.push(name, RUN, range(1, BEGINS))
        service.push(name, RUN, range(BEGINS, CHUNKS + 1), odd=odd, strength=strength)
    with service.client() as client:
        snapshot = client.statistic("muon-chambers").snapshot
        assert snapshot is not None
        assert snapshot.alarm.level == "alarm"
        client.acknowledge(
            "muon-chambers",
            RUN,
            who="Grace",
            comment="Sector 5 has tripped; it is being ramped up again.",
            level="alarm",
            sequence=snapshot.alarm.sequence or 0,
        )
