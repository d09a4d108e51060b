"""From start to end: exit codes, failures by step, users, limits, execs, survival."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dockerlab.engine import jobs
from dockerlab.runtime import defaults
from tests.support.boxes import Box, Boxes, read_all, read_until, running_zygote

MEBIBYTE = 1 << 20


@pytest.mark.parametrize("code", [0, 7, 255])
def test_the_exit_code_is_the_programs(boxes: Boxes, code: int) -> None:
    assert boxes.run("sh", "-c", f"exit {code}")[0] == code


def test_a_signals_exit_code_is_128_and_its_number(boxes: Boxes) -> None:
    box = boxes.box("sleep", "100")
    box.start(boxes.zygote)
    box.expect("started")
    box.send({"type": "kill", "signal": int(signal.SIGKILL)})

    assert box.expect("exited")["exit_code"] == 128 + signal.SIGKILL


def test_the_exit_record_is_there_before_the_message(boxes: Boxes) -> None:
    box = boxes.box("sh", "-c", "exit 3")
    box.start(boxes.zygote)
    message = box.expect("exited")

    record = json.loads(box.exit_file.read_bytes())
    assert record == {key: value for key, value in message.items() if key != "type"}
    assert record["exit_code"] == 3


def test_timings_are_in_order(boxes: Boxes) -> None:
    box = boxes.box("true")
    before = time.monotonic()
    box.start(boxes.zygote)
    timings = box.expect("started")["timings"]

    assert sorted(timings) == ["cgroup", "executed", "forked", "mounted", "received"]
    assert before <= timings["received"] <= timings["cgroup"] <= timings["forked"]
    assert timings["forked"] <= timings["mounted"]
    assert timings["mounted"] <= timings["executed"] <= time.monotonic()


@pytest.mark.parametrize(
    ("command", "number"),
    [
        ("no-such-program", errno.ENOENT),
        ("/no/such/program", errno.ENOENT),
        ("/etc/passwd", errno.EACCES),
        ("/etc", errno.EACCES),
        ("/bin/text", errno.ENOEXEC),
    ],
)
def test_what_cannot_be_executed_fails_with_the_kernels_reason(
    boxes: Boxes, command: str, number: int
) -> None:
    box = boxes.box(command)
    text = Path(box.args["rootfs"]["lower"][-1]) / "bin/text"
    text.write_text("no program\n")
    text.chmod(0o755)
    client = box.start(boxes.zygote)
    failure = box.expect("failed", among="failed")

    assert (failure["step"], failure["errno"], failure["path"]) == ("exec", number, command)
    assert read_all(client) == b""
    box.wait_until_gone()
    assert not box.exit_file.exists()


def test_an_unknown_user_fails_by_name(boxes: Boxes) -> None:
    box = boxes.box("true")
    box.change(user="nobody-here")
    box.start(boxes.zygote)
    failure = box.expect("failed", among="failed")

    assert failure["step"] == "user"
    assert "unable to find user nobody-here" in failure["message"]


def test_a_missing_layer_fails_the_root(boxes: Boxes) -> None:
    box = boxes.box("true", layers=[Path("/no/such/layer")])
    box.start(boxes.zygote)

    assert box.expect("failed", among="failed")["step"] == "rootfs"


def test_a_broken_bundle_fails(boxes: Boxes) -> None:
    box = boxes.box("true")
    box.args["bundle"] = "/no/such/bundle"
    box.start(boxes.zygote)

    failure = box.expect("failed", among="failed")
    assert (failure["step"], failure["errno"]) == ("bundle", errno.ENOENT)


def test_the_user_its_groups_and_home_are_the_containers(boxes: Boxes) -> None:
    _, output = boxes.run("sh", "-c", "id; echo $HOME", user="ann")

    assert output.split() == [
        "uid=1000(ann)",
        "gid=1001(ann)",
        "groups=8(mail),1001(ann)",
        "/home/ann",
    ]


def test_a_missing_working_directory_is_made(boxes: Boxes) -> None:
    _, output = boxes.run("sh", "-c", "pwd; stat -c '%a %u' .", cwd="/new/place")

    assert output == "/new/place\n755 0\n"


def test_a_file_as_working_directory_fails(boxes: Boxes) -> None:
    box = boxes.box("true")
    box.change(cwd="/etc/passwd")
    box.start(boxes.zygote)

    failure = box.expect("failed", among="failed")
    assert (failure["step"], failure["errno"]) == ("cwd", errno.ENOTDIR)


def test_limits_of_the_process_are_set(boxes: Boxes) -> None:
    limits = [{"type": "RLIMIT_NOFILE", "soft": 33, "hard": 44}]
    _, output = boxes.run("grep", "open files", "/proc/self/limits", rlimits=limits)

    assert output.split()[3:5] == ["33", "44"]


def test_the_oom_score_is_adjusted(boxes: Boxes) -> None:
    assert boxes.run("cat", "/proc/self/oom_score_adj", oomScoreAdj=500)[1] == "500\n"


@pytest.mark.needs_cgroup
def test_too_much_memory_kills_with_137_and_says_why(boxes: Boxes) -> None:
    resources = {"devices": defaults.device_rules(), "memory": {"limit": 16 * MEBIBYTE}}
    box = boxes.box("sh", "-c", "head -c 64m /dev/zero | tail -c 60m > /dev/null; tail /dev/zero")
    box.change(resources=resources)
    box.start(boxes.zygote)
    message = box.expect("exited")

    assert message["oom_killed"]
    assert message["exit_code"] == 137


@pytest.mark.needs_cgroup
def test_too_many_processes_are_refused(boxes: Boxes) -> None:
    resources = {"devices": defaults.device_rules(), "pids": {"limit": 4}}
    _, output = boxes.run(
        "sh", "-c", "for i in 1 2 3 4 5 6; do sleep 1 & done; wait", resources=resources
    )

    assert "can't fork" in output


@pytest.mark.needs_cgroup
def test_a_cpu_quota_throttles(boxes: Boxes) -> None:
    resources = {
        "devices": defaults.device_rules(),
        "cpu": {"quota": 10_000, "period": 100_000},
    }
    _, output = boxes.run(
        "sh",
        "-c",
        "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; cat /sys/fs/cgroup/cpu*/cpu.stat"
        " /sys/fs/cgroup/cpu.stat 2>/dev/null",
        resources=resources,
    )

    counters = dict(line.split() for line in output.splitlines())
    assert int(counters["nr_throttled"]) > 0


@pytest.mark.needs_cgroup
def test_nothing_is_left_when_it_ends(boxes: Boxes) -> None:
    box = boxes.box("sh", "-c", "sleep 100 & exit 0")
    box.start(boxes.zygote)
    box.expect("exited")
    box.wait_until_gone()

    assert not box.run_dir.exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/dockerlab/{box.id}"))


def test_an_exec_is_in_the_containers_namespaces_with_its_restrictions(boxes: Boxes) -> None:
    box = _running(boxes)
    names = ["pid", "mnt", "uts", "ipc", "net", "cgroup"]
    client = box.exec(
        "sh",
        "-c",
        f"for p in 1 self; do for n in {' '.join(names)}; do readlink /proc/$p/ns/$n; done; done;"
        " grep -E 'CapEff|CapBnd|Seccomp:' /proc/self/status; cat /proc/self/cgroup;"
        " ls /proc/self/fd",
    )
    lines = read_all(client).decode().splitlines()

    assert lines[:6] == lines[6:12]
    assert [line.split()[1] for line in lines[12:15]] == [
        "00000000a80425fb",
        "00000000a80425fb",
        "2",
    ]
    assert any("devices:/" in line or line.startswith("0::/") for line in lines)
    assert lines[-4:] == ["0", "1", "2", "3"]
    assert box.expect("exec_exited")["exit_code"] == 0


def test_an_execs_input_output_and_exit_code(boxes: Boxes) -> None:
    box = _running(boxes)
    client = box.exec("sh", "-c", "cat; exit 9", user="ann")
    client.sendall(b"to exec\n")
    client.shutdown(1)

    assert read_all(client) == b"to exec\n"
    assert box.expect("exec_started")["pid"] > 1
    assert box.expect("exec_exited")["exit_code"] == 9


def test_an_exec_with_a_terminal(boxes: Boxes) -> None:
    box = _running(boxes)
    client = box.exec("tty", terminal=True)

    assert read_all(client) == b"/dev/pts/0\r\n"


def test_an_exec_of_nothing_fails_and_the_container_goes_on(boxes: Boxes) -> None:
    box = _running(boxes)
    client = box.exec("no-such-program")
    failure = box.expect("exec_failed")

    assert (failure["step"], failure["errno"]) == ("exec", errno.ENOENT)
    assert read_all(client) == b""
    box.send({"type": "state"})
    assert box.expect("state")["exit_code"] is None


def test_an_execs_child_in_the_background_does_not_hold_it_up(boxes: Boxes) -> None:
    box = _running(boxes)
    box.exec("sh", "-c", "sleep 100 & exit 4")

    assert box.expect("exec_exited")["exit_code"] == 4


def test_the_containers_end_ends_its_execs(boxes: Boxes) -> None:
    box = _running(boxes)
    client = box.exec("sleep", "100")
    box.expect("exec_started")
    box.send({"type": "kill", "signal": 9})

    assert box.expect("exec_exited")["exit_code"] == 137
    assert box.expect("exited")["exit_code"] == 137
    assert read_all(client) == b""


def test_it_survives_the_death_of_daemon_and_zygote(
    tmp_path: Path, known_containers: set[str]
) -> None:
    with running_zygote(tmp_path / "log") as zygote:
        boxes = Boxes(zygote, tmp_path / "boxes", known_containers)
        script = "n=0; while [ $n -lt 50 ]; do echo $n; n=$((n+1)); sleep 0.02; done; exit 6"
        box = boxes.box("sh", "-c", script)
        client = box.start(zygote)
        pid = box.expect("started")["pid"]
        os.kill(zygote.pid, signal.SIGKILL)
        client.close()
        box.reconnect()
        box.send({"type": "state"})
        state = box.expect("state")
        assert (state["pid"], state["exit_code"]) == (pid, None)
        exec_client = box.exec("echo", "still here")
        assert read_all(exec_client) == b"still here\n"
        assert box.expect("exited")["exit_code"] == 6

        lines = [json.loads(line)["log"] for line in box.log.read_text().splitlines()]
        assert lines == [f"{n}\n" for n in range(50)]
        assert json.loads(box.exit_file.read_bytes())["exit_code"] == 6
        boxes.close()


def test_a_dead_zygote_refuses_jobs(tmp_path: Path) -> None:
    from dockerlab.errors import EngineFailure

    with running_zygote(tmp_path / "log") as zygote:
        os.kill(zygote.pid, signal.SIGKILL)
        while zygote.is_alive:
            time.sleep(0.005)
        with pytest.raises(EngineFailure, match="does not take the job"):
            zygote.submit("monitor", {}, [])


def test_an_unknown_job_closes_its_descriptors_and_others_go_on(
    tmp_path: Path, known_containers: set[str]
) -> None:
    log = tmp_path / "log"
    with running_zygote(log) as zygote:
        reader, writer = os.pipe()
        zygote.submit("no-such-job", {}, [writer])
        os.close(writer)
        assert os.read(reader, 1) == b""
        os.close(reader)
        boxes = Boxes(zygote, tmp_path / "boxes", known_containers)
        assert boxes.run("echo", "fine") == (0, "fine\n")
        boxes.close()

    assert log.read_text().startswith("job no-such-job: KeyError")


def test_the_zygote_is_single_threaded(boxes: Boxes) -> None:
    assert len(list(Path(f"/proc/{boxes.zygote.pid}/task").iterdir())) == 1


def test_bad_messages_do_not_end_the_supervision(boxes: Boxes, tmp_path: Path) -> None:
    box = _running(boxes)
    box.control.send(b"no json")
    box.reconnect()
    box.send({"type": "attach"})
    box.send({"type": "unknown"})
    box.send({"type": "state"})

    assert box.expect("state")["exit_code"] is None


def test_only_root_may_talk_to_a_monitor(boxes: Boxes) -> None:
    box = _running(boxes)

    assert (box.run_dir / "monitor.sock").stat().st_mode & 0o777 == 0o600
    assert box.run_dir.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("python", ["/usr/bin/python3", "/usr/bin/python3.11"])
def test_another_interpreter_runs_the_zygote_too(python: str, tmp_path: Path) -> None:
    if not Path(python).exists():
        python = sys.executable
    package = Path(jobs.__file__).parents[2]
    script = (
        "import sys; from pathlib import Path; from dockerlab.runtime.launch import Zygote;"
        f"z = Zygote.launch(Path({jobs.__file__!r}), import_paths=[{str(package)!r}], log_fd=2);"
        "print(z.is_alive, z.sealed); z.close()"
    )
    done = subprocess.run(
        [python, "-c", script],
        env={"PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("True True\n", "")


def test_remove_tree_removes_what_is_below_the_root_only(boxes: Boxes, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "gone/deep/er").mkdir(parents=True)
    (root / "gone/deep/link").symlink_to("/etc")
    (root / "out").symlink_to(tmp_path)
    (tmp_path / "kept").mkdir()
    _remove(boxes, root, root / "gone")
    assert not (root / "gone").exists()

    for path in (root / "out/kept", root / "../kept"):
        with pytest.raises(OSError):  # noqa: PT011 - ELOOP or EXDEV, by the way out
            jobs.remove_tree({"root": str(root), "path": str(path)}, [])
    assert (tmp_path / "kept").exists()
    assert Path("/etc/passwd").exists()


def _remove(boxes: Boxes, root: Path, path: Path) -> None:
    done, theirs = os.pipe()
    boxes.zygote.submit("remove_tree", {"root": str(root), "path": str(path)}, [theirs])
    os.close(theirs)
    os.read(done, 1)
    os.close(done)


def _running(boxes: Boxes, **changes: Any) -> Box:
    box = boxes.box("sh", "-c", "echo ready; while :; do sleep 100; done")
    box.change(**changes)
    client = box.start(boxes.zygote)
    read_until(client, b"ready")
    box.expect("started")
    return box
