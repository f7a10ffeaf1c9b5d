"""Why is my overlay slow or broken? A minute's look at hosts, and rules that judge it."""

from __future__ import annotations

from bench.doctor.base import Examination, Finding, Rule, Sure
from bench.doctor.look import examine
from bench.doctor.rules import diagnose, known

__all__ = ["Examination", "Finding", "Rule", "Sure", "diagnose", "examine", "known"]
