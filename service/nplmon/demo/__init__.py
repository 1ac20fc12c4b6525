"""The main job, played from end to end with real processes: the command `nplmon demo`."""

from nplmon.demo.play import play
from nplmon.demo.report import Report
from nplmon.demo.service import RunningService
from nplmon.demo.stream import Stream, real_stream, simulated_stream

__all__ = ["Report", "RunningService", "Stream", "play", "real_stream", "simulated_stream"]
