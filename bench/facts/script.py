"""Programs of netbench's own that run on a host for a moment: Python over standard input."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from bench.errors import HostError
from bench.remote.api import Machine


@dataclass(frozen=True, slots=True)
class Script:
    """A file of a package that takes a mode and a JSON object, and prints a JSON object.

    ``title`` is what errors call it, and ``lost`` says what is not known of a host (``{host}``) on
    which it cannot run.
    """

    package: str
    file: str
    title: str
    lost: str

    def run(
        self, machine: Machine, mode: str, config: dict[str, Any], within: float
    ) -> dict[str, Any]:
        """Run it to its end, ``within`` seconds. Raises HostError, saying what failed."""
        argv = ("python3", "-", mode, json.dumps(config))
        text = files(self.package).joinpath(self.file).read_bytes()
        done = machine.shell.run(argv, stdin=text, timeout=within)
        name = machine.host.name
        if done.exit_code != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            why = said[-1] if said else f"exit code {done.exit_code}"
            raise HostError(
                name,
                f"`{shlex.join(argv[:3])}` of {self.title} failed: {why}",
                f"{self.lost.format(host=name)}: it needs python3, 3.6 or newer",
            )
        try:
            answer = json.loads(done.stdout)
        except ValueError as fault:
            raise HostError(name, f"{self.title} printed no JSON: {done.stdout!r:.60}") from fault
        if not isinstance(answer, dict):
            raise HostError(name, f"{self.title} printed no JSON object: {done.stdout!r:.60}")
        return answer
