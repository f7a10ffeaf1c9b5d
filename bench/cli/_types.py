"""What the command line's words are read as: names, shares, stretches of time."""

from __future__ import annotations

import re
from typing import Any

import click

from bench.units import bit_rate

# A number without a unit is seconds, but only where it stands alone: 1h30 would be ambiguous.
_TIME = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,6})m(?:in)?)?(?:(\d{1,8})s)?", re.ASCII)
_SECONDS = re.compile(r"\d{1,8}", re.ASCII)
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?|\.\d{1,6})\s?(%?)", re.ASCII)

_DELAY = re.compile(r"(\d{1,8}(?:\.\d{1,6})?) ?(s|ms|us|µs)", re.ASCII)
_DELAY_SIZES = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
_LOSS = re.compile(r"(\d{1,3}(?:\.\d{1,6})?) ?%", re.ASCII)
LONGEST_DELAY = 10.0


class Names(click.ParamType[tuple[str, ...]]):
    """Names separated by commas; which ones there are is for the plan to say."""

    name = "name[,name...]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(filter(None, (word.strip() for word in str(value).split(","))))


class Share(click.ParamType[float]):
    """A share of one, written 3% or 0.03."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        found = _SHARE.fullmatch(str(value).strip())
        if not found:
            self.fail(f"{value!r} is not a share: write 3% or 0.03", param, ctx)
        share = float(found[1]) / (100 if found[2] else 1)
        if not 0 < share < 1:
            self.fail(
                f"{value!r} is not between 0 and 100 %: three percent is 3% or 0.03", param, ctx
            )
        return share


class Duration(click.ParamType[float]):
    """A stretch of time in seconds, written 10m, 90s, 1h30m or in plain seconds."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        text = str(value).replace(" ", "")
        found = _TIME.fullmatch(f"{text}s" if _SECONDS.fullmatch(text) else text)
        if not found or not any(found.groups()):
            self.fail(f"{value!r} is not a time: write 10m, 90s or 1h30m", param, ctx)
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        total = float(hours * 3600 + minutes * 60 + seconds)
        if not total:
            self.fail("no time at all is too little", param, ctx)
        return total


class Rate(click.ParamType[float]):
    """A link's rate in bit/s, written 100mbit or 2.5gbit."""

    name = "rate"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        try:
            return bit_rate(str(value))
        except ValueError as fault:
            self.fail(f"{value!r} is no rate: {fault}", param, ctx)


class Delay(click.ParamType[float]):
    """How much later a packet arrives, in seconds, written 10ms, 250us or 1.5s."""

    name = "delay"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        found = _DELAY.fullmatch(str(value).strip().lower())
        if not found:
            self.fail(f"{value!r} is no delay: write 10ms, 250us or 1.5s", param, ctx)
        delay = float(found[1]) * _DELAY_SIZES[found[2]]
        if delay > LONGEST_DELAY:
            self.fail(f"{value!r} is more than {LONGEST_DELAY:.0f} s", param, ctx)
        return delay


class Loss(click.ParamType[float]):
    """The share of packets that is lost, written 0.1%: without the sign 1 could mean all."""

    name = "loss"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        found = _LOSS.fullmatch(str(value).strip())
        if not found:
            self.fail(f"{value!r} is no loss: write it in percent, like 0.1%", param, ctx)
        loss = float(found[1]) / 100
        if loss > 1:
            self.fail(f"{value!r} is more than there is: write 0% to 100%", param, ctx)
        return loss
