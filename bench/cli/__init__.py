"""The ``netbench`` command: one file a verb, loaded only when that verb is called.

A verb parses, calls one function, renders and exits. Errors of netbench's own tree become one line
on standard error and their exit code: 2 for usage, 1 for the world.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module

import click

from bench import __version__
from bench.errors import NetbenchError

# Verb -> the line that `netbench --help` shows for it, so that help needs none of their imports.
VERBS = {
    "check": "Look at every host: reachable, engine, ports between pairs, MTU, clock, disk.",
    "doctor": "Why is my overlay slow or broken? Findings, how sure they are, and what to do.",
    "plan": "Print the matrix that `run` would measure and how long it takes. Touches nothing.",
    "run": "Measure: form the swarm, deploy, run all blocks, report, take all down again.",
    "scenario": "Build one of three everyday networks, try it, measure it, take it down again.",
    "verify": "What else a network must do: isolation, names, balance, start, failover.",
    "report": "Table, charts and pages of a stored run.",
    "path": "Draw what a packet crosses from client to server, and what each thing on it costs.",
    "compare": "Is one stored run worse than another? Exits with 1 if it is.",
    "asv": "Runs over time: an export for asv's pages and commands, and a gate for pipelines.",
    "clean": "Remove what a killed run left on the hosts.",
    "lab": "Several real Docker hosts on this machine, to measure without any other.",
}


class LazyGroup(click.Group):
    """A group that imports ``bench.cli.VERB`` when VERB is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"bench.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="netbench")
def root() -> None:
    """Which Docker network driver, and what does it cost me?

    Compares Docker network drivers on your own hosts over SSH: real engines, a real Swarm, real
    traffic, in randomised blocks.
    """


def main() -> None:
    """Entry point of the ``netbench`` command."""
    # A controller that is told to end cleans up like one that is interrupted.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        status = root.main(prog_name="netbench", standalone_mode=False)
    except click.UsageError as fault:
        fault.show()
        status = 2
    except click.ClickException as fault:
        fault.show()
        status = fault.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("netbench: interrupted", err=True)
        status = 130
    except NetbenchError as fault:
        click.echo(f"netbench: {fault}", err=True)
        status = fault.exit_code
    except BrokenPipeError:
        # The reader of our output has gone (`netbench ... | head`); nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    sys.exit(status if isinstance(status, int) else 0)


def _interrupt(_signum: int, _frame: object) -> None:
    raise KeyboardInterrupt
