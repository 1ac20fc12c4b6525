"""What can go wrong in an offline analysis, besides files that cannot be read.

AnalysisError         the samples or the settings do not allow what is asked for
"""


class AnalysisError(Exception):
    """The samples or the settings do not allow the analysis; told in one line."""
