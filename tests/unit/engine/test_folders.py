"""The folders of a data root, and who may own them."""

import os
from pathlib import Path

import pytest

from dockerlab.engine.folders import Folders
from dockerlab.errors import Forbidden


@pytest.mark.needs_root
@pytest.mark.parametrize("which", ["parent", "runtime"])
def test_a_runtime_folder_of_another_user_is_refused(tmp_path: Path, which: str) -> None:
    runtime = tmp_path / "parent" / "runtime"
    runtime.mkdir(parents=True)
    os.chown(runtime.parent if which == "parent" else runtime, 1234, 1234)
    with pytest.raises(Forbidden, match="belongs to another user"):
        Folders(tmp_path / "root", runtime).make()
