"""A run on disk: the only place where measuring and reading meet.

    RUN/run.json       the head: plan, versions, machine facts; written before the first trial
    RUN/trials.jsonl   one line per trial, appended and synced as each one ends
    RUN/raw/           what the tools printed, verbatim (gzip where it is long)
    RUN/end.json       how the run ended and what it cost; absent when netbench was killed

What is on disk is whole up to its last line: a run that was cut off at any moment can be read.
"""

from bench.store.codec import FORMAT
from bench.store.reader import StoredRun, load, load_head
from bench.store.readings import CORE, END, Readings
from bench.store.trials import Result, StoredTrials, undecodable
from bench.store.writer import GZIP_FROM, RunWriter, claim, refuse_existing

__all__ = [
    "CORE",
    "END",
    "FORMAT",
    "GZIP_FROM",
    "Readings",
    "Result",
    "RunWriter",
    "StoredRun",
    "StoredTrials",
    "claim",
    "load",
    "load_head",
    "refuse_existing",
    "undecodable",
]
