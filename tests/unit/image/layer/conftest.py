import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dockerlab.image.layer.apply import Applier
from dockerlab.image.layer.fault import Limits
from dockerlab.image.layer.source import Source
from dockerlab.image.layer.tar import TarReader
from dockerlab.image.layer.whiteout import TRUSTED, Overlay

Apply = Callable[..., Applier]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that archives are applied to; its parent is the world outside."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def apply(root: Path) -> Apply:
    """Apply an archive to `root` in this process: with no chroot, only the walk keeps it inside."""

    def run(data: bytes, limits: Limits | None = None, prefix: bytes = TRUSTED) -> Applier:
        limits = limits or Limits()
        stream = io.BytesIO(data)
        reader = TarReader(Source(lambda: stream.read(100_000), 1 << 40), limits)
        root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        old = os.umask(0)
        here = os.open(".", os.O_RDONLY)
        try:
            applier = Applier(root_fd, limits, Overlay(prefix))
            applier.apply(reader)
            return applier
        finally:
            os.fchdir(here)
            os.close(here)
            os.umask(old)
            os.close(root_fd)

    return run
