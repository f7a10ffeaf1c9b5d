"""What hosts are made of, whether they are fit to be measured on, and what a run should know."""

from __future__ import annotations

from bench.facts.findings import Problem
from bench.facts.host import gather
from bench.facts.kernel import lacking
from bench.facts.network import networks_in_use, require_parent
from bench.facts.preflight import HostReport, Report, check
from bench.facts.underlay import complaints, underlay

__all__ = [
    "HostReport",
    "Problem",
    "Report",
    "check",
    "complaints",
    "gather",
    "lacking",
    "networks_in_use",
    "require_parent",
    "underlay",
]
