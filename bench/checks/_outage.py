"""What a client with a steady rate of requests saw of a fault. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.checked import Figure, Finding
from bench.errors import ParseError

# Seconds that one request may take.
PATIENCE = 1


@dataclass(frozen=True, slots=True)
class Beat:
    """One request: when it was sent (Unix time), whether it was answered, by whom or why not."""

    sent: float
    good: bool
    words: str


@dataclass(frozen=True, slots=True)
class Outage:
    """What a client saw of a fault, in seconds from it: the first request that failed and the first
    after which none did (None where none failed, or they went on to fail to the end)."""

    lost: int
    requests: int
    first_failed: float | None
    steady: float | None


def parse(text: str) -> list[Beat]:
    """What `netbench-ask beat` printed, in the order of sending. Raises ParseError for anything
    else, and for nothing."""
    found = []
    for line in text.splitlines():
        try:
            sent, _micros, verdict, *words = line.split(" ", 3)
            beat = Beat(float(sent), verdict == "ok", " ".join(words).strip())
        except ValueError as fault:
            raise ParseError(f"netbench-ask beat said {line!r:.80}") from fault
        if verdict not in ("ok", "no"):
            raise ParseError(f"netbench-ask beat said {line!r:.80}")
        found.append(beat)
    if not found:
        raise ParseError("netbench-ask beat said nothing")
    return sorted(found, key=lambda beat: beat.sent)


def outage(beats: Sequence[Beat], fault: float) -> Outage:
    """What requests say of a fault at a time on the client's clock. Those sent up to ``PATIENCE``
    before it may fail by it."""
    after = [beat for beat in beats if beat.sent >= fault - PATIENCE]
    failed = [beat for beat in after if not beat.good]
    if not failed:
        return Outage(0, len(beats), None, None)
    later = [beat.sent for beat in after if beat.sent > failed[-1].sent]
    return Outage(
        len(failed), len(beats), failed[0].sent - fault, later[0] - fault if later else None
    )


def told(
    group: str, seen: Outage, replaced: float | None, right: float | None, *, within: float
) -> tuple[Finding, list[Figure]]:
    """An outage as a finding and figures. It fails where the service does not come back ``within``
    so many seconds."""
    failure = ""
    if replaced is None:
        failure = f"{group}: Swarm ran no replacement within {within:.0f} s"
    elif right is None:
        failure = f"{group}: the name was not right within {within:.0f} s"
    elif seen.lost and seen.steady is None:
        failure = f"{group}: requests failed to the end, {within:.0f} s after the fault"
    times = {
        "first failed request": seen.first_failed,
        "replacement runs": replaced,
        "name is right": right,
        "steady answers": seen.steady,
    }
    figures = [
        Figure(group, name, value, "s") for name, value in times.items() if value is not None
    ]
    figures.append(Figure(group, f"lost of {seen.requests}", float(seen.lost), "requests"))
    found = f"{seen.lost} of {seen.requests} requests lost"
    return Finding(group, "steady requests", "comes back", found, failure), figures
