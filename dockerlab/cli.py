"""The `dockerlab` command: start, stop and look at an engine from a shell; examine the host.

It is a face of `client` and knows the engine only over its socket. Errors are one line; exit codes
are 0 for success, 1 for an error, 2 for a command line that cannot be right, and 3 from `status`
when no engine runs (as `systemctl status`; LSB, "Init Script Actions").
"""

import argparse
import getpass
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import dockerlab
from dockerlab.client.autostart import daemon_command, daemon_environment, ensure_engine
from dockerlab.client.doctor import doctor_command
from dockerlab.client.follow import follow
from dockerlab.client.fromhost import check_name, hub_command, image_from_host
from dockerlab.client.limits import describe_limits
from dockerlab.client.login import login, logout
from dockerlab.client.service import SYSTEM_UNITS, install, service_of, uninstall
from dockerlab.client.session import connect, fetch_status
from dockerlab.client.shutdown import engine_pid, stop_engine
from dockerlab.config import Settings, load_settings
from dockerlab.errors import DockerlabError, InvalidArgument

__all__ = ["main"]

FAILED = 1
NOT_RUNNING = 3
# As a shell reports the end by SIGINT: 128 + 2.
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        In place of those of this process.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if words[:1] == ["doctor"]:
            return _doctor(words[1:])
        if words[:2] == ["hub", "serve"]:
            # In this process, so that whoever supervises it has the hub itself.
            os.execv(sys.executable, hub_command(*words[2:]))  # noqa: S606 - our own interpreter
        options = _parser().parse_args(words)
        settings = load_settings(
            os.environ, root=options.root, socket=options.socket, mirrors=options.mirror
        )
        return int(options.run(settings, options))
    except DockerlabError as exc:
        print(f"dockerlab: {exc.message}", file=sys.stderr)
        if exc.hint:
            print(f"hint: {exc.hint}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # As `dockerlab engine logs | head`: nobody reads on, and that is no error of ours. What is
        # still buffered would raise again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dockerlab", description="Containers inside Jupyter: the engine behind the magics."
    )
    parser.add_argument("--version", action="version", version=f"dockerlab {dockerlab.__version__}")
    areas = parser.add_subparsers(metavar="COMMAND", required=True)
    engine = areas.add_parser("engine", help="start, stop and look at the engine")
    verbs = engine.add_subparsers(metavar="VERB", required=True)

    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("--root", metavar="DIR", help="data root (DOCKERLAB_ROOT)")
    place.add_argument("--socket", metavar="PATH", help="socket of the engine (DOCKERLAB_SOCKET)")
    place.set_defaults(mirror=[])

    start = verbs.add_parser("start", parents=[place], help="start it unless it runs")
    _add_mirror(start)
    start.add_argument(
        "--foreground",
        action="store_true",
        help="become the engine, for a supervisor or a debugger",
    )
    start.set_defaults(run=_start)

    stop = verbs.add_parser("stop", parents=[place], help="end it; its containers go on")
    stop.set_defaults(run=_stop)

    status = verbs.add_parser("status", parents=[place], help="say what runs, and how to reach it")
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(run=_status)

    reset = verbs.add_parser(
        "reset", parents=[place], help="delete the data root: containers, images, everything"
    )
    reset.add_argument("--yes", action="store_true", help="do it, and ask nothing")
    reset.set_defaults(run=_reset)

    # Its flags are its own, also `--help`; see _doctor.
    hub = areas.add_parser("hub", help="serve a registry, and mirror another one")
    hub.add_subparsers(metavar="VERB", required=True).add_parser("serve", add_help=False)
    areas.add_parser("doctor", help="what this host can do, and why not more", add_help=False)

    _add_install(verbs.add_parser("install", parents=[place], help="have systemd start it at boot"))

    logs = verbs.add_parser("logs", parents=[place], help="print its log")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    logs.set_defaults(run=_logs)
    _add_image_verbs(areas, place)
    _add_registry_commands(areas, place)
    return parser


def _doctor(words: list[str]) -> int:
    """Become the doctor's process in all but name: it parses its own flags."""
    return subprocess.run(doctor_command(*words), env=daemon_environment(), check=False).returncode


def _add_image_verbs(
    areas: "argparse._SubParsersAction[argparse.ArgumentParser]", place: argparse.ArgumentParser
) -> None:
    image = areas.add_parser("image", help="make an image without a registry")
    verbs = image.add_subparsers(metavar="VERB", required=True)
    made = verbs.add_parser(
        "from-host",
        parents=[place],
        help="make one of this machine's programs, with the libraries that they need",
    )
    made.add_argument("--name", metavar="NAME[:TAG]", required=True, help="what to call it")
    made.add_argument(
        "--add",
        metavar="PATH",
        action="append",
        default=[],
        help="file or folder to take, with all in it; may be given more than once",
    )
    made.add_argument(
        "--python", action="store_true", help="take python3 with its standard library, too"
    )
    made.add_argument("programs", metavar="PROGRAM", nargs="*", help="name on PATH, or path")
    made.set_defaults(run=_image_from_host)


def _add_registry_commands(areas: Any, place: argparse.ArgumentParser) -> None:
    """Add `login` and `logout`; `areas` is what argparse does not name in public."""
    server = argparse.ArgumentParser(add_help=False)
    server.add_argument(
        "server", nargs="?", default="", metavar="SERVER", help="registry; else Docker Hub"
    )
    login = areas.add_parser("login", parents=[place, server], help="log in to a registry")
    login.add_argument("-u", "--username", metavar="USER", help="asked for when not given")
    login.add_argument(
        "--password-stdin", action="store_true", help="read it from standard input, do not ask"
    )
    login.set_defaults(run=_login)
    logout = areas.add_parser("logout", parents=[place, server], help="forget what login kept")
    logout.set_defaults(run=_logout)


def _add_mirror(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mirror",
        metavar="URL",
        action="append",
        default=[],
        help="mirror of docker.io to ask first; may be given more than once",
    )


def _add_install(install: argparse.ArgumentParser) -> None:
    _add_mirror(install)
    action = install.add_mutually_exclusive_group()
    action.add_argument("--print", action="store_true", help="print the unit, and write nothing")
    action.add_argument("--uninstall", action="store_true", help="remove the unit again")
    install.add_argument(
        "--system",
        action="store_true",
        help=f"write below {SYSTEM_UNITS}, which root's engine needs",
    )
    install.set_defaults(run=_install)


def _start(settings: Settings, options: argparse.Namespace) -> int:
    if options.foreground:
        command = [*daemon_command(settings), "--foreground"]
        os.execve(command[0], command, {**daemon_environment()})  # noqa: S606 - a known program
    engine = ensure_engine(settings)
    pid = engine.pid or engine_pid(settings.socket_path)
    print(f"the engine {'listens' if engine.was_started else 'runs already'} (pid {pid})")
    print(_export_line(settings))
    return 0


def _stop(settings: Settings, _options: argparse.Namespace) -> int:
    pid = stop_engine(settings)
    print("no engine runs" if pid is None else f"the engine has ended (pid {pid})")
    return 0


def _status(settings: Settings, options: argparse.Namespace) -> int:
    pid = engine_pid(settings.socket_path)
    if pid is None:
        if options.json:
            print(json.dumps({"is_running": False, "socket_path": str(settings.socket_path)}))
        else:
            print(f"no engine listens on {settings.socket_path}")
        return NOT_RUNNING
    session = connect("dockerlab", settings=settings, start=False)
    try:
        status = fetch_status(session)
    finally:
        session.close()
    if options.json:
        print(json.dumps({"is_running": True, **status}, indent=2))
    else:
        print("\n".join(_describe(status)))
        print(_export_line(settings))
    return 0


def _reset(settings: Settings, options: argparse.Namespace) -> int:
    if not options.yes:
        raise InvalidArgument(
            f'"{settings.data_root}" would be deleted, with all its containers and images',
            "say so with --yes",
        )
    stop_engine(settings)
    command = [*daemon_command(settings), "--foreground", "--reset"]
    status = subprocess.run(command, env=dict(daemon_environment()), check=False).returncode
    if status == 0:
        print(f"deleted {settings.data_root}")
    return status


def _install(settings: Settings, options: argparse.Namespace) -> int:
    service = service_of(settings, os.environ)
    if options.print:
        print(service.text, end="")
        return 0
    if service.is_system != options.system:
        raise InvalidArgument(
            f'root\'s engine is a service of the whole machine: "{service.path}"'
            if service.is_system
            else "--system is for root's engine; yours is a service of your own",
            hint="say --system to have it written there, or --print to see it"
            if service.is_system
            else f'leave it out: the unit is "{service.path}"',
        )
    if options.uninstall:
        was_there = uninstall(service)
        print(f"{'removed' if was_there else 'there is no'} {service.path}")
        if was_there:
            print(f"if it was enabled: {service.disable_command}")
        return 0
    print(f"{'wrote' if install(service) else 'unchanged:'} {service.path}")
    print(f"to start it now and at each boot: {service.enable_command}")
    if not service.is_system:
        print("to have it without logging in: loginctl enable-linger")
    return 0


def _logs(settings: Settings, options: argparse.Namespace) -> int:
    for piece in follow(settings.log_path, is_endless=options.follow):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    return 0


def _image_from_host(settings: Settings, options: argparse.Namespace) -> int:
    # Before an engine is started for it: most mistakes are in the name.
    check_name(options.name)
    session = connect("dockerlab", settings=settings)
    try:
        made = image_from_host(
            session,
            options.name,
            options.programs,
            added=options.add,
            with_python=options.python,
        )
    finally:
        session.close()
    print(f"{made.reference} ({made.size_bytes / 1e6:.1f} MB): {made.image_id}")
    return 0


def _login(settings: Settings, options: argparse.Namespace) -> int:
    if options.password_stdin and not options.username:
        raise InvalidArgument("--password-stdin needs a user", "give -u USER")
    try:
        username = options.username or input("Username: ")
        if options.password_stdin:
            password = sys.stdin.read().rstrip("\r\n")
        else:
            password = getpass.getpass("Password: ")
    except EOFError:
        raise InvalidArgument(
            "nobody is there to be asked", "give -u USER and --password-stdin"
        ) from None
    session = connect("dockerlab", settings=settings)
    try:
        print(login(session, options.server, username, password))
    finally:
        session.close()
    return 0


def _logout(_settings: Settings, options: argparse.Namespace) -> int:
    print(logout(options.server))
    return 0


def _describe(status: Mapping[str, Any]) -> list[str]:
    """Return the lines of `engine status`: what a person wants to know of an engine."""
    tier = (
        f"{status['tier']} ({status['tier_reason']})" if status["tier_reason"] else status["tier"]
    )
    containers = ", ".join(
        f"{status[f'containers_{state}']} {state}" for state in ("running", "paused", "stopped")
    )
    sealed = "yes" if status["sealed_interpreter"] else "no"
    facts = {
        "engine": f"dockerlab {status['version']}",
        "pid": status["pid"],
        "socket": status["socket_path"],
        "data root": status["data_root"],
        "log": status["log_path"],
        "tier": tier,
        "cgroups": f"version {status['cgroup_version']}",
        "sealed interpreter": sealed,
        "default network": status["default_network"],
        "mirrors": ", ".join(status["mirrors"]) or "none",
        "containers": containers,
        "images": status["images"],
    }
    width = max(map(len, facts))
    lines = [f"{name + ':':<{width + 1}} {value}" for name, value in facts.items()]
    lines += [f"rate limit: {text}" for text in describe_limits(status)]
    return lines + [f"warning: {warning}" for warning in status["warnings"]]


def _export_line(settings: Settings) -> str:
    return f"export DOCKER_HOST=unix://{settings.socket_path}"
