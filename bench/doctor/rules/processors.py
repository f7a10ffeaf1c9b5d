"""Processors that have no time left for packets."""

from __future__ import annotations

from collections.abc import Iterable

from bench.doctor.base import Examination, Finding, Rule, Sure, together

FULL, RECEIVING, STOLEN = 0.95, 0.7, 0.1


class Processors(Rule):
    name = "cpu"
    title = "CPU saturation"

    def find(self, seen: Examination) -> Iterable[Finding]:
        told = []
        for host, look in seen.hosts.items():
            full = [place for place, core in enumerate(look.cores) if core.busy >= FULL]
            stolen = max((core.steal for core in look.cores), default=0.0)
            if look.cores and len(full) == len(look.cores):
                told.append((host, ("all", f"all {len(full)} cores were busy all the time")))
            for place in full:
                share = look.cores[place].softirq
                if share >= RECEIVING:
                    said = f"core {place} spent {share:.0%} of its time on softirqs"
                    told.append((host, ("softirq", said)))
            if stolen >= STOLEN:
                said = f"the hypervisor gave {stolen:.0%} of a core's time to others"
                told.append((host, ("steal", said)))
        yield from together(told, lambda where, one: self._finding(where, *one))

    def _finding(self, where: str, kind: str, evidence: str) -> Finding:
        what, advice = {
            "all": (
                "its processors are full before any test began: every packet waits its turn",
                "see `top`; end what is not needed, or take a larger machine",
            ),
            "softirq": (
                "one core receives all packets and is full",
                "spread the card's queues (`ethtool -L`, irqbalance) or switch RPS on",
            ),
            "steal": (
                "it does not get the processor time that it was given",
                "the machine below is overcommitted: move it, or take a size without bursting",
            ),
        }[kind]
        return self.finding(where, what, Sure.CERTAIN, evidence, advice)


RULE = Processors()
