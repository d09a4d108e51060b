"""The OCI runtime spec: `config.json` of a bundle, as typed dictionaries.

The keys are the specification's own (runtime-spec/config.md, config-linux.md), so that `runc` and
`crun` read the same file. Types only: `runtime` loads the JSON, `engine.specs` writes it, and
neither pays for an import at run time.
"""

from typing import NotRequired, TypedDict

__all__ = [
    "BlockDevice",
    "BlockIO",
    "Capabilities",
    "Cpu",
    "Device",
    "DeviceRule",
    "Hook",
    "Hooks",
    "Linux",
    "Memory",
    "Mount",
    "Namespace",
    "Pids",
    "Process",
    "Resources",
    "Rlimit",
    "Root",
    "Seccomp",
    "Spec",
    "SyscallRule",
    "ThrottleDevice",
    "User",
    "WeightDevice",
]


class User(TypedDict):
    """Who the process is inside the container: ids, and the supplementary groups."""

    uid: int
    gid: int
    additionalGids: NotRequired[list[int]]
    umask: NotRequired[int]
    groups: NotRequired[list[str]]  # ours: more groups, by name or id, of the container's files
    keepGroups: NotRequired[bool]  # ours: a user namespace of one id cannot change its groups


class Capabilities(TypedDict):
    """Sets of capability names (``CAP_CHOWN``)."""

    bounding: list[str]
    effective: list[str]
    permitted: list[str]
    inheritable: NotRequired[list[str]]
    ambient: NotRequired[list[str]]


class Rlimit(TypedDict):
    """One resource limit; `type` as in ``RLIMIT_NOFILE``."""

    type: str
    soft: int
    hard: int


class Process(TypedDict):
    """What is executed, by whom, where."""

    terminal: NotRequired[bool]
    user: User
    args: list[str]
    env: list[str]
    cwd: str
    capabilities: NotRequired[Capabilities]
    rlimits: NotRequired[list[Rlimit]]
    noNewPrivileges: NotRequired[bool]
    oomScoreAdj: NotRequired[int]


class Root(TypedDict):
    """The root file system, relative to the bundle."""

    path: str
    readonly: NotRequired[bool]


class Mount(TypedDict):
    """One mount. `options` are those of mount(8) plus the file system's own."""

    destination: str
    type: str
    source: str
    options: NotRequired[list[str]]


class Namespace(TypedDict):
    """A namespace to create, or to join when there is a `path`."""

    type: str
    path: NotRequired[str]


class Device(TypedDict):
    """A device node to make, or (without `path`) a rule of the device cgroup."""

    path: NotRequired[str]
    type: str
    major: NotRequired[int]
    minor: NotRequired[int]
    fileMode: NotRequired[int]
    uid: NotRequired[int]
    gid: NotRequired[int]


class DeviceRule(TypedDict):
    """Allow or deny devices; without numbers all of them."""

    allow: bool
    type: NotRequired[str]
    major: NotRequired[int]
    minor: NotRequired[int]
    access: NotRequired[str]


class Memory(TypedDict, total=False):
    """Bytes; `swap` is memory and swap together, as in Docker; -1 is no limit."""

    limit: int
    reservation: int
    swap: int
    swappiness: int
    disableOOMKiller: bool


class Cpu(TypedDict, total=False):
    """`quota` and `period` in microseconds; `shares` as in cgroup v1; `cpus`, `mems` as lists."""

    shares: int
    quota: int
    period: int
    cpus: str
    mems: str


class Pids(TypedDict):
    """The largest number of tasks; -1 is no limit."""

    limit: int


class BlockDevice(TypedDict):
    """A disk by its numbers."""

    major: int
    minor: int


class WeightDevice(BlockDevice):
    """The share of one disk, 10 to 1000."""

    weight: int


class ThrottleDevice(BlockDevice):
    """The limit of one disk, in bytes or operations a second."""

    rate: int


class BlockIO(TypedDict, total=False):
    """Shares and limits of disks."""

    weight: int
    weightDevice: list[WeightDevice]
    throttleReadBpsDevice: list[ThrottleDevice]
    throttleWriteBpsDevice: list[ThrottleDevice]
    throttleReadIOPSDevice: list[ThrottleDevice]
    throttleWriteIOPSDevice: list[ThrottleDevice]


class Resources(TypedDict, total=False):
    """The limits of a container; what is missing is not limited."""

    devices: list[DeviceRule]
    memory: Memory
    cpu: Cpu
    pids: Pids
    blockIO: BlockIO


class SyscallArg(TypedDict):
    """A condition on one argument of a system call (`op` as in ``SCMP_CMP_EQ``)."""

    index: int
    value: int
    valueTwo: NotRequired[int]
    op: str


class SyscallRule(TypedDict):
    """What happens for some system calls."""

    names: list[str]
    action: str
    errnoRet: NotRequired[int]
    args: NotRequired[list[SyscallArg]]


class Seccomp(TypedDict):
    """A filter in the specification's words."""

    defaultAction: str
    defaultErrnoRet: NotRequired[int]
    architectures: list[str]
    syscalls: list[SyscallRule]


class Linux(TypedDict, total=False):
    """What only Linux has."""

    namespaces: list[Namespace]
    devices: list[Device]
    cgroupsPath: str
    resources: Resources
    seccomp: Seccomp
    maskedPaths: list[str]
    readonlyPaths: list[str]
    sysctl: dict[str, str]
    rootfsPropagation: str


class Hook(TypedDict):
    """A program that is run at a point of the container's life; `timeout` in seconds."""

    path: str
    args: NotRequired[list[str]]
    env: NotRequired[list[str]]
    timeout: NotRequired[int]


class Hooks(TypedDict, total=False):
    """All of them, by the points."""

    prestart: list[Hook]
    createRuntime: list[Hook]
    createContainer: list[Hook]
    startContainer: list[Hook]
    poststart: list[Hook]
    poststop: list[Hook]


class Spec(TypedDict):
    """The whole document."""

    ociVersion: str
    process: Process
    root: Root
    hostname: NotRequired[str]
    domainname: NotRequired[str]
    mounts: list[Mount]
    linux: Linux
    annotations: NotRequired[dict[str, str]]
    hooks: NotRequired[Hooks]
