"""A host of its own for each test, and a service in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.network.messages import NetworkPlan
from tests.support.networks import NetworkService, host_namespace
from tests.support.probes import why_not

NETWORK = NetworkPlan(id="aa0001", interfaces=("10.111.0.1/24",))


@pytest.fixture
def host() -> Iterator[None]:
    """Have the test in a network namespace of its own."""
    for marker in ("needs_root", "needs_namespaces"):
        if reason := why_not(marker):
            pytest.skip(f"{marker}: {reason}")
    with host_namespace():
        yield


@pytest.fixture
def service(host: None, tmp_path: Path) -> Iterator[NetworkService]:
    """Run a service with one network, 10.111.0.0/24."""
    with NetworkService(tmp_path) as running:
        running.sync(NETWORK)
        yield running
