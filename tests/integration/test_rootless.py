"""The engine as an ordinary user: with ranges of sub-ids, and with no id but its own."""

import gzip
import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, ContainerError

from tests.corpus.recipes import RECIPES, expected_layers20
from tests.support.accounts import Account, unprivileged_account
from tests.support.engine import EngineUnderTest, running_engine, wait_until
from tests.support.images import busybox_layer
from tests.support.probes import why_not
from tests.support.registry import RunningRegistry, push_image

pytestmark = [pytest.mark.needs_rootless, pytest.mark.needs_registry, pytest.mark.needs_busybox]

SUB_IDS, ONE_ID = "sub-ids", "one id"
OWNER = 1234


@pytest.fixture(scope="module", params=[SUB_IDS, ONE_ID])
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    yield from _account(has_sub_ids=request.param == SUB_IDS)


def _account(*, has_sub_ids: bool) -> Iterator[Account]:
    for need in ("needs_rootless", *(["needs_newuidmap"] if has_sub_ids else [])):
        if reason := why_not(need):
            pytest.skip(f"{need}: {reason}")
    with unprivileged_account(has_sub_ids=has_sub_ids) as made:
        yield made


@pytest.fixture(scope="module")
def engine(account: Account, registry: RunningRegistry) -> Iterator[EngineUnderTest]:
    with running_engine(mirrors=[registry.url], account=account) as started:
        yield started


@pytest.fixture
def client(engine: EngineUnderTest) -> docker.DockerClient:
    return engine.connect()


def has_sub_ids(client: docker.DockerClient) -> bool:
    """Tell the two tiers apart."""
    return _tier(client) == "rootless"


def _tier(client: docker.DockerClient) -> str:
    return str(client.api.get(f"{client.api.base_url}/dockerlab/status").json()["tier"])


def run(client: docker.DockerClient, *command: str, **options: Any) -> str:
    output = client.containers.run("busybox", list(command), remove=True, **options)
    return bytes(output).decode()


def test_hello_world_runs_cold_and_cached(client: docker.DockerClient) -> None:
    for _ in range(2):
        output = client.containers.run("hello-world", remove=True)
        assert output == b"Hello from the registry of the tests.\n"


def test_the_tier_is_told(client: docker.DockerClient, account: Account) -> None:
    info = client.info()
    assert "name=rootless" in info["SecurityOptions"]
    assert _tier(client) == ("rootless" if account.name.endswith("s") else "rootless, one id")


def test_root_in_the_container_is_the_user_outside(
    client: docker.DockerClient, account: Account
) -> None:
    assert run(client, "id", "-u") == "0\n"
    mapping = run(client, "cat", "/proc/self/uid_map").split()
    assert mapping[:3] == ["0", str(account.uid), "1"]


def test_exit_codes_are_those_of_the_program(client: docker.DockerClient) -> None:
    for code in (0, 3, 137):
        container = client.containers.create("busybox", ["sh", "-c", f"exit {code}"])
        container.start()
        assert container.wait()["StatusCode"] == code
        container.remove()
    with pytest.raises(APIError, match="executable file not found"):
        run(client, "no-such-program")


@pytest.mark.needs_docker_cli
def test_standard_input_and_a_terminal_work(engine: EngineUnderTest) -> None:
    engine.connect().images.pull("busybox", "latest")
    environ = os.environ | {"DOCKER_HOST": engine.address}
    command = ["docker", "run", "--rm", "-i", "busybox", "sh", "-c", "cat; exit 5"]
    done = subprocess.run(
        command,
        input="more\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environ,
    )
    assert (done.returncode, done.stdout) == (5, "more\n")
    assert run(engine.connect(), "tty", tty=True).strip() == "/dev/pts/0"


def test_the_devices_are_usable_and_no_other_can_be_made(client: docker.DockerClient) -> None:
    script = (
        "echo x >/dev/null && head -c4 /dev/zero | wc -c && head -c4 /dev/urandom | wc -c"
        " && ! mknod /made c 1 3 2>&1 && ls -d /dev/mqueue /dev/shm && mount -t tmpfs x /mnt 2>&1"
        " || echo refused"
    )
    output = run(client, "sh", "-c", script)
    assert output.startswith("4\n4\n")
    assert "/dev/mqueue\n/dev/shm\n" in output
    assert output.endswith("refused\n")


def test_networks_host_and_none(client: docker.DockerClient) -> None:
    assert run(client, "sh", "-c", "ls /sys/class/net", network_mode="none") == "lo\n"
    own = sorted(path.name for path in Path("/sys/class/net").iterdir())
    shown = run(client, "sh", "-c", "ls /sys/class/net", network_mode="host").split()
    assert sorted(shown) == own
    container = client.containers.run("busybox", ["sleep", "60"], detach=True, network_mode="host")
    assert container.exec_run(["echo", "in"]) == (0, b"in\n")
    container.remove(force=True)


def test_another_user_in_the_container(client: docker.DockerClient) -> None:
    if has_sub_ids(client):
        assert run(client, "id", user=f"{OWNER}:5").startswith(f"uid={OWNER} gid=5")
        return
    with pytest.raises(APIError, match=f'user "{OWNER}:5" has no id'):
        run(client, "id", user=f"{OWNER}:5")


def test_capabilities_are_dockers_and_no_more(client: docker.DockerClient) -> None:
    status = run(client, "cat", "/proc/self/status")
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert lines["CapEff"] == lines["CapBnd"] == "00000000a80425fb"
    assert lines["Seccomp"].strip() == "2"
    assert run(client, "sh", "-c", "echo 1 >/proc/sys/kernel/hostname; echo $?").endswith("1\n")


def test_owners_set_id_bits_and_devices_of_an_image(
    client: docker.DockerClient, engine: EngineUnderTest, registry: RunningRegistry
) -> None:
    _push_owners(registry)
    script = "cd /owned && stat -c '%n %u:%g %a' *; cat secret; ls /owned"
    client.images.pull("owners", "latest")
    container = client.containers.create("owners", ["sh", "-c", script])
    container.start()
    container.wait()
    lines = container.logs().decode().splitlines()
    container.remove()
    is_mapped = has_sub_ids(client)
    owner = f"{OWNER}:{OWNER}" if is_mapped else "0:0"
    assert f"program {owner} {4755 if is_mapped else 755}" in lines
    assert f"secret {owner} 600" in lines
    assert "root-setuid 0:0 4755" in lines
    # Beyond every range; a set-id bit of its owner must not become root's.
    assert "far 0:0 755" in lines
    assert "whispered" in lines
    # Nobody may make a device; the image does without, and without its second name.
    assert not any(line.startswith("null") for line in lines)
    [far] = (engine.root / "layers").glob("*/owned/far")
    assert os.getxattr(far, "user.dockerlab.owner") == b"2000000:2000000:4755"


@pytest.fixture(scope="module")
def layers20(registry: RunningRegistry, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Push an image of twenty layers with whiteouts and opaque folders; return its name."""
    folder = tmp_path_factory.mktemp("layers20")
    built = RECIPES["layers20"].write(folder)
    layers = [gzip.decompress((folder / each.file).read_bytes()) for each in built]
    repository = "library/layers20"
    push_image(registry.address, repository, "latest", layers, compression="none")
    return "layers20"


def test_twenty_layers_hide_what_they_delete(client: docker.DockerClient, layers20: str) -> None:
    script = "cd /data && find . -type f && rm -r own/03 && mkdir own/03 && ls -A own/03 | wc -l"
    output = client.containers.run(layers20, ["sh", "-c", script], remove=True).decode()
    *found, left = output.splitlines()
    assert {name.removeprefix("./") for name in found} == expected_layers20()
    assert left == "0"
    client.images.remove(layers20)


def test_removed_images_and_containers_leave_no_files(
    engine: EngineUnderTest, client: docker.DockerClient, registry: RunningRegistry
) -> None:
    _push_owners(registry)
    client.images.pull("owners", "latest")
    digits = {path.name for path in (engine.root / "layers").iterdir()}
    image = client.images.get("owners")
    script = "mkdir -p /d/e && touch /d/e/f && chown -R 77:77 /d 2>/dev/null; chmod 700 /d"
    container = client.containers.run("owners", ["sh", "-c", script], detach=True)
    container.wait()
    sizes = client.api.containers(all=True, size=True, filters={"id": container.id})
    assert sizes[0]["SizeRw"] >= 0
    container.remove()
    client.images.remove("owners")
    own = image.attrs["RootFS"]["Layers"][-1].removeprefix("sha256:")
    assert own in digits
    folders = (engine.root / "containers").glob
    wait_until(lambda: not list(folders(f"*{container.id}*")), "the folder is deleted")
    assert not list((engine.root / "layers").glob(f"{own}*"))


def test_a_limit_without_a_cgroup_is_refused_with_the_remedy(client: docker.DockerClient) -> None:
    with pytest.raises(APIError, match=r"cgroup_parent in config\.toml") as caught:
        client.containers.create("busybox", mem_limit="64m")
    assert caught.value.status_code == 501


@pytest.mark.parametrize("is_holder_killed", [False, True])
def test_containers_outlive_daemon_and_zygote(
    engine: EngineUnderTest, *, is_holder_killed: bool
) -> None:
    client = engine.connect()
    script = "echo before; while ! [ -e /go ]; do sleep 0.05; done; echo after; exec sleep 100"
    old = client.containers.run("busybox", ["sh", "-c", script], detach=True, name="old")
    before = _namespace(old.attrs["State"]["Pid"] or _pid(client, "old"))
    zygote = engine.zygote_pid()
    engine.kill()
    os.kill(zygote, 9)
    if is_holder_killed:
        os.kill(_holder(engine), 9)
    engine.start()
    client = engine.connect()
    old = client.containers.get("old")
    assert old.status == "running"
    assert old.exec_run(["touch", "/go"]).exit_code == 0
    wait_until(lambda: b"after" in old.logs(), "the log goes on")
    new = client.containers.run("busybox", ["sleep", "100"], detach=True)
    assert _namespace(_pid(client, str(new.id))) == before == _namespace(engine.zygote_pid())
    for container in (old, new):
        container.remove(force=True)


def test_policies_health_and_execs_work_as_with_root(engine: EngineUnderTest) -> None:
    client = engine.connect()
    failing = client.containers.run(
        "busybox",
        "false",
        detach=True,
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 1},
    )
    check = {"test": ["CMD", "true"], "interval": 10**8}
    healthy = client.containers.run("busybox", ["sleep", "100"], detach=True, healthcheck=check)
    wait_until(lambda: client.containers.get(str(failing.id)).status == "exited", "it gives up")
    assert client.api.inspect_container(str(failing.id))["RestartCount"] == 1
    wait_until(
        lambda: client.api.containers(filters={"health": "healthy", "id": healthy.id}), "it is well"
    )
    script = "while ! [ -e /go ]; do sleep 0.1; done; exit 5"
    exec_id = client.api.exec_create(str(healthy.id), ["sh", "-c", script])["Id"]
    client.api.exec_start(exec_id, detach=True)
    engine.kill()
    engine.start()
    client = engine.connect()
    assert client.api.exec_inspect(exec_id)["Running"]
    client.containers.get(str(healthy.id)).exec_run(["touch", "/go"])
    wait_until(lambda: client.api.exec_inspect(exec_id)["ExitCode"] == 5, "its end is told")
    for container in (failing, healthy):
        client.containers.get(str(container.id)).remove(force=True)


def test_the_holder_goes_with_the_last_who_needs_it(engine: EngineUnderTest) -> None:
    holder = _holder(engine)
    engine.stop()
    wait_until(lambda: _is_gone(holder), "the holder ends")
    engine.start()


def test_a_data_root_belongs_to_its_tier(engine: EngineUnderTest) -> None:
    engine.stop()
    stranger = EngineUnderTest()
    root, stranger.root = stranger.root, engine.root
    try:
        with pytest.raises(RuntimeError, match=r'was made by tier "rootless'):
            stranger.start()
    finally:
        stranger.root = root
        stranger.close()
        engine.start()


def test_reset_deletes_the_data_root_wholly(account: Account, registry: RunningRegistry) -> None:
    _push_owners(registry)
    engine = EngineUnderTest(mirrors=[registry.url], account=account)
    try:
        engine.start()
        script = "touch /f; chown 9:9 /f; exec sleep 100"
        engine.connect().images.pull("owners", "latest")
        engine.connect().containers.run("owners", ["sh", "-c", script], detach=True)
        command = ["-m", "dockerlab", "engine", "reset", "--root", str(engine.root)]
        command += ["--socket", str(engine.socket)]
        refused = account.run(*command)
        assert refused.returncode == 1
        assert "--yes" in refused.stderr
        done = account.run(*command, "--yes")
        assert (done.returncode, done.stderr) == (0, "")
        assert not engine.root.exists()
        assert not engine.runtime_dir.exists()
        again = account.run(*command, "--yes")
        assert again.returncode == 1
        assert "there is no data root" in again.stderr
        engine.start()
    finally:
        engine.close()


@pytest.mark.needs_cgroup
def test_limits_bite_in_a_cgroup_that_is_handed_to_the_user(
    account: Account, registry: RunningRegistry
) -> None:
    parent = f"/dockerlab-handed-{os.getpid()}"
    folders = [Path(f"/sys/fs/cgroup/{name}{parent}") for name in ("memory", "pids", "cpu")]
    if not folders[0].parent.is_dir():
        pytest.skip("needs_cgroup: the hierarchies of cgroup v1 are not mounted")
    engine = EngineUnderTest(mirrors=[registry.url], account=account)
    config = account.home / ".config/dockerlab/config.toml"
    try:
        for folder in folders:
            folder.mkdir()
            os.chown(folder, account.uid, account.gid)
        config.parent.mkdir(parents=True)
        config.write_text(f'cgroup_parent = "{parent}"\n')
        config.chmod(0o644)
        for path in (config.parent, config.parent.parent):
            path.chmod(0o755)
        engine.start()
        client = engine.connect()
        with pytest.raises(ContainerError) as caught:
            # `tail` keeps the last line, and this one does not end.
            run(client, "tail", "/dev/zero", mem_limit="16m", memswap_limit="16m")
        assert caught.value.exit_status == 137
        options = {"pids_limit": 7, "nano_cpus": 500_000_000}
        show = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us"
        assert run(client, "sh", "-c", show, **options) == "7\n50000\n"
        # A monitor gives its cgroup back a moment after the container's end is told.
        wait_until(
            lambda: not [path for each in folders for path in each.iterdir() if path.is_dir()],
            "the cgroups are gone",
        )
    finally:
        engine.close()
        config.unlink(missing_ok=True)
        for folder in folders:
            if folder.is_dir():
                folder.rmdir()


def _push_owners(registry: RunningRegistry) -> None:
    """Push ``library/owners``: a shell, and a layer with files of several users."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, owner, mode, data in (
            ("owned/program", OWNER, 0o4755, b"#!"),
            ("owned/secret", OWNER, 0o600, b"whispered\n"),
            ("owned/root-setuid", 0, 0o4755, b"#!"),
            ("owned/far", 2_000_000, 0o4755, b"#!"),
        ):
            entry = tarfile.TarInfo(name)
            entry.uid = entry.gid = owner
            entry.mode, entry.size = mode, len(data)
            archive.addfile(entry, io.BytesIO(data))
        for name, kind, link in (
            ("owned/null", tarfile.CHRTYPE, ""),
            ("owned/null-too", tarfile.LNKTYPE, "owned/null"),
            ("owned/link", tarfile.SYMTYPE, "secret"),
            ("owned/fifo", tarfile.FIFOTYPE, ""),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, link
            entry.uid = entry.gid = OWNER
            entry.devmajor, entry.devminor = 1, 3
            archive.addfile(entry)
    layers = [busybox_layer(), buffer.getvalue()]
    push_image(registry.address, "library/owners", "latest", layers, config={"Cmd": ["sh"]})


def _pid(client: docker.DockerClient, name: str) -> int:
    return int(client.api.inspect_container(name)["State"]["Pid"])


def _namespace(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/user").readlink())


def _holder(engine: EngineUnderTest) -> int:
    """Find the holder by its name and its user."""
    assert engine.account is not None
    for process in Path("/proc").iterdir():
        try:
            if (
                process.name.isdigit()
                and process.stat().st_uid == engine.account.uid
                and (process / "comm").read_text() == "dl-holder\n"
            ):
                return int(process.name)
        except OSError:
            continue
    raise AssertionError("there is no holder")


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
