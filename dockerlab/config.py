"""Settings of one engine: from the command line, the environment and `config.toml`, in this order.

It is not the place where defaults of containers live (`runtime.defaults`), and it opens no socket.
With `cli` it is the only module that knows environment variables; everybody else is handed a
`Settings`. Read `Settings` first, then `load_settings`.

::

    DOCKERLAB_ROOT       data root, else /var/lib/dockerlab (root) or XDG_DATA_HOME/dockerlab
    DOCKERLAB_SOCKET     socket of the engine, else <runtime dir>/engine.sock
    DOCKERLAB_MIRRORS    mirrors of docker.io, separated by commas
    DOCKERLAB_FALLBACK   0: never use the built-in images in place of Docker Hub's
    DOCKERLAB_IDLE_EXIT  seconds without work after which an engine ends; 0: never

The file is ``$XDG_CONFIG_HOME/dockerlab/config.toml``::

    mirrors = ["http://127.0.0.1:5000"]
    insecure-registries = ["registry.lab:5000"]
    fallback = true
    idle-exit = 900
    cgroup-parent = "/lab/alice"   # without root: a cgroup that this user may write to
    log-driver = "local"           # of containers that do not say it; json-file without this
    log-opts = { max-size = "10m", max-file = "3" }
    runtimes = { mine = "/opt/bin/runc" }   # besides runc and crun, where they are installed

A key may be spelled with underscores too.

Beside it, ``certs.d/<host[:port]>/`` has a registry's own authority (``ca.crt``) and what it is
shown (``client.cert``, ``client.key``), as ``/etc/docker/certs.d`` has.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dockerlab.errors import Forbidden, InvalidArgument

__all__ = [
    "Settings",
    "config_path",
    "docker_config_path",
    "load_settings",
    "other_engine",
    "process_environment",
    "refuse_foreign",
]

DEFAULT_IDLE_EXIT_S = 900.0

# Where dockerd looks; what is set up for it works here, too.
_DOCKER_CERTIFICATES = Path("/etc/docker/certs.d")

# unix(7): sun_path holds 108 bytes, the last of which is the NUL that ends it.
MAX_SOCKET_PATH_BYTES = 107

FALSE_WORDS = frozenset({"0", "false", "no", "off"})
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})

FILE_KEYS = frozenset(
    {
        "mirrors",
        "insecure-registries",
        "fallback",
        "idle-exit",
        "cgroup-parent",
        "log-driver",
        "log-opts",
        "runtimes",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that an engine has to know before it can start; a client needs the same to find it.

    Parameters
    ----------
    data_root : Path
        Absolute path of the folder of images and containers.
    runtime_dir : Path
        Folder of sockets; gone after a reboot.
    socket_path : Path
        Where the engine listens.
    log_path : Path
        The engine's own log.
    mirrors : tuple of str
        Base addresses of mirrors of docker.io, first choice first.
    insecure_registries : tuple of str
        ``host[:port]`` of registries that may be asked over plain HTTP; loopback always may.
    certificate_folders : tuple of Path
        Folders with one folder of certificates for each registry, as Docker's ``certs.d``.
    fallback : bool
        A built-in image may stand in for Docker Hub's where that cannot be reached.
    idle_exit_s : float
        Seconds without work after which the engine ends; 0 = never.
    cgroup_parent : str
        The cgroup that those of containers are made in, below each mount of a hierarchy; '' is
        the engine's own choice.
    log_driver, log_options : str, mapping of str to str
        The log of containers that do not say it.
    runtimes : mapping of str to str
        Other OCI runtimes: name to path of the program.
    """

    data_root: Path
    runtime_dir: Path
    socket_path: Path
    log_path: Path
    mirrors: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    certificate_folders: tuple[Path, ...] = ()
    fallback: bool = True
    idle_exit_s: float = DEFAULT_IDLE_EXIT_S
    cgroup_parent: str = ""
    log_driver: str = "json-file"
    log_options: Mapping[str, str] = field(default_factory=dict)
    runtimes: Mapping[str, str] = field(default_factory=dict)


def load_settings(
    environ: Mapping[str, str],
    *,
    root: str | os.PathLike[str] | None = None,
    socket: str | os.PathLike[str] | None = None,
    mirrors: Sequence[str] = (),
    uid: int | None = None,
) -> Settings:
    """Find the settings of an engine; nothing is created.

    Parameters
    ----------
    environ : Mapping
        The environment, usually ``os.environ``.
    root, socket : path, optional
        The data root and the socket; they win over the environment.
    mirrors : sequence of str
        Mirrors of docker.io; when given, those of the environment and of the file are not used.
    uid : int, optional
        The user the engine is for; by default the effective one of this process.

    Returns
    -------
    Settings
        With absolute paths.

    Raises
    ------
    InvalidArgument
        A value cannot be right; the message names where it comes from.

    See Also
    --------
    XDG Base Directory Specification, version 0.8.
    """
    user = os.geteuid() if uid is None else uid
    file = _read_file(config_path(environ))
    data_root = _absolute(root or environ.get("DOCKERLAB_ROOT") or _default_root(environ, user))
    # The name is of the data root, not of the user: engines with different roots run side by side.
    name = hashlib.sha256(os.fsencode(data_root)).hexdigest()[:8]
    runtime_dir = _runtime_parent(environ, user) / name
    socket_text = os.fspath(socket or environ.get("DOCKERLAB_SOCKET") or "")
    socket_path = _absolute(socket_text.removeprefix("unix://") or runtime_dir / "engine.sock")
    if len(os.fsencode(socket_path)) > MAX_SOCKET_PATH_BYTES:
        raise InvalidArgument(
            f'cannot use the socket "{socket_path}": its path is longer than'
            f" {MAX_SOCKET_PATH_BYTES} bytes",
            hint="choose a shorter one with DOCKERLAB_SOCKET or --socket",
        )
    return Settings(
        data_root=data_root,
        runtime_dir=runtime_dir,
        socket_path=socket_path,
        log_path=data_root / "engine.log",
        mirrors=_mirrors(mirrors, environ, file),
        insecure_registries=_strings(file, "insecure-registries"),
        certificate_folders=(_DOCKER_CERTIFICATES, config_path(environ).parent / "certs.d"),
        fallback=_fallback(environ, file),
        idle_exit_s=_idle_exit(environ, file),
        cgroup_parent=_cgroup_parent(file),
        log_driver=_text(file, "log-driver", "json-file"),
        log_options=_table(file, "log-opts"),
        runtimes=_table(file, "runtimes"),
    )


def process_environment() -> Mapping[str, str]:
    """Return the environment of this process: the one place where it is read."""
    return os.environ


def refuse_foreign(runtime_dir: Path) -> None:
    """Refuse a folder of sockets that another user could put sockets in.

    Its parent may stand in the temporary folder, where anybody could have made it first, as a link
    too. A folder that is missing is nobody's.

    Raises
    ------
    Forbidden
        The folder or its parent belongs to another user than this one and root.
    """
    for folder in (runtime_dir.parent, runtime_dir):
        try:
            owner = folder.lstat().st_uid
        except FileNotFoundError:
            continue
        if owner not in (0, os.geteuid()):
            raise Forbidden(
                f'the runtime folder "{folder}" belongs to another user, who could take over'
                " this engine",
                "set XDG_RUNTIME_DIR to a folder of your own",
            )


def other_engine(environ: Mapping[str, str], name: str, *, uid: int | None = None) -> str:
    """Return the address where a Docker or Podman engine is expected.

    Parameters
    ----------
    environ : Mapping
        The environment, usually ``os.environ``.
    name : str
        ``docker`` or ``podman``.
    uid : int, optional
        The user; by default the effective one of this process.

    Returns
    -------
    str
        As in ``DOCKER_HOST``: ``unix:///…`` or ``tcp://…``.
    """
    if name == "docker":
        return environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    user = os.geteuid() if uid is None else uid
    default = "/run" if user == 0 else f"/run/user/{user}"
    folder = default if user == 0 else environ.get("XDG_RUNTIME_DIR") or default
    return f"unix://{folder}/podman/podman.sock"


def docker_config_path(environ: Mapping[str, str]) -> Path:
    """Return the path of the Docker client's `config.json`, which need not exist.

    It belongs to the user: clients read it, the engine never does.
    """
    folder = environ.get("DOCKER_CONFIG") or _home(environ) / ".docker"
    return Path(folder) / "config.json"


def config_path(environ: Mapping[str, str]) -> Path:
    """Return the path of `config.toml`, which need not exist."""
    base = environ.get("XDG_CONFIG_HOME") or _home(environ) / ".config"
    return Path(base) / "dockerlab" / "config.toml"


def _home(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME")
    return Path(home) if home else Path.home()


def _absolute(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111 - keeps symlinks


def _default_root(environ: Mapping[str, str], uid: int) -> Path:
    if uid == 0:
        return Path("/var/lib/dockerlab")
    return Path(environ.get("XDG_DATA_HOME") or _home(environ) / ".local/share") / "dockerlab"


def _runtime_parent(environ: Mapping[str, str], uid: int) -> Path:
    if uid == 0:
        return Path("/run/dockerlab")
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime) / "dockerlab"
    # JupyterHub, Colab and most batch systems give no XDG_RUNTIME_DIR; the uid keeps users apart.
    return Path(environ.get("TMPDIR") or "/tmp") / f"dockerlab-{uid}"  # noqa: S108 - made 0700


def _read_file(path: Path) -> dict[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as exc:
        raise InvalidArgument(f'cannot read "{path}": {exc.strerror}') from exc
    import tomllib  # noqa: PLC0415 - 5 ms that only those pay who wrote a file

    try:
        values = {key.replace("_", "-"): value for key, value in tomllib.loads(text).items()}
    except tomllib.TOMLDecodeError as exc:
        raise InvalidArgument(f'cannot read "{path}": {exc}') from exc
    unknown = sorted(set(values) - FILE_KEYS)
    if unknown:
        raise InvalidArgument(
            f'cannot use "{unknown[0]}" in "{path}": no such setting',
            hint=f"known settings: {', '.join(sorted(FILE_KEYS))}",
        )
    return values


def _strings(file: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = file.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidArgument(f'cannot use "{key}" in config.toml: it must be a list of strings')
    return tuple(value)


def _text(file: Mapping[str, object], key: str, default: str) -> str:
    value = file.get(key, default)
    if not isinstance(value, str):
        raise InvalidArgument(f'cannot use "{key}" in config.toml: it must be a string')
    return value


def _table(file: Mapping[str, object], key: str) -> dict[str, str]:
    value = file.get(key, {})
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise InvalidArgument(f'cannot use "{key}" in config.toml: it must be a table of strings')
    return dict(value)


def _mirrors(
    given: Sequence[str], environ: Mapping[str, str], file: Mapping[str, object]
) -> tuple[str, ...]:
    words = tuple(word.strip() for word in environ.get("DOCKERLAB_MIRRORS", "").split(","))
    chosen = tuple(given) or tuple(filter(None, words)) or _strings(file, "mirrors")
    for mirror in chosen:
        if not mirror.startswith(("http://", "https://")):
            raise InvalidArgument(
                f'cannot use the mirror "{mirror}": it must begin with http:// or https://'
            )
    return tuple(mirror.rstrip("/") for mirror in chosen)


def _fallback(environ: Mapping[str, str], file: Mapping[str, object]) -> bool:
    word = environ.get("DOCKERLAB_FALLBACK", "").lower()
    if word in FALSE_WORDS | TRUE_WORDS:
        return word in TRUE_WORDS
    value = file.get("fallback", True)
    if word or not isinstance(value, bool):
        raise InvalidArgument(f'cannot use "{word or value}" for "fallback": true or false')
    return value


def _cgroup_parent(file: Mapping[str, object]) -> str:
    value = file.get("cgroup-parent", "")
    parts = value.split("/")[1:] if isinstance(value, str) else []
    if value != "" and (not str(value).startswith("/") or not all(parts) or ".." in parts):
        raise InvalidArgument(
            f'cannot use "{value}" for "cgroup-parent": a path such as "/lab/alice"'
        )
    return str(value)


def _idle_exit(environ: Mapping[str, str], file: Mapping[str, object]) -> float:
    value = environ.get("DOCKERLAB_IDLE_EXIT") or file.get("idle-exit", DEFAULT_IDLE_EXIT_S)
    try:
        seconds = float(value) if isinstance(value, (str, int, float)) else -1.0
    except ValueError:
        seconds = -1.0
    if not 0.0 <= seconds < float("inf"):
        raise InvalidArgument(f'cannot use "{value}" for "idle-exit": seconds, 0 for never')
    return seconds
