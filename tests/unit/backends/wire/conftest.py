from collections.abc import Iterator

import pytest

from fault_server import FaultServer, serve

KEY = "test-key-7d1f0c"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serve(FaultServer()) as running:
        yield running
