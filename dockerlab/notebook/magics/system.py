"""%engine, %doctor and %inspect."""

from typing import TYPE_CHECKING, Any

from dockerlab.client.doctor import examine_host
from dockerlab.client.limits import describe_limits
from dockerlab.client.refusals import engine_errors
from dockerlab.client.session import Session, fetch_status
from dockerlab.errors import ContainerNotFound, InvalidArgument, NotFound
from dockerlab.notebook.declaring import Lab
from dockerlab.notebook.facts import EngineFacts, Facts
from dockerlab.notebook.options import Arguments
from dockerlab.notebook.text import say

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = ["doctor", "engine", "inspect"]

_KINDS = ("", "container", "image")


def engine(lab: Lab, arguments: Arguments) -> EngineFacts:
    """Return facts about the engine; with a name, use that one from now on."""
    if arguments.operands:
        session = lab.connection.choose(arguments.operands[0])
    else:
        session = lab.connection.session()
    return _own_facts(session) if session.is_dockerlab else _other_facts(session)


def doctor(_lab: Lab, arguments: Arguments) -> "Table":
    """Return the table of abilities; an AppArmor profile that is wanted is shown before it."""
    from dockerlab.report.abilities import ability_table

    report = examine_host(["--network"] if arguments.flag("network") else [])
    if report["apparmor_profile"]:
        say(report["apparmor_profile"])
        say("load it with\n" + "\n".join(report["apparmor_commands"]))
    return ability_table(report)


def inspect(lab: Lab, arguments: Arguments) -> Facts | list[Facts]:
    """Return the engine's JSON of one name, or a list of them for several."""
    kind = arguments.text("type")
    if kind not in _KINDS:
        raise InvalidArgument(f'invalid value "{kind}" for --type: container or image')
    session = lab.connection.session()
    found = [_inspect(session, name, kind) for name in arguments.operands]
    return found[0] if len(found) == 1 else found


def _inspect(session: Session, name: str, kind: str) -> Facts:
    if kind != "image":
        try:
            with engine_errors(session.address):
                return Facts(session.api.inspect_container(name))
        except ContainerNotFound:
            if kind == "container":
                raise
    try:
        with engine_errors(session.address):
            return Facts(session.api.inspect_image(name))
    except NotFound as error:
        if kind == "image":
            raise
        raise NotFound(
            f"No such object: {name}", "see %images and %ps -a for what there is"
        ) from error


def _own_facts(session: Session) -> EngineFacts:
    status = fetch_status(session)
    return EngineFacts(
        {
            "engine": f"dockerlab {status['version']}",
            "address": session.address,
            "API version": session.api.api_version,
            "tier": f"{status['tier']} ({status['tier_reason']})"
            if status["tier_reason"]
            else status["tier"],
            "host": _host(status["hostname"], status["kernel_version"], status["cpus"]),
            "cgroups": f"v{str(status['cgroup_version']).removeprefix('v')}",
            "default network": status["default_network"],
            "data root": status["data_root"],
            "log": status["log_path"],
            "process": status["pid"],
            "containers": _counted(
                status["containers_running"],
                status["containers_paused"],
                status["containers_stopped"],
            ),
            "images": status["images"],
        }
        | ({"rate limits": "; ".join(limits)} if (limits := describe_limits(status)) else {})
    )


def _other_facts(session: Session) -> EngineFacts:
    with engine_errors(session.address):
        info: dict[str, Any] = session.api.info()
    return EngineFacts(
        {
            "engine": f"{session.engine} {session.version}",
            "address": session.address,
            "API version": session.api.api_version,
            "host": _host(info["Name"], info["KernelVersion"], info["NCPU"]),
            "cgroups": f"v{info.get('CgroupVersion', '1')}",
            "data root": info["DockerRootDir"],
            "containers": _counted(
                info["ContainersRunning"], info["ContainersPaused"], info["ContainersStopped"]
            ),
            "images": info["Images"],
        }
    )


def _host(name: str, kernel: str, cpus: int) -> str:
    return f"{name}, Linux {kernel}, {cpus} CPUs"


def _counted(running: int, paused: int, stopped: int) -> str:
    held = f", {paused} paused" if paused else ""
    return f"{running} running{held}, {stopped} stopped"
