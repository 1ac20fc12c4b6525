"""Simulated event streams: benchmark samples, detector faults, named scenarios and their replay."""
