"""Runs on machines that misbehave in known ways, with a known true ratio.

A run is a sequence of trials in blocks of `CELLS` cells. What the machine gives to a trial is its
state at that moment, which both cells of a comparison share, times noise of the trial's own.
Everything is in natural logarithms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from bench.analysis.verdict import Kind, judge
from bench.estimate import Logs, Range, change, half_width, median_interval, paired_ratio
from bench.estimate.bootstrap import median_quantiles
from bench.model import Better, Metric

Array = NDArray[np.float64]
Random = np.random.Generator

CELLS = 8
NOISE = 0.03
RATE = Metric("throughput", "bit/s", Better.HIGHER, "TCP throughput", headline=True)


def calm(random: Random, runs: int, trials: int) -> Array:
    """A machine that always gives the same."""
    return np.zeros((runs, trials))


def drifting(random: Random, runs: int, trials: int) -> Array:
    """A random walk: after a block of trials it is 10 % away, up or down."""
    return np.cumsum(random.normal(0, 0.1 / np.sqrt(CELLS), (runs, trials)), axis=1)


def draining(random: Random, runs: int, trials: int) -> Array:
    """Credit that runs out: each trial gets 1 % less than the one before, over some noise."""
    return -0.01 * np.arange(trials) + random.normal(0, 0.02, (runs, trials))


def bursting(random: Random, runs: int, trials: int) -> Array:
    """A neighbour who halves the speed for a stretch of trials, a fifth of the time.

    Stretches are of six trials on average: they begin and end within blocks.
    """
    busy = np.empty((runs, trials), dtype=bool)
    now = random.random(runs) < 0.2
    for trial in range(trials):
        busy[:, trial] = now
        change = random.random(runs)
        now = np.where(now, change >= 1 / 6, change < 1 / 24)
    return np.where(busy, -np.log(2), 0.0)


def remembering(random: Random, runs: int, trials: int) -> Array:
    """An AR(1) process: 10 % of spread, of which nine tenths last from one trial to the next."""
    state = np.empty((runs, trials))
    state[:, 0] = random.normal(0, 0.1, runs)
    for trial in range(1, trials):
        fresh = random.normal(0, 0.1 * np.sqrt(1 - 0.9**2), runs)
        state[:, trial] = 0.9 * state[:, trial - 1] + fresh
    return state


def normal(random: Random, shape: tuple[int, ...]) -> Array:
    return random.normal(0, NOISE, shape)


def heavy(random: Random, shape: tuple[int, ...]) -> Array:
    """Student's t with two degrees of freedom, whose variance is infinite."""
    return NOISE * random.standard_t(2, shape)


@dataclass(frozen=True)
class World:
    """A machine's state over the trials, the noise of a trial, and how host pairs differ.

    ``between`` is the standard deviation of the pairs' true ratios (logarithms) around the mean of
    all pairs that there could be; blocks take turns over ``pairs`` of them.
    """

    state: Callable[[Random, int, int], Array] = calm
    noise: Callable[[Random, tuple[int, ...]], Array] = normal
    pairs: int = 1
    between: float = 0.0


WORLDS = {
    "calm": World(),
    "drift": World(drifting),
    "bursts": World(bursting),
    "autocorrelation": World(remembering),
    "heavy tails": World(noise=heavy),
}


@dataclass(frozen=True)
class Runs:
    """Many runs of one world: by run and block, the logarithms of a cell and of its baseline.

    ``shift`` has each run's pairs' own deviations from the true ratio.
    """

    values: Array
    baselines: Array
    groups: NDArray[np.int64]
    shift: Array


def in_blocks(
    world: World, effect: float, blocks: int, runs: int, seed: int, *, shuffled: bool = True
) -> Runs:
    """Runs as netbench makes them; or, not ``shuffled``, with the baseline always first and the
    cell always last of its block. ``effect`` is the true ratio's logarithm."""
    random = np.random.default_rng(seed)
    state = world.state(random, runs, blocks * CELLS).reshape(runs, blocks, CELLS)
    places = np.broadcast_to(np.arange(CELLS), state.shape)
    if shuffled:
        places = random.permuted(places, axis=2)
    base = np.take_along_axis(state, places[:, :, :1], axis=2)[:, :, 0]
    cell = np.take_along_axis(state, places[:, :, -1:], axis=2)[:, :, 0]
    groups = np.arange(blocks) % world.pairs
    shift = random.normal(0, world.between, (runs, world.pairs))
    return Runs(
        cell + effect + shift[:, groups] + world.noise(random, (runs, blocks)),
        base + world.noise(random, (runs, blocks)),
        groups,
        shift,
    )


def one_after_the_other(world: World, effect: float, blocks: int, runs: int, seed: int) -> Runs:
    """The same number of trials, as most comparisons are made: first all of one, then the other."""
    random = np.random.default_rng(seed)
    state = world.state(random, runs, 2 * blocks)
    return Runs(
        state[:, blocks:] + effect + world.noise(random, (runs, blocks)),
        state[:, :blocks] + world.noise(random, (runs, blocks)),
        np.zeros(blocks, dtype=np.int64),
        np.zeros((runs, 1)),
    )


@dataclass(frozen=True)
class Figures:
    """Of many runs: in which share the interval held the truth, in which the verdict was that the
    cell is better or worse, and the median half-width of the intervals (a share)."""

    held: float
    told_apart: float
    width: float


def by_netbench(runs: Runs, truth: float | Array = 0.0) -> Figures:
    """What netbench makes of the runs. ``truth`` is a logarithm, of all runs or of each."""
    wanted = np.broadcast_to(truth, len(runs.values))
    held, told, widths = [], [], []
    for own, base, true in zip(np.exp(runs.values), np.exp(runs.baselines), wanted, strict=True):
        ratio, interval = paired_ratio(own, base, runs.groups)
        assert ratio is not None
        assert interval is not None
        kind = judge(RATE, ratio, interval, own.size).kind
        held.append(interval[0] <= np.exp(true) <= interval[1])
        told.append(kind in (Kind.BETTER, Kind.WORSE))
        widths.append(half_width(ratio, interval))
    return Figures(float(np.mean(held)), float(np.mean(told)), float(np.median(widths)))


def with_plain_percentiles(runs: Runs) -> float:
    """In which share of the runs the 2.5 and 97.5 % points of the resampled median held 1."""
    found = [median_quantiles(logs, None, (0.025, 0.975)) for logs in runs.values - runs.baselines]
    return float(np.mean([low <= 0 <= high for low, high in found]))


def unpaired(runs: Runs, truth: float = 0.0) -> Figures:
    """What comes of the same runs when all values are compared with all baselines, not paired."""
    found = [
        change(Logs(base), Logs(own)) for own, base in zip(runs.values, runs.baselines, strict=True)
    ]
    intervals = [one.interval for one in found if one.interval is not None]
    assert len(intervals) == len(runs.values)
    return Figures(
        float(np.mean([low <= np.exp(truth) <= high for low, high in intervals])),
        float(np.mean([low > 1 or high < 1 for low, high in intervals])),
        float(np.median([np.sqrt(high / low) - 1 for low, high in intervals])),
    )


def until_narrow(runs: Runs, target: float, fewest: int) -> tuple[float, float]:
    """Blocks go on until the half-width is ``target`` or no more are there: the share of runs
    whose interval then holds a true ratio of 1, and how many blocks they took (median)."""
    held, took = [], []
    for logs in runs.values - runs.baselines:
        for blocks in range(fewest, logs.size + 1):
            low, high = _interval(logs[:blocks], runs.groups[:blocks])
            middle = float(np.median(logs[:blocks]))
            if max(high - middle, middle - low) <= np.log1p(target):
                break
        held.append(low <= 0 <= high)
        took.append(blocks)
    return float(np.mean(held)), float(np.median(took))


def of_these_pairs(runs: Runs) -> Array:
    """The true median of each run's blocks, given its pairs' own deviations (normal noise)."""
    spread = float(np.std(runs.values - runs.baselines - runs.shift[:, runs.groups]))
    weights = np.bincount(runs.groups) / runs.groups.size
    return np.array(
        [
            brentq(lambda x, at=shift: float(weights @ ndtr((x - at) / spread)) - 0.5, -9, 9)
            for shift in runs.shift
        ]
    )


def _interval(logs: Array, groups: NDArray[np.int64]) -> Range:
    found = median_interval(logs, groups)
    assert found is not None
    return found
