"""`docker cp`, `docker diff` and `docker export`: what they do, and what they do not let out."""

import gzip
import io
import os
import socket
import stat
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from tests.support.engine import EngineUnderTest, wait_until
from tests.support.fixtures import DockerCli

pytestmark = pytest.mark.needs_docker_cli

_BIG_BYTES = 64 << 20


@pytest.fixture(autouse=True)
def busybox(client: docker.DockerClient) -> None:
    client.images.pull("busybox", tag="latest")


@pytest.fixture(params=["created", "running", "exited"])
def container(request: pytest.FixtureRequest, client: docker.DockerClient) -> Container:
    """A container in each of the states in which its files can be had."""
    command = ["sleep", "600"] if request.param == "running" else ["true"]
    made = client.containers.create("busybox", command, volumes=["data:/data"], name="boxed")
    if request.param != "created":
        made.start()
    if request.param == "exited":
        made.wait()
    return made


@pytest.fixture(autouse=True)
def no_volumes(client: docker.DockerClient) -> Iterator[None]:
    yield
    for made in client.containers.list(all=True):
        made.remove(force=True, v=True)
    for volume in client.volumes.list():
        volume.remove()


@pytest.fixture
def host(tmp_path: Path) -> Path:
    made = tmp_path / "host"
    (made / "sub").mkdir(parents=True)
    (made / "a").write_text("hello\n")
    (made / "link").symlink_to("a")
    os.chown(made / "a", 1234, 77)
    return made


def archive(*members: tuple[str, dict[str, Any], bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, fields, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            for key, value in fields.items():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {entry.name: entry for entry in tar.getmembers()}


def fetch(made: Container, path: str) -> bytes:
    pieces, _ = made.get_archive(path)
    return b"".join(pieces)


def content(made: Container, path: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(fetch(made, path))) as tar:
        file = tar.extractfile(tar.getmembers()[0])
        assert file is not None
        return file.read()


# Both ways


def test_a_folder_goes_in_and_comes_out_again(
    docker_cli: DockerCli, container: Container, host: Path, tmp_path: Path
) -> None:
    assert docker_cli("cp", str(host), f"{container.name}:/tmp/into").returncode == 0
    assert docker_cli("cp", f"{container.name}:/tmp/into", str(tmp_path / "out")).returncode == 0
    out = tmp_path / "out"
    assert (out / "a").read_text() == "hello\n"
    assert (out / "link").readlink() == Path("a")
    assert (out / "sub").is_dir()
    entry = members(fetch(container, "/tmp/into"))["into/a"]
    assert (entry.uid, entry.gid, entry.mode) == (1234, 77, 0o644)
    if container.status == "running":
        assert container.exec_run(["cat", "/tmp/into/link"]).output == b"hello\n"


def test_volumes_are_reached_through_the_container(
    docker_cli: DockerCli, client: docker.DockerClient, container: Container, host: Path
) -> None:
    assert docker_cli("cp", str(host / "a"), f"{container.name}:/data/file").returncode == 0
    path = Path(client.volumes.get("data").attrs["Mountpoint"])
    assert (path / "file").read_text() == "hello\n"
    (path / "more").write_text("from outside")
    assert content(container, "/data/more") == b"from outside"


def test_links_on_the_way_are_followed_and_the_last_one_is_not(
    docker_cli: DockerCli, container: Container
) -> None:
    links = archive(
        ("real", {"type": tarfile.DIRTYPE, "mode": 0o755}, b""),
        ("real/file", {}, b"x"),
        ("dir", {"type": tarfile.SYMTYPE, "linkname": "/tmp/real"}, b""),
        ("away", {"type": tarfile.SYMTYPE, "linkname": "../../../../../../etc/shadow"}, b""),
    )
    assert container.put_archive("/tmp", links)
    assert list(members(fetch(container, "/tmp/dir"))) == ["dir"]
    assert list(members(fetch(container, "/tmp/dir/"))) == ["dir", "dir/file"]
    assert list(members(fetch(container, "/tmp/dir/file"))) == ["file"]
    assert list(members(fetch(container, "/tmp/real/."))) == [".", "./file"]
    _, facts = container.get_archive("/tmp/away")
    assert facts is not None
    assert facts["linkTarget"] == "/etc/shadow"
    assert facts["mode"] & (1 << 27)
    followed = docker_cli("cp", "-L", f"{container.name}:/tmp/away", "-")
    assert "Could not find the file /etc/shadow in container" in followed.stderr


@pytest.mark.parametrize(
    ("path", "sentence"),
    [("/nope", "Could not find the file /nope in container boxed"), ("/bin/busybox/", "not a dir")],
)
def test_what_is_not_there_is_not_found(
    docker_cli: DockerCli, container: Container, path: str, sentence: str
) -> None:
    assert sentence in docker_cli("cp", f"{container.name}:{path}", "-").stderr
    with pytest.raises(NotFound, match="Could not find the file /no/folder"):
        container.put_archive("/no/folder", archive())
    with pytest.raises(APIError, match="is not a directory"):
        container.put_archive("/bin/busybox", archive())


def test_a_read_only_root_and_a_read_only_volume_take_nothing(
    client: docker.DockerClient, host: Path
) -> None:
    made = client.containers.create(
        "busybox", "true", read_only=True, volumes=[f"{host}:/h:ro", "free:/free"]
    )
    with pytest.raises(APIError, match="container rootfs is marked read-only") as refused:
        made.put_archive("/tmp", archive(("x", {}, b"x")))
    assert refused.value.status_code == 403
    with pytest.raises(APIError, match="mounted volume is marked read-only"):
        made.put_archive("/h", archive(("x", {}, b"x")))
    assert made.put_archive("/free", archive(("x", {}, b"x")))
    assert not (host / "x").exists()


def put(
    client: docker.DockerClient, made: Container, path: str, data: bytes, **query: str
) -> tuple[int, str]:
    """Send an archive with options that docker-py does not know; return status and answer."""
    api = client.api
    url = f"{api.base_url}/v1.45/containers/{made.id}/archive"
    answer = api.put(url, params={"path": path, **query}, data=data)
    return answer.status_code, answer.text


def test_folders_and_files_do_not_replace_each_other_when_that_was_asked(
    docker_cli: DockerCli, client: docker.DockerClient, container: Container, host: Path
) -> None:
    container.put_archive("/tmp", archive(("x", {}, b"x")))
    for name, kind, sentence in (
        ("tmp", tarfile.REGTYPE, "cannot overwrite directory"),
        ("tmp/x", tarfile.DIRTYPE, "cannot overwrite non-directory"),
    ):
        sent = archive((name, {"type": kind}, b""))
        status, answer = put(client, container, "/", sent, noOverwriteDirNonDir="true")
        assert status == 400
        assert sentence in answer
    assert "cannot copy" in docker_cli("cp", str(host), f"{container.name}:/tmp/x").stderr


def test_owners_are_kept_or_become_the_containers_user(client: docker.DockerClient) -> None:
    made = client.containers.create("busybox", "true", user="55:66")
    sent = archive(("kept", {"uid": 7, "gid": 8}, b""))
    made.put_archive("/tmp", sent)
    assert put(client, made, "/root", sent, copyUIDGID="true")[0] == 200
    entry = members(fetch(made, "/tmp/kept"))["kept"]
    assert (entry.uid, entry.gid) == (7, 8)
    entry = members(fetch(made, "/root/kept"))["kept"]
    assert (entry.uid, entry.gid) == (55, 66)


def test_large_archives_pass_without_being_kept_in_memory(
    docker_cli: DockerCli, engine: EngineUnderTest, container: Container, tmp_path: Path
) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(1 << 20) * (_BIG_BYTES >> 20))
    before_kib = _peak_kib(engine.pid)
    assert docker_cli("cp", str(big), f"{container.name}:/big").returncode == 0
    assert docker_cli("cp", f"{container.name}:/big", str(tmp_path / "back")).returncode == 0
    assert subprocess.run(["cmp", big, tmp_path / "back"], check=False).returncode == 0
    assert _peak_kib(engine.pid) - before_kib < _BIG_BYTES >> 11


def _peak_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(
    engine: EngineUnderTest, container: Container
) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(engine.socket))
        connection.sendall(
            f"PUT /containers/{container.id}/archive?path=/tmp HTTP/1.1\r\nHost: x\r\n"
            "Content-Length: 999999\r\n\r\n".encode()
        )
        connection.sendall(archive(("first", {}, b"x" * 5000))[:4096])
        time.sleep(0.3)
    wait_until(lambda: _jobs(engine) == 0, "the job of a client that is gone ends")
    # Whatever held the container at rest has let it go.
    container.reload()
    if container.status != "running":
        container.start()


def _jobs(engine: EngineUnderTest) -> int:
    zygote = engine.zygote_pid()
    children = Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()
    names = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in children]
    return sum(name == "dl-zygote" for name in names)


def test_compressed_archives_are_taken_and_foreign_ones_named(container: Container) -> None:
    sent = archive(("x", {}, b"packed"))
    assert container.put_archive("/tmp", gzip.compress(sent))
    assert content(container, "/tmp/x") == b"packed"
    with pytest.raises(APIError, match="compressed with xz"):
        container.put_archive("/tmp", b"\xfd7zXZ\x00" + bytes(600))
    with pytest.raises(APIError, match="the archive ends early"):
        container.put_archive("/tmp", sent[:700])


# Escapes


@pytest.mark.parametrize(
    "member",
    [
        ("../../out", {}, b"x"),
        ("a/../../../out", {}, b"x"),
        ("out", {"type": tarfile.LNKTYPE, "linkname": "../../../../etc/passwd"}, b""),
    ],
)
def test_names_that_lead_out_are_refused(
    container: Container, member: tuple[str, dict[str, Any], bytes]
) -> None:
    with pytest.raises(APIError, match="leads out"):
        container.put_archive("/tmp", archive(member))


def test_an_archive_writes_through_its_own_link_inside_the_container_only(
    container: Container, tmp_path: Path
) -> None:
    target = tmp_path / "of-the-host"
    target.mkdir()
    for link in (str(tmp_path), "../" * 20 + str(tmp_path).lstrip("/")):
        sent = archive(
            ("way", {"type": tarfile.SYMTYPE, "linkname": link}, b""),
            ("way/of-the-host/file", {}, b"escaped"),
            ("way/new", {}, b"escaped"),
        )
        container.put_archive("/tmp", sent)
    assert list(target.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["of-the-host"]
    # It went where the link leads inside.
    assert content(container, f"{tmp_path}/new") == b"escaped"


def test_a_link_in_the_place_of_a_folder_leads_to_the_containers_files(
    docker_cli: DockerCli, container: Container, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    container.put_archive(
        "/tmp", archive(("up", {"type": tarfile.SYMTYPE, "linkname": str(tmp_path)}, b""))
    )
    assert "Could not find" in docker_cli("cp", f"{container.name}:/tmp/up/secret", "-").stderr
    into = docker_cli("cp", str(secret), f"{container.name}:/tmp/up/planted")
    assert into.returncode != 0
    assert not (tmp_path / "planted").exists()


def test_a_link_that_is_swapped_all_the_time_never_lets_a_copy_out(
    docker_cli: DockerCli, client: docker.DockerClient, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    (tmp_path / "box").mkdir()
    swap = (
        f"mkdir -p /real{tmp_path}; echo of the box >/real/secret; "
        f"while :; do ln -sfn {tmp_path} /way; ln -sfn /real /way; done"
    )
    made = client.containers.run("busybox", ["sh", "-c", swap], detach=True, name="swapper")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        out = docker_cli("cp", "swapper:/way/secret", "-").stdout
        assert "of the host" not in out
        docker_cli("cp", str(secret), "swapper:/way/planted")
    assert {path.name for path in tmp_path.iterdir()} == {"secret", "box"}
    made.remove(force=True)


def test_a_mount_target_that_became_a_link_stays_in_the_container(
    docker_cli: DockerCli, tmp_path: Path, host: Path
) -> None:
    swap = f"mkdir -p {tmp_path}; mv /mnt /old; ln -s {tmp_path} /mnt"
    script = f"test -L /mnt || {{ {swap}; }}; ls /mnt/here"
    bind = f"{host}:/mnt/here"
    docker_cli("create", "--name", "target", "-v", bind, "busybox", "sh", "-c", script)
    docker_cli("start", "-a", "target")
    again = docker_cli("start", "-a", "target")
    assert again.stdout.split() == ["a", "link", "sub"]
    assert docker_cli("cp", str(host / "a"), "target:/mnt/here/b").returncode == 0
    assert (host / "b").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"host"}


def test_devices_of_a_container_are_copied_as_devices(container: Container) -> None:
    node = archive(("null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}, b""))
    container.put_archive("/tmp", node)
    entry = members(fetch(container, "/tmp/null"))["null"]
    assert entry.ischr()
    assert (entry.devmajor, entry.devminor) == (1, 3)


def test_a_fifo_keeps_nobody_waiting(container: Container) -> None:
    container.put_archive("/tmp", archive(("pipe", {"type": tarfile.FIFOTYPE}, b"")))
    assert members(fetch(container, "/tmp/pipe"))["pipe"].isfifo()


def test_the_kernels_own_files_are_not_packed(client: docker.DockerClient) -> None:
    made = client.containers.run("busybox", ["sleep", "600"], detach=True)
    names = set(members(fetch(made, "/")))
    assert {"/proc", "/sys", "/dev", "/bin/busybox"} <= {f"/{name.strip('/')}" for name in names}
    assert not [name for name in names if name.strip("/").startswith(("proc/", "sys/", "dev/"))]
    with pytest.raises(APIError):
        fetch(made, "/proc/1/root/bin/")


# Changes and export


def test_diff_shows_what_was_added_changed_and_deleted(
    docker_cli: DockerCli, client: docker.DockerClient
) -> None:
    script = (
        "echo new >/new; mkdir -p /d/e; touch /d/e/f; rm /bin/ls; chmod 711 /root; "
        "rm -rf /tmp; mkdir /tmp; touch /tmp/again"
    )
    made = client.containers.run("busybox", ["sh", "-c", script], detach=True)
    made.wait()
    shown = docker_cli("diff", str(made.id)).stdout.splitlines()
    assert shown == [
        "C /bin", "D /bin/ls", "A /d", "A /d/e", "A /d/e/f", "A /new", "C /root", "C /tmp",
        "A /tmp/again",
    ]  # fmt: skip
    assert docker_cli("diff", "nope").stderr.strip().endswith("No such container: nope")


def test_a_container_that_changed_nothing_has_no_changes(
    docker_cli: DockerCli, client: docker.DockerClient
) -> None:
    made = client.containers.run("busybox", ["true"], detach=True)
    made.wait()
    assert docker_cli("diff", str(made.id)).stdout == ""
    assert client.api.diff(str(made.id)) is None


def test_export_has_the_root_without_what_is_mounted(
    docker_cli: DockerCli, container: Container, tmp_path: Path
) -> None:
    container.put_archive("/tmp", archive(("x", {"mode": 0o4755}, b"in the root")))
    container.put_archive("/data", archive(("hidden", {}, b"in the volume")))
    out = tmp_path / "root.tar"
    assert docker_cli("export", "-o", str(out), str(container.name)).returncode == 0
    found = members(out.read_bytes())
    assert found["tmp/x"].mode == 0o4755
    assert found["tmp/x"].size == 11
    assert "bin/busybox" in found
    assert "data/hidden" not in found
    assert not [name for name in found if name.startswith(("proc/", "dev/", "/"))]


def test_nothing_is_left_of_many_copies(
    docker_cli: DockerCli, engine: EngineUnderTest, container: Container, host: Path
) -> None:
    def descriptors() -> int:
        return len(list(Path(f"/proc/{engine.pid}/fd").iterdir()))

    counted: list[Callable[[], int]] = [descriptors, lambda: _jobs(engine)]
    docker_cli("cp", str(host), f"{container.name}:/tmp/0")
    before = [count() for count in counted]
    for number in range(10):
        docker_cli("cp", str(host), f"{container.name}:/tmp/{number}")
        docker_cli("cp", f"{container.name}:/tmp/{number}", "-")
        docker_cli("cp", f"{container.name}:/nope", "-")
    wait_until(lambda: [count() for count in counted] <= before, "everything is given back")
    assert stat.S_ISDIR((engine.root / "containers").stat().st_mode)
