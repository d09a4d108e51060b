"""The verbs of the Python API on our engine, a real dockerd and a real Podman service."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import dockerlab as lab
from dockerlab.client.session import Session, connect
from dockerlab.errors import DockerlabError, InvalidArgument, NotFound
from tests.support.dockerd import running_dockerd
from tests.support.engine import EngineUnderTest
from tests.support.podman import running_podman
from tests.support.registry import RunningRegistry

pytestmark = [pytest.mark.needs_dockerd, pytest.mark.needs_podman, pytest.mark.needs_cgroup]

SCRIPT = "echo mine > /made; mkdir -p /deep/er; ln -s /etc/passwd /deep/link; sleep 1000"


@pytest.fixture(scope="module", params=["dockerlab", "docker", "podman"])
def session(
    request: pytest.FixtureRequest, engine: EngineUnderTest, registry: RunningRegistry
) -> Iterator[Session]:
    if request.param == "dockerlab":
        yield connect(engine.address)
    elif request.param == "docker":
        with running_dockerd() as running:
            yield connect(running.address)
    else:
        with running_podman([registry.address]) as running:
            yield connect(running.address)


@pytest.fixture
def image(registry: RunningRegistry) -> str:
    return f"{registry.address}/library/busybox:latest"


@pytest.fixture
def web(session: Session, image: str) -> Iterator[str]:
    result = lab.run(
        image,
        ["sh", "-c", SCRIPT],
        name="web",
        detach=True,
        network="none",
        stop_signal="KILL",
        engine=session,
    )
    while "/deep/link" not in lab.diff("web", engine=session)["path"].tolist():
        pass
    yield result.container
    lab.rm(result.container, force=True, engine=session)


def test_usage_processes_and_changes(session: Session, web: str) -> None:
    usage = lab.stats("web", engine=session)
    assert usage["container_id"].tolist() == [web]
    assert usage["name"].tolist() == ["web"]
    processes = lab.top("web", engine=session)
    assert any("sleep" in command for command in processes["command"])
    changes = lab.diff("web", engine=session)
    assert set(changes.loc[changes["change"] == "added", "path"]) >= {"/made", "/deep/er"}


def test_lives(session: Session, web: str, image: str) -> None:
    lab.rename("web", "other", engine=session)
    lab.restart("other", timeout_s=0, engine=session)
    lab.stop("other", timeout_s=0, engine=session)
    assert lab.wait("other", engine=session) == 137
    lab.rename("other", "web", engine=session)
    assert lab.inspect(web, engine=session)["Name"].lstrip("/") == "web"


def test_copies_land_where_docker_cp_s_do(session: Session, web: str, tmp_path: Path) -> None:
    out = lab.cp("web:/made", str(tmp_path), engine=session)
    assert out == tmp_path / "made"
    lab.cp("web:/deep", str(tmp_path), engine=session)
    lab.cp("web:/deep", f"{tmp_path}/renamed", engine=session)
    lab.cp("web:/deep/.", f"{tmp_path}/deep", engine=session)
    for name in ("deep", "renamed"):
        assert sorted(each.name for each in (tmp_path / name).iterdir()) == ["er", "link"]
        assert (tmp_path / name / "link").is_symlink()
    with pytest.raises(NotFound):
        lab.cp("web:/made", f"{tmp_path}/no/such/folder", engine=session)
    with pytest.raises(NotFound):
        lab.cp("web:/no/such", str(tmp_path), engine=session)

    assert lab.cp(f"{tmp_path}/deep", "web:/srv", engine=session) == "web:/srv"
    assert lab.cp(f"{tmp_path}/made", "web:/srv", engine=session) == "web:/srv/made"
    assert lab.cp(f"{tmp_path}/deep", "web:/srv", engine=session) == "web:/srv/deep"
    assert lab.cp(f"{tmp_path}/made", "web:/srv/again", engine=session) == "web:/srv/again"
    with pytest.raises(InvalidArgument, match="is a file"):
        lab.cp(f"{tmp_path}/deep", "web:/srv/made", engine=session)
    with pytest.raises(NotFound):
        lab.cp(f"{tmp_path}/made", "nobody:/", engine=session)

    archive = lab.export("web", tmp_path / "web.tar", engine=session)
    with tarfile.open(archive) as packed:
        names = {name.strip("./") for name in packed.getnames()}
        again = packed.getmember(next(n for n in packed.getnames() if n.endswith("srv/again")))
    assert names >= {"made", "srv/er", "srv/link", "srv/made", "srv/deep/er", "srv/again"}
    assert (again.uid, again.gid) == (0, 0)


def test_volumes(session: Session, image: str) -> None:
    name = lab.volume_create("kept", labels={"of": "tests"}, engine=session)
    try:
        lab.run(
            image,
            ["touch", "/kept/file"],
            volume="kept:/kept",
            network="none",
            rm=True,
            engine=session,
        )
        found = lab.volumes(filters={"label": "of=tests"}, engine=session)
        assert found[["name", "driver", "labels"]].values.tolist() == [
            ["kept", "local", "of=tests"]
        ]
        assert str(found["created_at"].dtype) == "datetime64[us, UTC]"
        place = lab.volume_inspect(name, engine=session)["Mountpoint"]
        assert (Path(place) / "file").exists()
    finally:
        lab.volume_rm("kept", engine=session)
    assert "kept" not in lab.volumes(engine=session)["name"].tolist()


def test_pauses(session: Session, web: str) -> None:
    lab.pause("web", engine=session)
    assert lab.inspect("web", engine=session)["State"]["Status"] == "paused"
    with pytest.raises(DockerlabError):
        lab.pause("web", engine=session)
    lab.unpause("web", engine=session)
    usage = lab.stats(engine=session)
    assert usage["cpu_percent"][0] >= 0
    assert usage["memory_bytes"][0] > 0


def test_limits(session: Session, web: str) -> None:
    if session.engine == "podman":
        with pytest.raises(DockerlabError):  # Podman 4.3.1 has no such route.
            lab.update("web", memory="64m", engine=session)
        return
    lab.update("web", memory="64m", memory_swap="64m", pids_limit=50, engine=session)
    host = lab.inspect("web", engine=session)["HostConfig"]
    assert (host["Memory"], host["PidsLimit"]) == (64 << 20, 50)
    assert lab.stats("web", engine=session)["limit_bytes"].tolist() == [64 << 20]
