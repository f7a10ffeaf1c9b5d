"""docs/add-a-workload.md, followed to the letter in a copy of the checkout."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/add-a-workload.md").read_text()
# "`a/file`, perhaps a word:", an empty line, and what is to be in it.
FILES = re.findall(r"^`([\w./-]+)`[^\n]*:\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(COMMANDS,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NEEDED = ("bench", "pyproject.toml", "hosts/example-cloud.yaml", "tests/__init__.py", "tests/unit")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    copy = tmp_path / "netbench"
    skip = shutil.ignore_patterns("__pycache__")
    for name in (*NEEDED, *(f"tests/golden/{one.name}" for one in golden())):
        whole = ROOT / name
        if whole.is_dir():
            shutil.copytree(whole, copy / name, ignore=skip)
        elif whole.exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(whole, copy / name)
    for name, content in FILES:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(content)
    return copy


def golden() -> list[Path]:
    return [one for one in (ROOT / "tests/golden").iterdir() if one.is_dir()]


def run(checkout: Path, command: str) -> str:
    """One of the page's commands, by the copy's own netbench."""
    tool, *words = command.split()
    module = {"pytest": "pytest", "netbench": "bench"}[tool]
    if tool == "pytest":
        # What the page is about, of all that is tried.
        words += ["-q", "-p", "no:cacheprovider", "-k", "pingpong or share"]
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=checkout,
        env={"PYTHONPATH": str(checkout), "PATH": "/usr/bin:/bin", "HOME": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return done.stdout


def test_the_page_adds_a_workload_of_forty_lines(checkout: Path) -> None:
    name, content = FILES[0]
    assert name == "bench/workloads/tcp_pingpong.py"
    code = [line for line in content.split("\n") if line.strip()]
    assert len(code) <= 45
    tried, planned = (run(checkout, command) for command in COMMANDS.strip().split("\n"))
    # The contract, two kinds of damage, two golden cases, what names are shared, its parameters.
    assert int(re.search(r"(\d+) passed", tried)[1]) >= 7  # type: ignore[index]
    assert "failed" not in tried
    assert "tcp-pingpong: TCP ping-pong of 64 bytes (sockperf): round_trips [1/s]" in planned


def test_the_pages_code_is_in_the_house_style(checkout: Path) -> None:
    for command in (["ruff", "check"], ["ruff", "format", "--check"]):
        done = subprocess.run(
            [str(Path(sys.executable).with_name(command[0])), *command[1:], FILES[0][0]],
            cwd=checkout,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
