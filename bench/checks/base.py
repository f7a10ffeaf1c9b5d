"""What a check is: it builds what it needs on a stage, tries it, and says what it found."""

from __future__ import annotations

from abc import ABC, abstractmethod

from bench.checked import Report
from bench.stage import Stage


class Check(ABC):
    """One thing besides speed for which people choose a network.

    ``takes`` says in words about how long it is at work on three hosts.
    """

    name: str
    title: str
    takes: str

    @abstractmethod
    def run(self, stage: Stage) -> Report:
        """Build, try, and tell. What it leaves on the stage is cleared for it.

        Raises NetbenchError where it cannot come to its end: the check has failed then, with that
        reason. What cannot be looked at here for want of something is skipped in the report.
        """
