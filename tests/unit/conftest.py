"""Unit tests open no socket."""

from collections.abc import Iterator

import pytest
import pytest_socket
from hypothesis import settings

from bench import cleanup

# Machines that run tests are busy: how long an example takes there says nothing about the code.
settings.register_profile("netbench", deadline=None)
settings.load_profile("netbench")


@pytest.fixture(autouse=True)
def _no_sockets() -> Iterator[None]:
    pytest_socket.disable_socket(allow_unix_socket=True)
    yield
    pytest_socket.enable_socket()


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines in memory need no rest."""
    monkeypatch.setattr(cleanup, "REST", 0.0)
