"""The probe: a program that runs in a container and writes what it found as one JSON object.

Standard library only, for its text is handed to the container's own Python. The first argument is a
JSON object with the links of the host's namespaces. Nothing that it tries would do harm where it is
allowed: system calls get arguments that the kernel refuses at once, after the filter.
"""

import ctypes
import errno
import glob
import json
import os
import resource
import signal
import socket
import stat
import sys
from collections.abc import Callable
from functools import partial

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long

# asm/unistd_64.h of x86: calls that Docker's filter stops, and some that it must not.
CALLS = {
    "acct": (163, 1),
    "add_key": (248, 0, 0, 0, 0, 0),
    "bpf": (321, 99, 0, 0),
    "clock_settime": (227, 99, 0),
    "clone3": (435, 0, 0),
    "delete_module": (176, 0, 0),
    "fanotify_init": (300, 0xFFFF, 0),
    "finit_module": (313, -1, 0, 0),
    "fsopen": (430, 0, 0),
    "getpid": (39,),
    "init_module": (175, 0, 0, 0),
    "io_uring_setup": (425, 0, 0),
    "iopl": (172, 99),
    "kcmp": (312, -1, -1, 99, 0, 0),
    "kexec_load": (246, 0, 99, 0, 0),
    "keyctl": (250, 99, 0, 0, 0, 0),
    "landlock_create_ruleset": (444, 0, 99, 99),
    "mbind": (237, 0, 0, 99, 0, 0, 0),
    "memfd_secret": (447, 0xFFFF),
    "mount": (165, 0, 0, 0, 0, 0),
    "mount_setattr": (442, -1, 0, 0, 0, 0),
    "move_mount": (429, -1, 0, -1, 0, 0),
    "open_by_handle_at": (304, -1, 0, 0),
    "open_tree": (428, -1, 0, 0),
    "perf_event_open": (298, 0, 0, 0, 0, 0),
    "personality_uname26": (135, 0x0020000),
    "pidfd_open": (434, -1, 0),
    "pivot_root": (155, 0, 0),
    "process_vm_readv": (310, -1, 0, 0, 0, 0, 0),
    "ptrace": (101, 99, -1, 0, 0),
    "quotactl": (179, -1, 0, 0, 0),
    "reboot": (169, 0, 0, 0, 0),
    "request_key": (249, 0, 0, 0, 0),
    "setns": (308, -1, 0),
    "settimeofday": (164, 1, 0),
    "swapon": (167, 0, 0),
    "syslog": (103, 99, 0, 0),
    "unshare_mount": (272, 0x00020000),
    "unshare_user": (272, 0x10000000),
    "userfaultfd": (323, 0xFFFF),
    "vhangup": (153,),
}
FAMILIES = {"AF_ALG": 38, "AF_VSOCK": 40, "AF_PACKET": 17, "AF_NETLINK": 16, "AF_INET": 2}
MASKED = (
    *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys"),
    *("/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list"),
    *("/proc/timer_stats", "/sys/firmware", "/sys/devices/virtual/powercap"),
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/sys", "/sys/fs/cgroup")
MOUNTS = ("/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys")
LIMITS = ("CORE", "FSIZE", "MEMLOCK", "NOFILE", "NPROC", "STACK")

Facts = dict[str, str]

_LIBC_SIGNALS = 0b11 << 31


def outcome(action: Callable[[], object]) -> str:
    """Return ``yes``, or the name of the kernel's reason."""
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno))
    return "yes"


def in_child(action: Callable[[], str]) -> str:
    """Return what `action` says in a process of its own."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, action().encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return text or f"ended {status}"


def call(*arguments: int) -> str:
    """Make a system call; return what the kernel answers."""
    ctypes.set_errno(0)
    result = LIBC.syscall(*(ctypes.c_long(each) for each in arguments))
    return "yes" if result >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")


def read(path: str) -> str:
    """Return a file's text, or the reason why not."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "?")


def status() -> Facts:
    """Return /proc/self/status as a dictionary."""
    lines = read("/proc/self/status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def privileges() -> Facts:
    """Return capabilities and what else belongs to the process's credentials."""
    own = status()
    names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
    facts = {name: own[name] for name in names}
    facts["Seccomp_filters"] = own.get("Seccomp_filters", "")
    # 32 and 33 are glibc's own, which a child of its posix_spawn(3), as dockerd may be, ignores.
    facts["ignored signals"] = f"{int(own['SigIgn'], 16) & ~_LIBC_SIGNALS:016x}"
    facts["blocked signals"] = own["SigBlk"]
    facts["groups"] = own["Groups"]
    facts["umask"] = own["Umask"]

    def as_another() -> str:
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        return status()["CapEff"]

    facts["CapEff of user 1000"] = in_child(as_another)
    return facts


def calls() -> Facts:
    """Return what the filter and the kernel say to system calls."""
    facts = {f"call {name}": in_child(partial(call, *args)) for name, args in CALLS.items()}
    for name, family in FAMILIES.items():
        kind = socket.SOCK_SEQPACKET if name == "AF_ALG" else socket.SOCK_DGRAM
        facts[f"socket {name}"] = outcome(partial(_open_socket, family, kind))
    for name, kind in (("raw", socket.SOCK_RAW), ("ping", socket.SOCK_DGRAM)):
        ping = partial(_open_socket, socket.AF_INET, kind, socket.IPPROTO_ICMP)
        facts[f"socket {name}"] = outcome(ping)

    def bind_low() -> str:
        os.setresuid(1000, 1000, 1000)
        with socket.socket() as listener:
            return outcome(lambda: listener.bind(("127.0.0.1", 80)))

    facts["port 80 of user 1000"] = in_child(bind_low)
    facts["set the host name"] = outcome(lambda: socket.sethostname("other"))
    facts["chroot"] = in_child(lambda: outcome(lambda: os.chroot("/tmp")))
    return facts


def shown(path: str) -> str:
    """Tell whether a path is absent, shows nothing, or something."""
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):
            return "something" if os.listdir(path) else "nothing"
        with open(path, "rb") as file:
            return "something" if file.read(1) else "nothing"
    except FileNotFoundError:
        return "absent"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "?")


def files() -> Facts:
    """Return what is masked, what can be written, what is mounted and how."""
    facts = {f"masked {path}": shown(path) for path in MASKED}
    throttles = glob.glob("/sys/devices/system/cpu/cpu*/thermal_throttle")
    facts["masked thermal_throttle"] = ",".join({shown(path) for path in throttles}) or "absent"
    for path in READ_ONLY:
        facts[f"write below {path}"] = outcome(partial(os.mkdir, f"{path}/probe"))
    facts["write a parameter"] = outcome(lambda: _write("/proc/sys/kernel/panic", "0"))
    facts["write the root"] = outcome(lambda: _write("/probe", "x"))
    mounts = {line.split()[1]: line.split() for line in read("/proc/self/mounts").splitlines()}
    for path in MOUNTS:
        _, _, kind, options, *_ = mounts.get(path, ["", "", "absent", ""])
        kept = sorted(each for each in options.split(",") if "=" not in each)
        facts[f"mount {path}"] = f"{kind} {','.join(kept)}"
    entries = [line.split(" - ")[0].split() for line in read("/proc/self/mountinfo").splitlines()]
    spread = [tag for entry in entries for tag in entry[6:]]
    facts["mounts that spread"] = ",".join(sorted({tag.split(":")[0] for tag in spread})) or "none"
    facts["release_agent"] = ",".join(glob.glob("/sys/fs/cgroup/**/release_agent")) or "none"
    facts["/.dockerenv"] = shown("/.dockerenv")
    facts["/etc/mtab"] = os.readlink("/etc/mtab") if os.path.islink("/etc/mtab") else "no link"
    for name in ("hosts", "hostname", "resolv.conf"):
        facts[f"/etc/{name}"] = f"{os.stat(f'/etc/{name}').st_mode:o}"
    return facts


def _open(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY))


def _open_socket(family: int, kind: int, protocol: int = 0) -> None:
    socket.socket(family, kind, protocol).close()


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def devices() -> Facts:
    """Return which devices there are, and what may be done with one of its own making."""
    facts = {"devices": ",".join(sorted(os.listdir("/dev")))}
    for kind, name in ((stat.S_IFBLK, "block"), (stat.S_IFCHR, "character")):
        number = os.makedev(7, 0) if kind == stat.S_IFBLK else os.makedev(1, 1)
        path = f"/tmp/probe-{name}"
        made = outcome(partial(os.mknod, path, 0o600 | kind, number))
        facts[f"make a {name} device"] = made
        opened = outcome(partial(_open, path))
        facts[f"open a {name} device"] = opened if made == "yes" else "-"
    facts["modes of devices"] = ",".join(
        sorted({f"{os.stat(path).st_mode:o}" for path in ("/dev/null", "/dev/zero", "/dev/tty")})
    )
    return facts


def surroundings(host: dict[str, str]) -> Facts:
    """Return namespaces, processes, descriptors, limits, and what is known of the host."""
    facts = {}
    for name in ("pid", "mnt", "uts", "ipc", "net", "cgroup", "user", "time"):
        own = os.readlink(f"/proc/self/ns/{name}") == host.get(name)
        facts[f"namespace {name}"] = "the host's" if own else "own"
    facts["pid"] = str(os.getpid())
    facts["session"] = str(os.getsid(0))
    facts["processes"] = str(len([each for each in os.listdir("/proc") if each.isdigit()]))
    links = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)]
    facts["descriptors"] = str(len(os.listdir("/proc/self/fd")) - 1)
    facts["files of descriptors"] = ",".join(link.split(":")[0].split("/")[-1] for link in links)
    facts["environment"] = ",".join(sorted(os.environ))
    facts["working directory"] = os.getcwd()
    facts["interfaces"] = ",".join(name for _, name in socket.if_nameindex())
    facts["uid map"] = "all" if read("/proc/self/uid_map").split()[2] == "4294967295" else "some"
    facts["setgroups"] = read("/proc/self/setgroups")
    facts["oom_score_adj"] = read("/proc/self/oom_score_adj")
    facts["keyring shared"] = "yes" if read("/proc/keys") else "hidden"
    for name in LIMITS:
        facts[f"limit {name}"] = str(resource.getrlimit(getattr(resource, f"RLIMIT_{name}")))
    with socket.socket(socket.AF_UNIX) as peer:
        facts["abstract socket"] = outcome(lambda: peer.connect("\0" + host.get("socket", "x")))
    facts["signal to pid 1"] = outcome(lambda: os.kill(1, signal.SIGCONT))
    return facts


def main() -> None:
    """Write every fact."""
    host = json.loads(sys.argv[1])
    facts = {**surroundings(host), **privileges(), **files(), **devices(), **calls()}
    json.dump(facts, sys.stdout, sort_keys=True)


if __name__ == "__main__":
    main()
