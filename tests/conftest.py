"""What holds for every test: no network, and no file outside its own directory."""

import socket
from pathlib import Path

import pytest

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class NetworkBlocked(RuntimeError):
    """A test reached for another machine."""


@pytest.fixture(autouse=True)
def _block_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def connect_to_loopback(self: socket.socket, address: object) -> None:
        is_local = self.family == socket.AF_UNIX or (isinstance(address, tuple) and address[0] in _LOOPBACK)
        if not is_local:
            raise NetworkBlocked(f"tests may not connect to {address!r}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect_to_loopback)


@pytest.fixture(autouse=True)
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty asset cache of the test's own."""
    path = tmp_path / "cache"
    monkeypatch.setenv("STABLELLAVA_CACHE", str(path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return path
