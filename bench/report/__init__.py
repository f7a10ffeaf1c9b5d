"""A stored run for people: tables for a terminal, a Markdown and an HTML page."""

from __future__ import annotations

from bench.report.pages import ReportPaths, write_report
from bench.report.picture import Drawing, as_text, drawings
from bench.report.table import console, render_table

__all__ = [
    "Drawing",
    "ReportPaths",
    "as_text",
    "console",
    "drawings",
    "render_table",
    "write_report",
]
