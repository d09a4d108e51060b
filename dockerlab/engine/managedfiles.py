"""The three files that the engine writes for every container: hosts, hostname, resolv.conf.

They lie in the container's folder and are bound over its own, so that nothing is written through
what the image has in their places. resolv.conf(5), hosts(5).
"""

from pathlib import Path

from dockerlab.engine.container import Container
from dockerlab.engine.folders import ContainerFolder
from dockerlab.engine.sharing import short_hostname

__all__ = ["managed_files", "write_managed_files"]

_RESOLV_CONF = Path("/etc/resolv.conf")
_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def write_managed_files(
    container: Container, folder: ContainerFolder, giver: Container | None = None
) -> dict[str, str]:
    """Write the files; return path in the container -> file, without what a mount replaces.

    Parameters
    ----------
    giver : Container, optional
        Whose network it is on; then the files are the other's own.
    """
    if giver is not None:
        folder = ContainerFolder(folder.path.parent / giver.id, folder.monitor_dir)
        return dict(managed_files(container, folder))
    contents = {
        "hostname": f"{container.config.hostname or short_hostname(container)}\n",
        "hosts": _HOSTS + "".join(_host_lines(container.host.extra_hosts)),
        "resolv.conf": _resolv_conf(container),
    }
    taken = {mount.destination for mount in container.mounts}
    managed = {}
    for name, text in contents.items():
        if f"/etc/{name}" in taken:
            continue
        path = folder.path / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
        managed[f"/etc/{name}"] = str(path)
    return managed


def managed_files(container: Container, folder: ContainerFolder) -> list[tuple[str, str]]:
    """Return path in the container and file of those that were written at its last start."""
    taken = {mount.destination for mount in container.mounts}
    pairs = [(f"/etc/{name}", folder.path / name) for name in ("hostname", "hosts", "resolv.conf")]
    return [(inside, str(f)) for inside, f in pairs if inside not in taken and f.exists()]


def _host_lines(extra: tuple[str, ...]) -> list[str]:
    # "NAME:ADDRESS", and an IPv6 address has colons itself; checked when it came in.
    pairs = [entry.partition(":") for entry in extra]
    return [f"{address}\t{name}\n" for name, _, address in pairs]


def _resolv_conf(container: Container) -> str:
    host = container.host
    text = ""
    if host.network_mode == "host":
        text = _RESOLV_CONF.read_text(encoding="utf-8", errors="replace")
    if not (host.dns or host.dns_search or host.dns_options):
        return text
    # What is given takes the place of all lines of its kind, and the others stay.
    found = [line.split() for line in text.splitlines()]
    servers = list(host.dns) or [w[1] for w in found if w[:1] == ["nameserver"] and len(w) > 1]
    search = list(host.dns_search) or _last(found, "search")
    options = list(host.dns_options) or _last(found, "options")
    lines = [f"search {' '.join(search)}"] if search and search != ["."] else []
    lines += [f"nameserver {server}" for server in servers]
    lines += [f"options {' '.join(options)}"] if options else []
    return "".join(f"{line}\n" for line in lines)


def _last(found: list[list[str]], key: str) -> list[str]:
    return next((words[1:] for words in reversed(found) if words[:1] == [key]), [])
