"""Volumes, binds and managed files with the real docker client."""

import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, ContainerError
from docker.types import Mount

from tests.support.engine import EngineUnderTest
from tests.support.fixtures import DockerCli
from tests.support.images import busybox_layer, layer
from tests.support.registry import RunningRegistry, push_image

pytestmark = pytest.mark.needs_docker_cli


@pytest.fixture(autouse=True)
def no_volumes(client: docker.DockerClient) -> Iterator[None]:
    client.images.pull("busybox", tag="latest")
    yield
    for container in client.containers.list(all=True):
        container.remove(force=True, v=True)
    for volume in client.volumes.list():
        volume.remove()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "host"
    (made / "sub").mkdir(parents=True)
    (made / "a").write_text("hello\n")
    return made


@pytest.fixture(scope="module")
def kept(registry: RunningRegistry) -> str:
    """An image whose /data is a volume, with all kinds of files in it."""
    data = layer(
        {"data/file": b"of the image\n", "data/deep/er": b"x", "etc/passwd": b"root:x:0:0::/:\n"},
        links={"data/link": "file", "data/away": "/etc/passwd", "jump": "/../../../tmp"},
        folders={"data": 0o1750, "data/deep": 0o700},
    )
    config = {"Cmd": ["sh"], "Env": ["PATH=/bin"], "Volumes": {"/data": {}}}
    push_image(registry.address, "library/kept", "latest", [busybox_layer(), data], config=config)
    return "kept"


def run(client: docker.DockerClient, *command: str, image: str = "busybox", **options: Any) -> str:
    output = client.containers.run(image, list(command), remove=True, **options)
    return bytes(output).decode()


def shell(client: docker.DockerClient, script: str, **options: Any) -> str:
    return run(client, "sh", "-c", script, **options)


# Binds


def test_a_bind_shows_the_host_and_takes_writes(client: docker.DockerClient, folder: Path) -> None:
    assert shell(client, "cat /x/a; echo more >/x/b", volumes=[f"{folder}:/x"]) == "hello\n"
    assert (folder / "b").read_text() == "more\n"


def test_a_read_only_bind_takes_none_not_even_below_a_mount_of_the_host(
    docker_cli: DockerCli, folder: Path
) -> None:
    done = docker_cli("run", "--rm", "-v", f"{folder}:/x:ro", "-v", "/proc/fs:/x/sub", "busybox",
                      "sh", "-c", "touch /x/b || touch /x/sub/c")  # fmt: skip
    assert "Read-only file system" in done.stderr
    assert not (folder / "b").exists()
    done = docker_cli("run", "--rm", "-v", "/dev:/x:ro", "busybox", "touch", "/x/shm/mine")
    assert "Read-only file system" in done.stderr
    assert not Path("/dev/shm/mine").exists()


def test_a_missing_folder_is_made_for_v_and_an_error_for_mount(
    docker_cli: DockerCli, folder: Path
) -> None:
    missing = folder / "not" / "there"
    refused = docker_cli(
        "run", "--rm", "--mount", f"type=bind,source={missing},target=/x", "busybox", "true"
    )
    assert f"bind source path does not exist: {missing}" in refused.stderr
    assert not missing.exists()
    assert docker_cli("run", "--rm", "-v", f"{missing}:/x", "busybox", "true").returncode == 0
    assert missing.is_dir()


def test_a_file_is_bound_over_a_file_and_made_where_there_is_none(
    client: docker.DockerClient, folder: Path
) -> None:
    binds = [f"{folder}/a:/etc/motd", f"{folder}/a:/new/place:ro"]
    assert shell(client, "cat /etc/motd /new/place", volumes=binds) == "hello\nhello\n"
    with pytest.raises(APIError, match="a folder is mounted onto a file, or a file onto a folder"):
        run(client, "true", volumes=[f"{folder}:/bin/busybox"])


def test_nested_mounts_stand_in_the_order_of_their_depth(
    client: docker.DockerClient, folder: Path, tmp_path: Path
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "deep").touch()
    binds = [f"{inner}:/x/sub", f"{folder}:/x"]
    assert shell(client, "ls /x /x/sub", volumes=binds).split() == [
        "/x:", "a", "sub", "/x/sub:", "deep",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("/h:/x:rshared", "would let mounts of a container appear on the host"),
        ("/h:/x:zz", "invalid mode: zz"),
        ("/h:/x:ro,rw", "invalid mode: ro,rw"),
        ("/h:/", "destination can't be '/'"),
        ("/h:/proc/sys", "because it is inside /proc"),
        ("bad name:/x", "includes invalid characters for a local volume name"),
        ("../up:/x", "includes invalid characters for a local volume name"),
        ("vol:/x:rslave", "a volume has no propagation"),
    ],
)
def test_what_cannot_be_right_is_refused_with_a_sentence(
    client: docker.DockerClient, option: str, sentence: str
) -> None:
    with pytest.raises(APIError, match=sentence):
        client.api.create_container(
            "busybox", "true", host_config={"Binds": [option], "NetworkMode": "none"}
        )


@pytest.fixture
def shared_folder(folder: Path) -> Iterator[Path]:
    """A mount that is shared on the host before an engine starts."""
    _mount("--bind", str(folder), str(folder))
    try:
        _mount("--make-shared", str(folder))
        yield folder
    finally:
        subprocess.run(["umount", "-R", str(folder)], check=True)


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def test_a_mount_of_the_host_arrives_in_an_rslave_bind_and_in_no_private_one(
    shared_folder: Path, fresh_engine: EngineUnderTest
) -> None:
    client = fresh_engine.connect()
    client.images.pull("busybox", tag="latest")
    binds = [f"{shared_folder}:/slave:rslave", f"{shared_folder}:/private"]
    container = client.containers.run("busybox", ["sleep", "60"], detach=True, volumes=binds)
    _mount("-t", "tmpfs", "late", str(shared_folder / "sub"))
    output = container.exec_run(["grep", "^late", "/proc/mounts"]).output
    assert isinstance(output, bytes)
    shown = output.decode()
    assert [line.split()[1] for line in shown.splitlines()] == ["/slave/sub"]


def test_a_mount_target_behind_a_link_stays_in_the_container(
    client: docker.DockerClient, folder: Path, kept: str
) -> None:
    client.images.pull(kept, tag="latest")
    # /jump leads to ../../../tmp: of the container.
    found = shell(client, "ls /tmp/target", image=kept, volumes=[f"{folder}:/jump/target"])
    assert found.split() == ["a", "sub"]
    assert not Path("/tmp/target").exists()


def test_a_bind_over_dev_makes_no_device_on_the_host(
    client: docker.DockerClient, folder: Path
) -> None:
    # Without a null device nothing can be masked, so it does not start either.
    with pytest.raises(APIError, match="mask"):
        run(client, "ls", "/dev", volumes=[f"{folder}:/dev"])
    assert {"null", "shm", "pts", "mqueue"}.isdisjoint(path.name for path in folder.iterdir())


# Volumes


def test_a_volume_outlives_its_containers(client: docker.DockerClient) -> None:
    shell(client, "echo kept >/x/file", volumes=["mine:/x"])
    assert shell(client, "cat /y/file", volumes=["mine:/y:ro"]) == "kept\n"
    assert [volume.name for volume in client.volumes.list()] == ["mine"]


def test_an_empty_volume_is_filled_from_the_image_with_owners_and_modes(
    docker_cli: DockerCli, kept: str
) -> None:
    docker_cli("create", "--name", "copy", "-v", "filled:/data", kept)
    path = Path(docker_cli("volume", "inspect", "-f", "{{.Mountpoint}}", "filled").stdout.strip())
    assert stat.S_IMODE(path.stat().st_mode) == 0o1750
    assert (path / "file").read_text() == "of the image\n"
    assert stat.S_IMODE((path / "deep").stat().st_mode) == 0o700
    assert (path / "away").readlink() == Path("/etc/passwd")
    # What is in it stays.
    (path / "file").write_text("mine")
    docker_cli("run", "--rm", "-v", "filled:/data", kept, "true")
    assert (path / "file").read_text() == "mine"


def test_nocopy_and_a_read_only_volume_leave_it_as_they_should(
    docker_cli: DockerCli, kept: str
) -> None:
    listed = docker_cli("run", "--rm", "-v", "bare:/data:nocopy", kept, "ls", "-A", "/data")
    assert listed.stdout == ""
    refused = docker_cli("run", "--rm", "-v", "full:/data:ro", kept, "rm", "/data/file")
    assert "Read-only file system" in refused.stderr


def test_a_volume_of_the_image_goes_with_rm_and_stays_without(
    docker_cli: DockerCli, kept: str
) -> None:
    def count() -> int:
        return len(docker_cli("volume", "ls", "-q").stdout.split())

    docker_cli("run", "--rm", kept, "true")
    assert count() == 0
    docker_cli("run", "--name", "stays", kept, "true")
    docker_cli("rm", "stays")
    assert count() == 1
    docker_cli("run", "--name", "goes", "-v", "named:/named", kept, "true")
    assert count() == 3
    docker_cli("rm", "-v", "goes")
    assert count() == 2
    assert docker_cli("volume", "prune", "-f").returncode == 0
    assert docker_cli("volume", "ls", "-q").stdout == "named\n"
    assert "named" in docker_cli("volume", "prune", "-af").stdout


def test_a_volume_over_a_file_is_refused_and_leaves_nothing(
    docker_cli: DockerCli,
) -> None:
    done = docker_cli("run", "--name", "overfile", "-v", "/bin/busybox", "busybox", "true")
    assert 'cannot mount volume over existing file, file exists "/bin/busybox"' in done.stderr
    assert "No such" in docker_cli("inspect", "overfile").stderr
    assert docker_cli("volume", "ls", "-q").stdout == ""


def test_a_volume_in_use_is_not_removed(docker_cli: DockerCli) -> None:
    made = docker_cli("create", "--name", "user", "-v", "used:/x", "busybox", "true").stdout
    refused = docker_cli("volume", "rm", "used")
    assert f"remove used: volume is in use - [{made.strip()}]" in refused.stderr
    docker_cli("rm", "user")
    assert docker_cli("volume", "rm", "used").stdout == "used\n"
    assert "get used: no such volume" in docker_cli("volume", "rm", "used").stderr
    assert docker_cli("volume", "rm", "-f", "used").returncode == 0


def test_volumes_are_found_by_label_name_and_use(docker_cli: DockerCli) -> None:
    docker_cli("volume", "create", "--label", "of=tests", "one")
    docker_cli("volume", "create", "two")
    docker_cli("create", "--name", "holder", "-v", "two:/x", "busybox", "true")

    def listed(*filters: str) -> list[str]:
        options = [word for each in filters for word in ("-f", each)]
        return docker_cli("volume", "ls", "-q", *options).stdout.split()

    assert listed("label=of=tests") == ["one"]
    assert listed("name=tw") == ["two"]
    assert listed("dangling=true") == ["one"]
    assert listed("dangling=false") == ["two"]
    assert "invalid filter" in docker_cli("volume", "ls", "-f", "bad=x").stderr
    shown = docker_cli("ps", "-a", "--filter", "volume=two", "--format", "{{.Names}} {{.Mounts}}")
    assert shown.stdout == "holder two\n"


def test_a_volume_may_be_a_folder_of_the_host_and_no_other_file_system(
    docker_cli: DockerCli, folder: Path
) -> None:
    def create(*options: str) -> Any:
        words = [word for option in options for word in ("-o", option)]
        return docker_cli("volume", "create", *words, "dev")

    assert 'invalid option: "colour"' in create("colour=red").stderr
    assert 'missing required option: "device"' in create("type=none").stderr
    assert 'a volume of type "tmpfs" is not supported' in create("type=tmpfs", "device=t").stderr
    assert create("type=none", "o=bind", f"device={folder}").returncode == 0
    assert docker_cli("run", "--rm", "-v", "dev:/x", "busybox", "cat", "/x/a").stdout == "hello\n"
    docker_cli("volume", "rm", "dev")
    assert (folder / "a").exists()


def test_removing_a_volume_follows_no_link_out_of_it(
    client: docker.DockerClient, folder: Path
) -> None:
    shell(client, f"ln -s {folder} /x/out; mkdir /x/d", volumes=["trap:/x"])
    client.volumes.get("trap").remove()
    assert (folder / "a").exists()


def test_volumes_from_brings_the_mounts_of_another_container(
    docker_cli: DockerCli, folder: Path
) -> None:
    docker_cli("create", "--name", "giver", "-v", f"{folder}:/h", "-v", "shared:/v", "busybox")
    taken = docker_cli("run", "--rm", "--volumes-from", "giver", "busybox",
                       "sh", "-c", "cat /h/a; touch /v/x && echo written")  # fmt: skip
    assert taken.stdout == "hello\nwritten\n"
    refused = docker_cli("run", "--rm", "--volumes-from", "giver:ro", "busybox", "touch", "/v/y")
    assert "Read-only file system" in refused.stderr
    own = docker_cli("run", "--rm", "--volumes-from", "giver", "-v", "/h", "busybox", "ls", "/h")
    assert own.stdout == "a\nsub\n"


# --mount, and what inspect shows


def test_the_kinds_of_mount(client: docker.DockerClient, folder: Path) -> None:
    mounts = [
        Mount("/b", str(folder), type="bind", read_only=True),
        Mount("/v", "vol", type="volume", labels={"made": "here"}),
        Mount("/t", None, type="tmpfs", tmpfs_size=1 << 20, tmpfs_mode=0o750),
    ]
    shown = shell(client, "grep -E ' /[bvt] ' /proc/mounts; stat -c %a /t", mounts=mounts)
    lines = {line.split()[1]: line.split()[3].split(",") for line in shown.splitlines()[:3]}
    assert lines["/b"][0] == "ro"
    assert lines["/v"][0] == "rw"
    assert {"size=1024k", "nosuid", "nodev", "noexec"} <= set(lines["/t"])
    assert shown.splitlines()[3] == "750"
    assert client.volumes.get("vol").attrs["Labels"] == {"made": "here"}


def test_inspect_shows_the_mounts_as_docker_does(client: docker.DockerClient, folder: Path) -> None:
    container = client.containers.create("busybox", "true", volumes=[f"{folder}:/b:ro", "vol:/v"])
    bind, volume = container.attrs["Mounts"]
    assert bind == {
        "Type": "bind", "Source": str(folder), "Destination": "/b", "Mode": "ro", "RW": False,
        "Propagation": "rprivate",
    }  # fmt: skip
    path = client.volumes.get("vol").attrs["Mountpoint"]
    assert volume == {
        "Type": "volume", "Name": "vol", "Source": path, "Destination": "/v", "Driver": "local",
        "Mode": "z", "RW": True, "Propagation": "",
    }  # fmt: skip
    assert container.attrs["HostConfig"]["Binds"] == [f"{folder}:/b:ro", "vol:/v"]


def test_two_mounts_at_one_place_are_refused(client: docker.DockerClient) -> None:
    with pytest.raises(APIError, match="Duplicate mount point: /x"):
        run(client, "true", volumes=["one:/x", "two:/x/"])


# Managed files


def test_hosts_and_resolv_conf_hold_what_was_asked_for(docker_cli: DockerCli) -> None:
    options = ["--add-host", "near:1.2.3.4", "--add-host", "six:::1", "--dns", "9.9.9.9"]
    options += ["--dns-search", "x.y", "--dns-option", "ndots:2"]
    shown = docker_cli(
        "run",
        "--rm",
        "--network",
        "none",
        *options,
        "busybox",
        "cat",
        "/etc/hosts",
        "/etc/resolv.conf",
    )
    assert shown.stdout.endswith(
        "1.2.3.4\tnear\n::1\tsix\nsearch x.y\nnameserver 9.9.9.9\noptions ndots:2\n"
    )


def test_a_volume_over_etc_does_not_hide_the_managed_files(client: docker.DockerClient) -> None:
    options: Any = {"volumes": ["etc:/etc"], "hostname": "named"}
    assert run(client, "cat", "/etc/hostname", **options) == "named\n"


def test_what_would_begin_another_line_is_refused(client: docker.DockerClient) -> None:
    for options in ({"DnsSearch": ["a\nnameserver 6.6.6.6"]}, {"ExtraHosts": ["a\nb:1.2.3.4"]}):
        with pytest.raises(APIError, match="400"):
            client.api.create_container("busybox", "true", host_config=options)
    with pytest.raises(APIError, match="host-gateway is not supported"):
        run(client, "true", extra_hosts={"gate": "host-gateway"})


def test_an_own_hosts_file_takes_the_place_of_the_managed_one(
    client: docker.DockerClient, folder: Path
) -> None:
    assert run(client, "cat", "/etc/hosts", volumes=[f"{folder}/a:/etc/hosts"]) == "hello\n"
    with pytest.raises(ContainerError):
        run(client, "cat", "/etc/nothing", volumes=[f"{folder}/a:/etc/hosts"])


def test_volumes_survive_a_restart_of_the_engine(
    client: docker.DockerClient, engine: EngineUnderTest
) -> None:
    shell(client, "echo kept >/x/file", volumes=["lasting:/x"])
    engine.stop()
    engine.start()
    again = engine.connect()
    assert shell(again, "cat /x/file", volumes=["lasting:/x"]) == "kept\n"
    again.volumes.get("lasting").remove()
    assert not (engine.root / "volumes" / "lasting").exists()
