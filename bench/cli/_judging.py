"""The options of whatever judges whether something got worse."""

from __future__ import annotations

import click

from bench.cli._types import Share

threshold_option = click.option(
    "--threshold",
    type=Share(),
    default="5%",
    show_default=True,
    help="Only what is worse by more than this counts.",
)

drivers_only_option = click.option(
    "--drivers-only",
    is_flag=True,
    help="Do not judge host's own values: on machines that are faster or slower from day to day.",
)
