"""AppArmor in the kernel: the profile that the doctor prints, and an engine under it."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.doctor import apparmor_profile
from tests.support.accounts import Account, unprivileged_account
from tests.support.engine import running_engine
from tests.support.registry import RunningRegistry

pytestmark = [
    pytest.mark.needs_apparmor,
    pytest.mark.needs_rootless,
    pytest.mark.needs_newuidmap,
    pytest.mark.needs_registry,
    pytest.mark.needs_busybox,
]

LOADED = Path("/sys/kernel/security/apparmor/profiles")


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with unprivileged_account(has_sub_ids=True) as made:
        yield made


@pytest.fixture
def profile(account: Account) -> Iterator[str]:
    """Load the profile for the user's interpreter; give its name."""
    text = _for_this_parser(apparmor_profile(account.python))
    _parse("--replace", text)
    yield re.findall(r"^profile (\S+)", text, re.MULTILINE)[0]
    _parse("--remove", text)


def test_the_printed_profile_is_loaded_for_the_interpreter(account: Account, profile: str) -> None:
    assert f"{profile} (unconfined)" in LOADED.read_text().splitlines()
    show = "print(open('/proc/self/attr/current').read().rstrip('\\0\\n'))"
    assert account.run("-c", show).stdout.strip() == f"{profile} (unconfined)"


def test_an_engine_under_the_profile_runs_containers(
    account: Account, profile: str, registry: RunningRegistry
) -> None:
    with running_engine(mirrors=[registry.url], account=account) as engine:
        client = engine.connect()
        assert Path(f"/proc/{engine.pid}/attr/current").read_text().startswith(profile)
        output = client.containers.run("hello-world", remove=True)
        assert output == b"Hello from the registry of the tests.\n"


def _for_this_parser(text: str) -> str:
    """Leave out what AppArmor 3 does not know: the ABI of 4.0, and ``userns``."""
    if Path("/etc/apparmor.d/abi/4.0").exists():
        return text
    return text.replace("abi <abi/4.0>,\n", "abi <abi/3.0>,\n").replace("  userns,\n", "")


def _parse(action: str, text: str) -> None:
    command = ["apparmor_parser", action, "--skip-cache"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
