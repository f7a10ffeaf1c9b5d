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
    after which none did (None where none failed, or they went on to fail to the end); the last that
    the task of before the fault answered, and the first that another did (None where none did)."""

    lost: int
    requests: int
    first_failed: float | None
    steady: float | None
    old_last: float | None = None
    new_first: float | None = None


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
    good = [beat for beat in beats if beat.good]
    # Those sent just before the fault may have been answered by the one that came after it.
    old = next((beat.words for beat in reversed(good) if beat.sent < fault - PATIENCE), None)
    by_old = [beat.sent - fault for beat in good if beat.words == old and beat.sent >= fault]
    by_new = [beat.sent - fault for beat in good if beat.words != old and beat.sent >= fault]
    later = [beat.sent - fault for beat in after if failed and beat.sent > failed[-1].sent]
    return Outage(
        lost=len(failed),
        requests=len(beats),
        first_failed=failed[0].sent - fault if failed else None,
        steady=later[0] if later else None,
        old_last=by_old[-1] if by_old else None,
        new_first=by_new[0] if by_new else None,
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
        "another runs": replaced,
        "name is right": right,
        "steady answers": seen.steady,
        "old one's last answer": seen.old_last,
        "another answers": seen.new_first,
    }
    figures = [
        Figure(group, name, value, "s") for name, value in times.items() if value is not None
    ]
    figures.append(Figure(group, f"lost of {seen.requests}", float(seen.lost), "requests"))
    found = f"{seen.lost or 'none'} of {seen.requests} requests lost"
    return Finding(group, "steady requests", "comes back", found, failure), figures
