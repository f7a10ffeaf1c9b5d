"""A plugin of asv's: pages that need no internet.

What `asv publish` writes loads its libraries from other people's servers, and without them shows an
error page. This puts them beside the pages (``vendor/``; whose they are says LICENSES.txt there)
and has the pages load those. ``asv.conf.json`` names it: ``"plugins": [".bench.history.pages"]``.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from asv.console import log
from asv.publishing import OutputPublisher

VENDOR = Path(__file__).with_name("vendor")
_ELSEWHERE = re.compile(
    r'<(?P<kind>script|link)\b(?P<before>[^>]*?)\b(?P<what>src|href)="(?:https?:)?//(?P<url>[^"]+)"'
    r"[^>]*>"
)


class Offline(OutputPublisher):  # type: ignore[misc]  # asv has no types
    """Runs after asv has written its pages."""

    name = "offline"
    button_label = ""
    description = "Scripts beside the pages"

    @classmethod
    def publish(
        cls, conf: Any, _repo: object, _benchmarks: object, _graphs: object, _revisions: object
    ) -> None:
        folder = Path(conf.html_dir)
        shutil.copytree(VENDOR, folder / "vendor", dirs_exist_ok=True)
        index = folder / "index.html"
        text, missing = without_internet(index.read_text(encoding="utf-8"))
        index.write_text(text, encoding="utf-8")
        for url in missing:
            log.warning(f"the pages still load {url}, which netbench does not ship")


def without_internet(page: str) -> tuple[str, tuple[str, ...]]:
    """The page with our copies of what it loads from elsewhere, and the URLs of which we have
    none."""
    missing = []

    def ours(found: re.Match[str]) -> str:
        name = found["url"].rpartition("/")[2]
        here = next(
            (one for one in (name, name.replace(".min.", ".")) if (VENDOR / one).is_file()), ""
        )
        if not here:
            missing.append(found["url"])
            return found[0]
        kept = re.sub(r'\s(integrity|crossorigin|referrerpolicy)="[^"]*"', "", found[0])
        return re.sub(r'\b(src|href)="[^"]*"', rf'\1="vendor/{here}"', kept)

    return _ELSEWHERE.sub(ours, page), tuple(missing)
