"""The worker as the zygote runs it: an isolated interpreter, a pipe, a chroot."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard

from dockerlab.errors import BadDigest, EngineFailure, InvalidArgument
from tests.support.archives import END, member
from tests.support.registry import digest
from tests.support.unpacker import unpack_in_process

pytestmark = pytest.mark.needs_root

_PACKAGE = str(Path(__file__).parents[4])


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, bytes])
def test_a_layer_is_unpacked_verified_and_reported(pack: Any, staging: Path) -> None:
    data = member(b"d/f", b"hello") + END
    unpacked = unpack_in_process(pack(data), staging, digest(data))
    assert (staging / "d/f").read_bytes() == b"hello"
    assert (unpacked.entries, unpacked.size_bytes, unpacked.archive_bytes) == (1, 5, len(data))
    assert unpacked.begin_s < unpacked.end_s


def test_what_stands_behind_the_archive_belongs_to_the_diff_id(staging: Path) -> None:
    data = member(b"f", b"x") + END + b"behind" * 5000
    unpack_in_process(gzip.compress(data), staging, digest(data))


def test_another_diff_id_is_refused(staging: Path) -> None:
    with pytest.raises(BadDigest, match="its contents are sha256:"):
        unpack_in_process(gzip.compress(member(b"f", b"x") + END), staging, digest(b"other"))


def test_a_damaged_layer_is_refused(staging: Path) -> None:
    data = member(b"f", os.urandom(5000)) + END
    with pytest.raises(InvalidArgument, match="failed to register layer: the gzip stream ends"):
        unpack_in_process(gzip.compress(data)[:-100], staging, digest(data))


def test_limits_are_the_callers(staging: Path) -> None:
    data = member(b"f", bytes(100_000)) + END
    with pytest.raises(InvalidArgument, match="larger than 50000 bytes"):
        unpack_in_process(gzip.compress(data), staging, digest(data), {"total_bytes": 50_000})


def test_an_absolute_link_is_one_inside_the_layer(staging: Path, tmp_path: Path) -> None:
    outside = os.fsencode(tmp_path / "outside")
    data = member(b"l", kind=b"2", link=outside) + member(b"l/f", b"x") + END
    unpack_in_process(gzip.compress(data), staging, digest(data))
    assert (staging / os.fsdecode(outside)[1:] / "f").read_bytes() == b"x"
    assert not (tmp_path / "outside").exists()


def test_a_full_disk_is_said_plainly(tmp_path: Path) -> None:
    data = member(b"f", os.urandom(3 << 20)) + END
    layer = tmp_path / "layer"
    layer.write_bytes(data)
    program = (
        "import sys; from pathlib import Path; from tests.support.unpacker import *\n"
        f"unpack_in_process(Path({str(layer)!r}).read_bytes(), Path('small'), {digest(data)!r})"
    )
    script = f'mkdir small && mount -t tmpfs -o size=1m tmpfs small && "{sys.executable}" -c "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": _PACKAGE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "EngineFailure: failed to register layer: No space left on device" in done.stderr


_INSIDE = """
import json, os, sys
sys.path[:] = json.loads(sys.argv[1]) + sys.path
from dockerlab.image.layer.worker import unpack
loaded = set(sys.modules)
def look():
    facts = {"folder": os.getcwd(), "files": os.listdir("/"), "fds": []}
    for fd in range(3, 100):
        try:
            os.fstat(fd)
            facts["fds"].append(fd)
        except OSError:
            pass
    try:
        import colorsys
    except ImportError as exc:
        facts["import"] = str(exc)
    facts["new"] = sorted(set(sys.modules) - loaded)
    os.write(2, json.dumps(facts).encode())
unpack({"staging": sys.argv[2], "diff_id": "x"}, json.loads(sys.argv[3]), confine=look)
os._exit(0)
"""


def _run_inside(staging: Path, *fds: int) -> "subprocess.CompletedProcess[bytes]":
    data_fd = os.memfd_create("layer")
    path = json.dumps([_PACKAGE])
    arguments = [path, str(staging), json.dumps([data_fd, fds[0]])]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-E", "-c", _INSIDE, *arguments],
        pass_fds=(data_fd, *fds),
        capture_output=True,
        check=True,
    )
    for fd in (data_fd, *fds):
        os.close(fd)
    return done


def test_inside_there_is_nothing_but_the_layer(staging: Path) -> None:
    (staging / "colorsys.py").write_text("raise SystemExit('code of the layer')")
    report, their_report = os.pipe()
    # A descriptor of the host, inherited, would be the way out of a chroot.
    done = _run_inside(staging, their_report, os.open("/", os.O_RDONLY))
    with os.fdopen(report, "rb") as file:
        assert json.loads(file.read())["kind"] == "digest"
    facts = json.loads(done.stderr)
    assert (facts["folder"], facts["files"]) == ("/", ["colorsys.py"])
    assert facts["import"] == 'cannot import "colorsys" inside a layer'
    assert facts["new"] == []
    assert len(facts["fds"]) == 3  # data, report and the layer's root


def test_the_worker_ends_quietly_when_nobody_listens(staging: Path) -> None:
    report, their_report = os.pipe()
    os.close(report)
    assert _run_inside(staging, their_report).returncode == 0


def test_an_unpacker_that_dies_is_a_failure_of_the_engine(staging: Path) -> None:
    with pytest.raises(EngineFailure, match="the layer worker died"):
        unpack_in_process(b"", staging, digest(b""), {"no such limit": 1})


def test_the_worker_loads_a_handful_of_modules() -> None:
    program = (
        f"import sys; sys.path.append({_PACKAGE!r})\n"
        "import dockerlab.image.layer.worker\n"
        "print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-E", "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    heavy = {"asyncio", "ctypes", "dataclasses", "logging", "msgspec", "pathlib", "shutil"}
    heavy |= {"socket", "subprocess", "tarfile", "tempfile", "threading", "traceback", "typing"}
    assert loaded & heavy == set()
    parts = {name.removeprefix("dockerlab.image.") for name in loaded if "dockerlab." in name}
    assert all(part.startswith(("dockerlab.image", "layer")) for part in parts)
