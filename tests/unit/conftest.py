"""Unit tests open no socket."""

from collections.abc import Iterator

import pytest
import pytest_socket

from bench import cleanup


@pytest.fixture(autouse=True)
def _no_sockets() -> Iterator[None]:
    pytest_socket.disable_socket(allow_unix_socket=True)
    yield
    pytest_socket.enable_socket()


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines in memory need no rest."""
    monkeypatch.setattr(cleanup, "REST", 0.0)
