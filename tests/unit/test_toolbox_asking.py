"""The image's own asker and answerer, run here on the loopback: what they print is what is read."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import toolbox
from bench.checks import _outage, _reach, balance, dns

FILES = Path(toolbox.__file__).with_name("files")
HERE = "127.0.0.1"
# Takes connections and says nothing.
SILENT = (
    "use IO::Socket::INET;"
    "my $deaf = IO::Socket::INET->new(Listen => 99, LocalAddr => shift) or die; sleep"
)


def ask(*words: str) -> subprocess.CompletedProcess[str]:
    argv = ["perl", str(FILES / "netbench-ask"), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def said(*words: str) -> str:
    done = ask(*words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def ports() -> tuple[str, str, str]:
    """Of the answerer, of one who is silent, and of nobody."""
    first = 20_000 + os.getpid() % 20_000
    return str(first), str(first + 1), str(first + 2)


@pytest.fixture(scope="module", autouse=True)
def _running(ports: tuple[str, str, str]) -> Iterator[None]:
    environment = {**os.environ, "NETBENCH_TASK": "task-1"}
    argv = ["perl", str(FILES / "netbench-answer"), ports[0], HERE]
    with (
        subprocess.Popen(argv, env=environment) as answer,
        subprocess.Popen(["perl", "-e", SILENT, f"{HERE}:{ports[1]}"]) as silent,
    ):
        assert ask("first", "20", HERE, ports[0]).stdout.startswith("task-1 ")
        yield
        answer.terminate()
        silent.terminate()


def test_reach_tells_who_answers_each_way(ports: tuple[str, str, str]) -> None:
    open_, _, nobody = ports
    targets = [
        *(f"{how}:{HERE}:{port}" for how in ("tcp", "udp") for port in (open_, nobody)),
        *("name:localhost", "name:no-such-name.invalid"),
    ]
    found = _reach.parse(said("reach", "30", *targets))
    assert set(found) == set(targets)
    yes = {target for target, (there, _) in found.items() if there}
    assert yes == {f"tcp:{HERE}:{open_}", f"udp:{HERE}:{open_}", "name:localhost"}
    assert found[f"udp:{HERE}:{open_}"][1].split()[0] == "task-1"
    assert found["name:localhost"][1] == HERE
    assert "refused" in found[f"tcp:{HERE}:{nobody}"][1]


def test_one_that_hangs_is_given_up(ports: tuple[str, str, str]) -> None:
    (found,) = _reach.parse(said("reach", "1", f"tcp:{HERE}:{ports[1]}")).values()
    assert found == (False, "no answer within 1 s")


def test_lookups_are_timed_and_told() -> None:
    lookups = dns.parse(said("lookup", "3", "localhost"))
    assert [one.addresses for one in lookups] == [(HERE,)] * 3
    assert all(one.seconds > 0 for one in lookups)
    assert dns.parse(said("lookup", "1", "no-such-name.invalid"))[0].addresses == ()


@pytest.mark.parametrize("connections", ["0", "3"])
def test_requests_are_counted_by_who_answered(
    ports: tuple[str, str, str], connections: str
) -> None:
    spread = balance.parse(said("spread", "7", connections, HERE, ports[0]))
    assert (sum(spread.answered.values()), len(spread.answered)) == (7, 1)
    assert not spread.failed
    failed = balance.parse(said("spread", "2", connections, HERE, ports[2]))
    assert not failed.answered
    assert sum(failed.failed.values()) == 2


def test_a_steady_rate_goes_on_whether_answers_come_or_not(ports: tuple[str, str, str]) -> None:
    beats = _outage.parse(said("beat", "10", "1", "30", HERE, ports[0]))
    assert [beat.good for beat in beats] == [True] * 10
    # The rate is kept, whether the one before is answered or not.
    late = _outage.parse(said("beat", "10", "1", "1", HERE, ports[1]))
    assert [beat.good for beat in late] == [False] * 10
    assert all("no answer within 1 s" in beat.words for beat in late)
    assert abs(beats[0].sent - time.time()) < 60


def test_who_never_answers_is_given_up(ports: tuple[str, str, str]) -> None:
    begun = time.monotonic()
    done = ask("first", "1", HERE, ports[2])
    assert done.returncode == 1
    assert time.monotonic() - begun > 1
    assert f"no answer from {HERE}:{ports[2]} within 1 s" in done.stderr


@pytest.mark.parametrize("words", [(), ("dance",), ("reach",)])
def test_what_cannot_be_asked_is_a_usage_error(words: tuple[str, ...]) -> None:
    assert ask(*words).returncode == 2


def test_a_capture_reads_what_is_plain(ports: tuple[str, str, str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("capturing needs root")
    argv = ["perl", str(FILES / "netbench-capture"), "8", "open-sesame", HERE, HERE]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as capture:
        time.sleep(3)
        for word in ("open-sesame", "something-else"):
            said("say", word, "5", HERE, ports[0])
        seen, _ = capture.communicate(timeout=60)
    words = seen.split()
    counts = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    assert (counts["esp"], counts["vxlan"]) == (0, 0)
    # The loopback shows each packet as it leaves and as it comes.
    assert counts["readable"] in range(5, 11)
    assert counts["packets"] >= 2 * counts["readable"]
