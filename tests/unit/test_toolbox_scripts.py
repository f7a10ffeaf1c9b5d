"""What the image's scripts do around netperf and h2load, and with what a server has started."""

import os
import subprocess
from pathlib import Path

import pytest

from bench.toolbox import build
from tests.unit.test_toolbox import alive, start_serve, wait_for

FILES = Path(build.__file__).parent / "files"

NETPERF = """#!/bin/sh
echo "netperf $*"
echo "a word" >&2
[ -z "${FAILS-}" ] || exit "$FAILS"
"""
H2LOAD = """#!/bin/sh
case $1 in --log-file=*) printf '1\\t200\\t150\\n' >"${1#--log-file=}";; esac
"""
PROBE = """#!/bin/sh
echo "$*" >>"$ASKED"
[ -z "${CHANGED-}" ] || { echo "netbench-probe: the body came back changed" >&2; exit 1; }
echo task.1
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, script in (("netperf", NETPERF), ("h2load", H2LOAD), ("netbench-probe", PROBE)):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    return tmp_path


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=10)


def netperf(*words: str) -> subprocess.CompletedProcess[str]:
    return run("sh", str(FILES / "netbench-netperf"), *words)


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("test", ["TCP_RR", "UDP_RR", "TCP_CRR"])
def test_netperf_says_nothing_of_its_warm_up(test: str) -> None:
    done = netperf("2", "7", test, "-H", "a", "--", "-r", "1,1")
    assert done.stdout == f"netperf -t {test} -l 7 -H a -- -r 1,1\n"
    assert done.stderr == "a word\n"


@pytest.mark.parametrize(("test", "warms"), [("UDP_RR", "UDP_RR"), ("TCP_CRR", "TCP_RR")])
def test_netperf_that_fails_in_its_warm_up_is_not_started_again(
    tools: Path, monkeypatch: pytest.MonkeyPatch, test: str, warms: str
) -> None:
    assert tools
    monkeypatch.setenv("FAILS", "255")
    done = netperf("2", "7", test, "-H", "a")
    assert done.returncode == 255
    assert done.stdout == f"netperf -t {warms} -l 2 -H a\na word\n"


@pytest.mark.usefixtures("tools")
def test_netperf_without_a_warm_up_is_started_once_and_without_words_refused() -> None:
    done = netperf("0", "-10", "TCP_RR", "-H", "a")
    assert (done.returncode, done.stdout) == (0, "netperf -t TCP_RR -l -10 -H a\n")
    assert netperf("0", "1").returncode == 2


@pytest.mark.parametrize("changed", ["", "yes"])
def test_http_load_that_is_to_check_sends_bodies_at_the_end(
    tools: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    monkeypatch.setenv("CHANGED", changed)
    load = ("perl", str(FILES / "netbench-http-load"))
    url = "http://198.18.0.9:15280/echo-and-close"
    done = run(*load, "--checked", "--logged-duration=1", "--h1", url)
    assert (tools / "asked").read_text() == "198.18.0.9 15280\n"
    if changed:
        assert done.returncode == 75
        said = "netbench-http-load: netbench-probe: the body came back changed\n"
        assert done.stderr == said
    else:
        assert (done.returncode, done.stderr) == (0, "1 200 150\n")
    run(*load, "--logged-duration=1", "--h1", url)
    assert (tools / "asked").read_text().count("\n") == 1


def test_what_a_command_has_started_is_ended_with_it(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    serve = start_serve("sh", "-c", 'sleep 60 & echo $! >>"$0"; wait', str(pids))
    try:
        wait_for(lambda: pids.exists() and bool(pids.read_text()))
        serve.send_signal(1)
        wait_for(lambda: len(pids.read_text().split()) == 2)
        first, second = map(int, pids.read_text().split())
        wait_for(lambda: not alive(first))
        assert alive(second)
        serve.terminate()
        assert serve.wait(5) == 0
        wait_for(lambda: not alive(second))
    finally:
        serve.kill()
        serve.communicate()
