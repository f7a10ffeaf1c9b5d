"""What `asv publish` makes of an export, by asv's own commands: pages that need no internet."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.cli.asv import command
from bench.history.pages import without_internet

from .many_runs import nights

ROOT = Path(__file__).parents[2]
TO_HOST = "iperf3-tcp.cross-host.throughput_times_host"


def asv(at: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "asv", *words],
        cwd=at,
        env={"PATH": "/usr/bin:/bin", "HOME": str(at), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the configuration of this repository, and twelve runs, a new engine and a
    step in overlay from the eighth on."""

    def special(night: int) -> dict[str, Any]:
        late = night >= 7
        facts = {"engine": "26.1.5" if late else "20.10.24"}
        return {"facts": facts, "changes": {"overlay": 0.6} if late else {}}

    root = tmp_path_factory.mktemp("project")
    nights(root / "results", 12, special=special, spread=0.01, blocks=6)
    command(
        ["export", str(root / "results"), "--into", str(root / "results" / "asv")],
        standalone_mode=False,
    )
    (root / "asv.conf.json").write_text((ROOT / "asv.conf.json").read_text())
    asv(root, "publish")
    return root


def pages(project: Path) -> Path:
    return project / "results" / "asv" / "html"


def test_the_pages_load_nothing_from_elsewhere(project: Path) -> None:
    text = (pages(project) / "index.html").read_text()
    loaded = re.findall(r'<(?:script|link)[^>]*?(?:src|href)="([^"]+)"', text, re.DOTALL)
    assert len(loaded) > 15
    for one in loaded:
        assert "//" not in one
        assert one == "regressions.xml" or (pages(project) / one).is_file(), one
    assert "MIT" in (pages(project) / "vendor" / "LICENSES.txt").read_text()


def test_a_script_that_we_do_not_ship_is_left_and_named() -> None:
    page = (
        '<script src="https://cdn.example/a/jquery-9.9.9.min.js" integrity="sha256-x"></script>\n'
        '<script src="https://cdn.example/b/jquery.flot.time.min.js" integrity="y"\n'
        ' crossorigin="anonymous" onerror="js_load_failure()"></script>'
    )
    text, missing = without_internet(page)
    assert missing == ("cdn.example/a/jquery-9.9.9.min.js",)
    assert text.startswith('<script src="https://cdn.example/a/jquery-9.9.9.min.js"')
    ours = '<script src="vendor/jquery.flot.time.js" onerror="js_load_failure()"></script>'
    assert " ".join(text.splitlines()[1:]).replace("  ", " ") == ours


def test_the_graphs_have_every_run_the_tag_and_the_step(project: Path) -> None:
    index = json.loads((pages(project) / "index.json").read_text())
    assert list(index["tags"]) == ["engine-26.1.5-20260108-0300"]
    (graph,) = (pages(project) / "graphs").rglob(f"summary/{TO_HOST}.json")
    assert len(json.loads(graph.read_text())) == 12
    found = json.loads((pages(project) / "regressions.json").read_text())["regressions"]
    names = {name: jumps for name, _, _, _, _, _, jumps in found}
    (jump,) = names[f"{TO_HOST}(overlay/direct)"]
    assert jump[1] == next(iter(index["tags"].values()))
    assert not any("bridge" in name for name in names)


def test_asv_shows_and_compares_runs(project: Path) -> None:
    assert len(re.findall(r"^    [0-9a-f]{8}$", asv(project, "show"), re.MULTILINE)) == 12
    shown = asv(project, "show", "main")
    assert TO_HOST in shown
    compared = asv(project, "compare", "main~11", "main")
    (row,) = [line for line in compared.splitlines() if f"{TO_HOST}(overlay/direct)" in line]
    assert "1.6" in row


@pytest.fixture(scope="module")
def served(project: Path) -> Iterator[str]:
    """The pages' address on a server of their own, on the loopback."""
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        cwd=pages(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = re.search(r"port (\d+)", server.stdout.readline())
        assert port
        yield f"http://127.0.0.1:{port[1]}/"
    finally:
        server.terminate()
        server.communicate()


def seen(url: str, profile: Path) -> str:
    """What Chromium makes of a page when no name resolves and nothing but the loopback answers."""
    return subprocess.run(
        [
            "chromium",
            *("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"),
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            *("--virtual-time-budget=20000", "--dump-dom", url),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout


@pytest.mark.skipif(not shutil.which("chromium"), reason="Chromium is not installed")
@pytest.mark.parametrize(
    ("page", "texts"),
    [
        ("#/", ("cross-host TCP throughput, times host", "benchmark-container")),
        (f"#{TO_HOST}", ("treatment-overlay/direct", "engine-26.1.5-20260108-0300", "times host<")),
        ("#/regressions", (f"{TO_HOST}(overlay/direct)", "2026-01-08 03:00")),
    ],
)
def test_a_browser_without_internet_shows_them(
    served: str, tmp_path: Path, page: str, texts: tuple[str, ...]
) -> None:
    found = seen(served + page, tmp_path)
    assert "Can not determine continental origin" not in found
    for text in texts:
        assert text in found
