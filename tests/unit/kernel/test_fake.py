"""The double is as strict as the kernel where the plan relies on it."""

import os

import pytest

from dockerlab.kernel import constants
from dockerlab.kernel.fake import FakeKernel


def test_names_are_missing_until_they_are_made() -> None:
    kernel = FakeKernel()
    with pytest.raises(FileNotFoundError):
        kernel.openat2(kernel.ROOT, "dev", os.O_PATH, 0)
    kernel.mkdirat(kernel.ROOT, "dev", 0o755)

    fd = kernel.openat2(kernel.ROOT, "dev", os.O_PATH, 0)
    assert kernel.open_fds[fd] == "/dev"
    with pytest.raises(FileExistsError):
        kernel.mkdirat(kernel.ROOT, "dev", 0o755)


def test_links_are_followed_inside_the_root_or_refused() -> None:
    kernel = FakeKernel({"/a": "link:../../b", "/b": "directory"})
    fd = kernel.openat2(kernel.ROOT, "a", os.O_PATH, constants.RESOLVE_IN_ROOT)

    assert kernel.open_fds[fd] == "/b"
    with pytest.raises(OSError, match="symbolic links"):
        kernel.openat2(kernel.ROOT, "a", os.O_PATH, constants.RESOLVE_NO_SYMLINKS)


def test_a_second_close_is_noticed() -> None:
    kernel = FakeKernel()
    fd = kernel.fsopen("tmpfs")
    kernel.close(fd)

    with pytest.raises(KeyError):
        kernel.close(fd)
