"""The flags of `%run_container` and `%update`: those of `docker run --help`, in groups.

What a value means is in `client.options`, under the flag's name.
"""

from dockerlab.notebook.options import Option

__all__ = ["RUN_FLAGS", "UPDATE_FLAGS"]


def _list(name: str, metavar: str, help_text: str, short: str = "") -> Option:
    return Option(name=name, short=short, metavar=metavar, is_list=True, help=help_text)


_LIFE = (
    Option(name="detach", short="d", help="do not wait for the end"),
    Option(name="rm", help="remove the container when it ends"),
    Option(name="interactive", short="i", help="keep standard input open"),
    Option(name="pull", metavar="WHEN", help="always, missing (default) or never"),
    Option(name="stop-signal", metavar="SIGNAL", help="signal that asks it to end"),
    Option(name="stop-timeout", metavar="SECONDS", help="patience of a stop"),
)
_RESTART = Option(
    name="restart", metavar="POLICY", help="no, on-failure[:COUNT], always or unless-stopped"
)
_HEALTH = (
    Option(name="health-cmd", metavar="COMMAND", help="command that tells whether it is well"),
    Option(name="health-interval", metavar="TIME", help="between checks, such as 30s"),
    Option(name="health-timeout", metavar="TIME", help="for one check"),
    Option(name="health-start-period", metavar="TIME", help="in which failures do not count"),
    Option(name="health-retries", metavar="COUNT", help="failures that make it unhealthy"),
    Option(name="no-healthcheck", help="not even the image's own check"),
)
_IDENTITY = (
    Option(name="name", metavar="NAME", help="name of the container"),
    Option(name="hostname", short="h", metavar="NAME", help="host name inside"),
    Option(name="domainname", metavar="NAME", help="domain name inside"),
    _list("label", "KEY=VALUE", "a label", "l"),
)
_PROCESS = (
    _list("env", "NAME=VALUE", "a variable", "e"),
    Option(name="workdir", short="w", metavar="DIR", help="working directory inside"),
    Option(name="user", short="u", metavar="USER", help="user name or id, and :group"),
    _list("group-add", "GROUP", "one more group"),
    Option(name="entrypoint", metavar="PROGRAM", help="replace the image's entrypoint"),
    Option(name="init", help="a first process that reaps and passes signals on"),
)
_FILES = (
    _list("volume", "FROM:TO[:ro]", "bind a folder or a volume", "v"),
    _list("mount", "KEY=VALUE,...", "the same in words: type=bind,source=…,target=…"),
    _list("tmpfs", "PATH[:OPTIONS]", "a folder in memory"),
    Option(
        name="volumes-from",
        metavar="CONTAINER",
        is_list=True,
        completes="container",
        help="volumes of another container",
    ),
    Option(name="read-only", help="root file system read-only"),
)
_NETWORK = (
    Option(name="network", metavar="NETWORK", help="none, host, or a network's name"),
    Option(name="net", metavar="NETWORK", help="the same as --network"),
    _list("publish", "HERE:THERE", "publish a port on the host", "p"),
    _list("add-host", "NAME:ADDRESS", "a line of /etc/hosts"),
    _list("dns", "ADDRESS", "a name server"),
)
_LIMITS = (
    Option(name="memory", short="m", metavar="BYTES", help="memory limit, such as 64m"),
    Option(name="memory-swap", metavar="BYTES", help="memory with swap; -1 for no limit"),
    Option(name="memory-reservation", metavar="BYTES", help="soft memory limit"),
    Option(name="cpus", metavar="NUMBER", help="processors, such as 0.5"),
    Option(name="cpu-shares", metavar="WEIGHT", help="weight against others, of 1024"),
    Option(name="cpu-period", metavar="MICROSECONDS", help="length of a period"),
    Option(name="cpu-quota", metavar="MICROSECONDS", help="CPU time in a period"),
    Option(name="cpuset-cpus", metavar="LIST", help="processors it may use, such as 0,2-3"),
    Option(name="cpuset-mems", metavar="LIST", help="memory nodes it may use"),
    Option(name="pids-limit", metavar="COUNT", help="processes at most; -1 for no limit"),
    Option(name="blkio-weight", metavar="WEIGHT", help="weight for disks, 10 to 1000"),
)
_MORE_LIMITS = (
    Option(name="memory-swappiness", metavar="PERCENT", help="willingness to swap"),
    Option(name="oom-kill-disable", help="wait in place of being killed for want of memory"),
    Option(name="oom-score-adj", metavar="NUMBER", help="who is killed first, -1000 to 1000"),
    Option(name="shm-size", metavar="BYTES", help="size of /dev/shm"),
    _list("ulimit", "NAME=SOFT[:HARD]", "a limit of the shell's kind"),
)
_ISOLATION = (
    Option(name="privileged", help="all that the engine itself may"),
    _list("cap-add", "CAPABILITY", "give a capability"),
    _list("cap-drop", "CAPABILITY", "take a capability"),
    _list("security-opt", "OPTION", "no-new-privileges, seccomp=FILE, systempaths=unconfined"),
    _list("device", "HERE[:THERE][:rwm]", "a device of the host"),
    _list("device-cgroup-rule", "RULE", "what it may do with devices"),
    _list("sysctl", "KEY=VALUE", "a kernel parameter of its namespaces"),
    Option(name="pid", metavar="MODE", help="processes: host or container:NAME"),
    Option(name="ipc", metavar="MODE", help="memory: private, shareable, host, container:NAME"),
    Option(name="uts", metavar="MODE", help="host name: host"),
    Option(name="userns", metavar="MODE", help="users: host"),
    Option(name="cgroupns", metavar="MODE", help="cgroups: private or host"),
    Option(name="runtime", metavar="NAME", help="the OCI runtime, such as runc"),
)
_LOGS = (
    Option(name="log-driver", metavar="NAME", help="json-file, local or none"),
    _list("log-opt", "KEY=VALUE", "such as max-size=10m"),
)
_PLATFORM = Option(name="platform", metavar="OS/ARCH", help="platform of the image, if many")

UPDATE_FLAGS = (*_LIMITS, _RESTART)
RUN_FLAGS = (
    *_LIFE,
    _RESTART,
    *_HEALTH,
    *_IDENTITY,
    *_PROCESS,
    *_FILES,
    *_NETWORK,
    *_LIMITS,
    *_MORE_LIMITS,
    *_ISOLATION,
    *_LOGS,
    _PLATFORM,
)
