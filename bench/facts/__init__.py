"""What hosts are made of, whether they are fit to be measured on, and what a run should know."""

from __future__ import annotations

from bench.facts.findings import Problem
from bench.facts.host import gather
from bench.facts.network import networks_in_use
from bench.facts.preflight import HostReport, Report, check

__all__ = ["HostReport", "Problem", "Report", "check", "gather", "networks_in_use"]
