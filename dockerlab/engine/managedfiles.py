"""The three files that the engine writes for every container: hosts, hostname, resolv.conf.

They lie in the container's folder and are bound over its own, so that nothing is written through
what the image has in their places. resolv.conf(5), hosts(5).
"""

from collections.abc import Iterable
from ipaddress import ip_interface

from dockerlab.engine.container import Container
from dockerlab.engine.folders import ContainerFolder
from dockerlab.engine.hostresolver import host_resolver, outside_servers
from dockerlab.engine.network import Endpoint
from dockerlab.engine.sharing import short_hostname

__all__ = ["follow_networks", "managed_files", "write_managed_files"]

# The name server of the engine, on networks with names.
_OWN_SERVER = "127.0.0.11"
_MAX_HOSTS_BYTES = 1 << 20
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
        "hosts": _HOSTS
        + "".join(_host_lines(container.host.extra_hosts))
        + "".join(_own_lines(container, container.endpoints)),
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


def _own_lines(container: Container, endpoints: Iterable[Endpoint]) -> list[str]:
    """Return the container's own names with its addresses, as Docker writes them."""
    config = container.config
    hostname = config.hostname or short_hostname(container)
    names = f"{hostname}.{config.domainname} {hostname}" if config.domainname else hostname
    addresses = [ip_interface(text).ip for place in endpoints for text in place.interfaces]
    return [f"{address}\t{names}\n" for address in addresses]


def follow_networks(container: Container, before: Container, folder: ContainerFolder) -> None:
    """Have the files of a running container follow a change of its networks.

    Parameters
    ----------
    before : Container
        The record with the places that it had.

    Notes
    -----
    They are written in place, for what a container has bound is the file and not its name; what
    the container has written into them stays, but for the lines of places that are gone.
    """
    hosts = folder.path / "hosts"
    old = _own_lines(before, before.endpoints)
    new = _own_lines(container, container.endpoints)
    if not hosts.exists():
        return  # A mount has its place.
    with hosts.open("r+", encoding="utf-8", errors="surrogateescape") as file:
        lines = file.read(_MAX_HOSTS_BYTES).splitlines(keepends=True)
        kept = [line for line in lines if line not in old or line in new]
        kept += [line for line in new if line not in kept]
        file.seek(0)
        file.write("".join(kept))
        file.truncate()
    if _has_own_server(container) and not _has_own_server(before):
        (folder.path / "resolv.conf").write_text(_resolv_conf(container), encoding="utf-8")


def _has_own_server(container: Container) -> bool:
    return any(place.names for place in container.endpoints)


def _resolv_conf(container: Container) -> str:
    host = container.host
    has_links = any(place.interface for place in container.endpoints)
    is_hosts = host.network_mode == "host"
    text = host_resolver() if is_hosts or has_links else ""
    if not (has_links or host.dns or host.dns_search or host.dns_options):
        return text
    # What is given takes the place of all lines of its kind, and the others stay.
    found = [line.split() for line in text.splitlines()]
    servers = list(host.dns) or (
        list(outside_servers(text))
        if has_links
        else [w[1] for w in found if w[:1] == ["nameserver"] and len(w) > 1]
    )
    search = list(host.dns_search) or _last(found, "search")
    options = list(host.dns_options) or _last(found, "options")
    if _has_own_server(container):
        servers = [_OWN_SERVER]
        # A name without a dot is a neighbour's: it is asked for first as it is.
        options += [] if any(o.startswith("ndots:") for o in options) else ["ndots:0"]
    lines = [f"search {' '.join(search)}"] if search and search != ["."] else []
    lines += [f"nameserver {server}" for server in servers]
    lines += [f"options {' '.join(options)}"] if options else []
    return "".join(f"{line}\n" for line in lines)


def _last(found: list[list[str]], key: str) -> list[str]:
    return next((words[1:] for words in reversed(found) if words[:1] == [key]), [])
