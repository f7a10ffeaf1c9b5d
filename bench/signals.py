"""Interrupts in a program that leaves things on other machines: heard once, and then not."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _handling(handler: Callable[[int, object], None] | signal.Handlers) -> Iterator[None]:
    """Handle the signals that end a program; one that is ignored already (nohup) stays so."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    mine = [number for number in SIGNALS if before[number] is not signal.SIG_IGN]
    for number in mine:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in mine:
            # None stands for a handler that is not Python's: there is no putting it back.
            signal.signal(number, before[number] or signal.SIG_DFL)


@contextmanager
def interrupted_once(say: Callable[[str], None]) -> Iterator[None]:
    """Once something may be on the hosts the first signal ends the run and the rest are ignored:
    what is being created is waited for, as only what is there can be found and removed."""

    def interrupt(_number: int, _frame: object) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        say("interrupted: finishing the step that is going on, then cleaning up")
        raise KeyboardInterrupt

    with _handling(interrupt):
        yield


def uninterrupted() -> AbstractContextManager[None]:
    """Clean-up is bounded in time and is not cut short by an impatient Ctrl-C."""
    return _handling(signal.SIG_IGN)
