"""The rules for iptables, as text."""

from ipaddress import ip_network

from dockerlab.network.iptables import Rule, iptables_rules

MARK = "7e57ab1e"
PLAIN = Rule("dl7e57a-1", (ip_network("10.1.0.0/24"), ip_network("fd00::/64")))
INTERNAL = Rule("dl7e57a-2", (ip_network("10.2.0.0/24"),), is_internal=True)
APART = Rule("dl7e57a-3", (), is_masqueraded=False, has_neighbours=False)
DOCKER = "*filter\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT\n"


def _loaded(text: str) -> str:
    """Return what iptables-save shows of rules that were loaded, for the lines that matter."""
    lines = []
    for line in text.splitlines():
        if line.startswith("-I "):
            lines.append("-A " + line[3:].replace(" 1 -j", " -j"))
        elif not line.startswith("-D "):
            lines.append(line)
    return "\n".join(lines) + "\n"


def test_each_version_masquerades_its_own_subnets() -> None:
    assert "-s 10.1.0.0/24 ! -o dl7e57a-1 -j MASQUERADE" in iptables_rules(MARK, [PLAIN], 4, "")
    text = iptables_rules(MARK, [PLAIN], 6, "")
    assert "-s fd00::/64 ! -o dl7e57a-1 -j MASQUERADE" in text
    assert "10.1.0.0" not in text


def test_an_internal_network_is_left_and_entered_by_nobody() -> None:
    text = iptables_rules(MARK, [INTERNAL], 4, "")
    assert "-i dl7e57a-2 -o dl7e57a-2 -j ACCEPT" in text
    assert "-i dl7e57a-2 -j DROP" in text
    assert "-o dl7e57a-2 -j DROP" in text
    assert "MASQUERADE" not in text


def test_neighbours_can_be_kept_apart() -> None:
    assert "-i dl7e57a-3 -o dl7e57a-3 -j DROP" in iptables_rules(MARK, [APART], 4, "")


def test_the_jump_comes_first_and_once() -> None:
    first = iptables_rules(MARK, [PLAIN], 4, "")
    assert f"-I FORWARD 1 -j DOCKERLAB-{MARK}-F" in first
    again = iptables_rules(MARK, [PLAIN], 4, _loaded(first))
    assert again.count(f"-D FORWARD -j DOCKERLAB-{MARK}-F") == 1
    assert again.count("-I FORWARD 1") == 1


def test_the_chain_that_docker_leaves_to_others_is_taken() -> None:
    text = iptables_rules(MARK, [PLAIN], 4, DOCKER)
    assert f"-I DOCKER-USER 1 -j DOCKERLAB-{MARK}-F" in text
    assert "-I FORWARD" not in text


def test_a_jump_moves_when_docker_has_come() -> None:
    before = _loaded(iptables_rules(MARK, [PLAIN], 4, ""))
    saved = before.replace("*filter\n", "*filter\n:DOCKER-USER - [0:0]\n")
    text = iptables_rules(MARK, [PLAIN], 4, saved)
    assert f"-D FORWARD -j DOCKERLAB-{MARK}-F" in text
    assert f"-I DOCKER-USER 1 -j DOCKERLAB-{MARK}-F" in text


def test_without_networks_everything_of_ours_goes() -> None:
    saved = _loaded(iptables_rules(MARK, [PLAIN], 4, ""))
    text = iptables_rules(MARK, [], 4, saved)
    for chain in ("F", "P"):
        assert f"-X DOCKERLAB-{MARK}-{chain}" in text
    assert f"-D POSTROUTING -j DOCKERLAB-{MARK}-P" in text
    assert "-A " not in text


def test_without_networks_and_without_rules_there_is_nothing_to_do() -> None:
    assert iptables_rules(MARK, [], 4, DOCKER) == ""


def test_rules_of_another_mark_are_not_touched() -> None:
    saved = _loaded(iptables_rules("0badbeef", [PLAIN], 4, ""))
    assert iptables_rules(MARK, [], 4, saved) == ""


def test_beside_another_tool_it_only_accepts() -> None:
    text = iptables_rules(MARK, [PLAIN, INTERNAL, APART], 4, DOCKER, is_beside=True)
    assert "DROP" not in text
    assert "*nat" not in text
    assert "-o dl7e57a-1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT" in text
