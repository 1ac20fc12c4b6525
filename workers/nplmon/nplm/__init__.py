"""The numerical core: arrays in, numbers out. No Redis, no HTTP, no clock, no global state.

`fit` needs torch; everything else is numpy and scipy, so that a reader of fitted ratios needs no torch.
"""
