"""The page that people look at: HTML, styles and scripts as the browser loads them; Python only reads the files."""

from nplmon.page.files import PageFile, page_files, plotly_file

__all__ = ["PageFile", "page_files", "plotly_file"]
