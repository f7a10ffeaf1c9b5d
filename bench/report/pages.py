"""Writing a run's report: charts, ``report.md`` and a ``report.html`` that needs no other file.

All text that was stored, hosts' and tools' included, is escaped for the page that it goes on.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.analysis.cpu import cpu_use
from bench.analysis.flags import Flag, find
from bench.analysis.summary import Summary, summarise
from bench.charts import Chart, draw
from bench.errors import StoreError
from bench.report.content import content
from bench.report.words import printable
from bench.store import StoredRun

_MARKED = re.compile(r"([\\`*_\[\]|~]|^[#+-])")


@dataclass(frozen=True, slots=True)
class ReportPaths:
    """Where a report is: its folder, its two pages, its charts."""

    folder: Path
    markdown: Path
    html: Path
    charts: tuple[Chart, ...]


def write_report(
    run: StoredRun,
    folder: Path | None = None,
    *,
    summary: Summary | None = None,
    flags: Sequence[Flag] | None = None,
) -> ReportPaths:
    """Write the pages and ``charts/`` into ``folder``, the run's own for None.

    ``summary`` and ``flags`` save making them again. Raises StoreError, naming the file, where one
    of them cannot be written or a stored histogram is damaged.
    """
    folder = run.path if folder is None else folder
    summary = summarise(run) if summary is None else summary
    flags = find(run, summary) if flags is None else flags
    charts = draw(summary, folder / "charts", cpu_use(run))
    known = content(run, summary, flags)
    markdown, html = folder / "report.md", folder / "report.html"
    pictures = [
        {"title": one.title, "alt": one.alt, "source": f"charts/{one.png.name}"} for one in charts
    ]
    _write(markdown, _page("report.md.j2", {**known, "charts": pictures}))
    pictures = [{"title": one.title, "alt": one.alt, "source": _inline(one.svg)} for one in charts]
    _write(html, _page("report.html.j2", {**known, "charts": pictures}))
    return ReportPaths(folder, markdown, html, charts)


def _page(template: str, variables: dict[str, Any]) -> str:
    markdown = template.endswith(".md.j2")
    environment = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_for_markdown if markdown else None,
    )
    return environment.get_template(template).render(variables)


def _for_markdown(value: object) -> Markup:
    """One line of text that no Markdown reader takes for markup, HTML included."""
    if isinstance(value, Markup):
        return value
    plain = printable(str(value)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Markup(_MARKED.sub(r"\\\1", plain))  # noqa: S704 - escaped right here


def _inline(picture: Path) -> str:
    try:
        data = picture.read_bytes()
    except OSError as fault:
        raise StoreError(f"{picture}: {fault.strerror}") from fault
    return f"data:image/svg+xml;base64,{base64.b64encode(data).decode('ascii')}"


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise StoreError(
            f"{path}: {fault.strerror}", "make room or name another folder with --out"
        ) from fault
