"""The search for a rate of UDP: what netbench-udp-search asks of an iperf3 that loses by rule."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import toolbox, workloads
from bench.model import Measurement
from bench.workloads.base import ToolOutput

SEARCH = Path(toolbox.__file__).parent / "files" / "netbench-udp-search"

# Stands in for iperf3: a path that carries CARRIES bit/s and loses what is beyond, a sender that
# can do SENDS, and now and then (BURST: the numbers of executions) a burst of somebody else's.
IPERF3 = """#!{python}
import json, os, sys
words = sys.argv[1:]
value = lambda name: words[words.index(name) + 1]
log = os.environ["LOG"]
with open(log, "a") as file:
    file.write(" ".join(words) + "\\n")
number = len(open(log).readlines())
if str(number) in os.environ.get("BUSY", "").split():
    print(json.dumps({{"start": {{}}, "error": "the server is busy running a test"}}))
    sys.exit(1)
length, seconds, target = int(value("--length")), int(value("--time")), float(value("--bitrate"))
sends, carries = float(os.environ["SENDS"]), float(os.environ["CARRIES"])
rate = min(target or sends, sends)
packets = round(rate * seconds / 8 / length)
lost = round(max(0.0, rate - carries) * seconds / 8 / length)
if str(number) in os.environ.get("BURST", "").split():
    lost = max(lost, packets // 50)
lost = max(lost, round(packets * float(os.environ.get("ALWAYS", "0"))))
bytes_ = (packets - lost) * length
print("warning: something")
print(json.dumps({{
    "start": {{"test_start": {{"protocol": "UDP", "blksize": length, "duration": seconds,
                              "target_bitrate": target}}}},
    "end": {{"sum_sent": {{"packets": packets, "bits_per_second": rate}},
            "sum_received": {{"bytes": bytes_, "bits_per_second": bytes_ * 8 / seconds,
                             "jitter_ms": 0.01, "seconds": seconds}}}},
}}, indent=1))
"""


def search(tmp_path: Path, steps: int = 10, **world: object) -> tuple[ToolOutput, list[list[str]]]:
    """What the search printed, and what it asked of iperf3 each time."""
    fake = tmp_path / "iperf3"
    fake.write_text(IPERF3.format(python=sys.executable))
    fake.chmod(0o755)
    log = tmp_path / "asked"
    log.unlink(missing_ok=True)
    told = {name.upper(): str(value) for name, value in world.items()}
    done = subprocess.run(
        [
            *(str(SEARCH), "--look=1", f"--steps={steps}", "--seconds=2", "--limit=0.5"),
            *("--limit=0", "--json", "--udp", "--client", "198.18.0.9", "--length", "1400"),
        ],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(log), **told},
        capture_output=True,
        check=False,
        timeout=120,
    )
    asked = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return ToolOutput(done.returncode, done.stdout, done.stderr), asked


def found(output: ToolOutput) -> tuple[Measurement, dict[str, float]]:
    measured = workloads.known()["udp-stream"].parse(output)
    return measured, {sample.metric: sample.value for sample in measured.samples}


@pytest.mark.parametrize("carries", [3e6, 2e8, 9.4e9])
def test_both_limits_are_found_to_two_per_cent(tmp_path: Path, carries: float) -> None:
    output, asked = search(tmp_path, steps=14, sends=8 * carries, carries=carries)
    measured, values = found(output)
    # At 0.5 % of loss a little more is sent than is carried.
    assert 0.98 * carries < values["udp_goodput"] <= 1.001 * carries
    assert 0.97 * carries < values["udp_goodput_lossless"] <= 1.001 * carries
    assert [step.paced for step in measured.steps] == [False] + [True] * 14
    assert [words[words.index("--time") + 1] for words in asked] == ["1"] + ["2"] * 14


def test_a_sender_that_is_the_limit_is_believed_when_it_sends_at_a_pace(tmp_path: Path) -> None:
    output, _ = search(tmp_path, steps=8, sends=1e9, carries=5e9)
    measured, values = found(output)
    assert values["udp_goodput"] == values["udp_goodput_lossless"]
    assert 0.97e9 < values["udp_goodput"] <= 1e9
    assert measured.steps[0].offered == pytest.approx(1e9, rel=1e-3)


def test_one_burst_of_somebody_elses_does_not_decide(tmp_path: Path) -> None:
    # The first paced step would have passed.
    output, _ = search(tmp_path, steps=12, sends=4e9, carries=1e9, burst="2")
    assert found(output)[1]["udp_goodput"] > 0.95e9


def test_a_path_that_always_loses_a_little_has_no_lossless_rate(tmp_path: Path) -> None:
    output, _ = search(tmp_path, steps=8, sends=4e9, carries=1e9, always=0.001)
    values = found(output)[1]
    assert "udp_goodput_lossless" not in values
    assert values["udp_goodput"] > 0.9e9


def test_a_server_that_is_not_ready_is_asked_again_twice_and_no_more(tmp_path: Path) -> None:
    output, asked = search(tmp_path, steps=8, sends=4e9, carries=1e9, busy="4 5")
    assert output.exit_code == 0
    assert len(asked) == 9 + 2
    assert len(found(output)[0].steps) == 9
    output, asked = search(tmp_path, steps=8, sends=4e9, carries=1e9, busy="4 5 6")
    assert output.exit_code == 1
    assert len(asked) == 6
    last = output.stdout.decode().rpartition("netbench-udp-search: step ")[2]
    assert json.loads(last.partition("\n")[2])["error"] == "the server is busy running a test"


@pytest.mark.parametrize("words", [[], ["--steps=3"], ["--steps=3", "--look=1", "--seconds=1"]])
def test_wrong_usage_is_said_in_one_line(words: list[str]) -> None:
    done = subprocess.run(
        [str(SEARCH), *words], capture_output=True, check=False, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.startswith("usage: netbench-udp-search --look=SECONDS")
    assert done.stderr.count("\n") == 1
