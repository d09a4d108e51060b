"""--log-driver and --log-opt."""

import msgspec
import pytest

from dockerlab.engine.container import HostConfig
from dockerlab.engine.logconfig import LogDefaults, attributes, check, rotation
from dockerlab.errors import DockerlabError
from tests.unit.engine.records import a_container


@pytest.mark.parametrize(
    ("driver", "options", "words"),
    [
        ("syslog", {}, "logger: no log driver named 'syslog' is registered"),
        ("json-file", {"size": "1m"}, "unknown log opt 'size' for json-file log driver"),
        ("local", {"labels": "a"}, "unknown log opt 'labels' for log driver local"),
        ("json-file", {"max-size": "much"}, 'invalid size: "much"'),
        ("json-file", {"max-file": "0"}, "invalid max-file 0"),
        ("json-file", {"compress": "true"}, "compress cannot be true when max-file is less than 2"),
        ("json-file", {"mode": "fast"}, "logger: logging mode not supported: fast"),
        ("json-file", {"mode": "non-blocking"}, "mode=non-blocking is not supported"),
        ("json-file", {"tag": "{{.Name | upper}}"}, "no other parts of a Go template"),
        ("json-file", {"tag": "{{.Nothing}}"}, 'the field ".Nothing"'),
        ("json-file", {"env-regex": "("}, "invalid regular expression"),
    ],
)
def test_what_is_no_log_is_refused(driver: str, options: dict[str, str], words: str) -> None:
    with pytest.raises(DockerlabError) as refused:
        check(driver, options)

    assert words in str(refused.value)


def test_the_local_log_is_rotated_by_default() -> None:
    plan = rotation("local", {})

    assert (plan.max_bytes, plan.max_files, plan.compress) == (20 << 20, 5, True)
    assert rotation("json-file", {}).max_bytes == 0


def test_defaults_are_for_those_who_say_nothing_and_for_the_same_driver() -> None:
    defaults = LogDefaults("json-file", {"max-size": "10m", "max-file": "3"})

    unsaid = defaults.apply(HostConfig(log_driver=""))
    same = defaults.apply(HostConfig(log_driver="json-file", log_options={"max-size": "1m"}))
    other = defaults.apply(HostConfig(log_driver="local"))

    assert (unsaid.log_driver, unsaid.log_options["max-size"]) == ("json-file", "10m")
    assert same.log_options == {"max-size": "1m", "max-file": "3"}
    assert other.log_options == {}


def test_attributes_are_labels_variables_and_a_tag() -> None:
    container = a_container(name="web")
    options = {"labels": "a,b", "env-regex": "^X", "tag": "{{.Name}}/{{ .ID }}"}
    container = msgspec.structs.replace(
        container,
        config=msgspec.structs.replace(
            container.config, labels={"a": "1", "c": "2"}, env=("X1=x", "Y=y")
        ),
        host=msgspec.structs.replace(container.host, log_options=options),
    )

    assert attributes(container, "busybox") == {
        "a": "1",
        "X1": "x",
        "tag": f"web/{container.id[:12]}",
    }
