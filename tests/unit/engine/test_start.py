"""What is refused before anything of a container is made."""

from typing import cast

import pytest

from dockerlab.engine.spawner import Spawner
from dockerlab.engine.start import Starter
from dockerlab.engine.storage import Storage
from dockerlab.errors import Unsupported
from dockerlab.image.layers import LayerStore
from tests.unit.engine.records import a_container


def test_a_host_that_runs_no_containers_says_why() -> None:
    unused = cast("Spawner", None), cast("LayerStore", None), cast("Storage", None)
    starter = Starter(*unused, refusal="user namespaces: operation not permitted")

    with pytest.raises(Unsupported, match="cannot run on this host: user namespaces") as refused:
        starter.check(a_container())
    assert "dockerlab doctor" in refused.value.hint
