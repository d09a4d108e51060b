"""Names of endpoints, network by network."""

from ipaddress import ip_address

from dockerlab.network.names import Names

ONE, TWO, SIX = ip_address("10.0.0.2"), ip_address("10.0.0.3"), ip_address("fd00::2")


def test_a_name_is_known_on_its_network_only() -> None:
    names = Names()
    names.add("net", ["web"], [ONE, SIX])
    assert set(names.addresses(["net"], "web") or ()) == {ONE, SIX}
    assert names.addresses(["other"], "web") is None
    assert names.addresses([], "web") is None


def test_case_and_the_last_dot_do_not_count() -> None:
    names = Names()
    names.add("net", ["Web.Example."], [ONE])
    for asked in ("web.example", "WEB.EXAMPLE."):
        assert names.addresses(["net"], asked) == [ONE]


def test_a_shared_name_begins_with_another_address_each_time() -> None:
    names = Names()
    names.add("net", ["a", "web"], [ONE])
    names.add("net", ["b", "web"], [TWO])
    answers = [names.addresses(["net"], "web") for _ in range(4)]
    assert {answer[0] for answer in answers if answer} == {ONE, TWO}


def test_what_one_endpoint_leaves_others_keep() -> None:
    names = Names()
    names.add("net", ["a", "web"], [ONE])
    names.add("net", ["b", "web"], [TWO])
    names.remove("net", ["a", "web"], [ONE])
    assert names.addresses(["net"], "web") == [TWO]
    assert names.addresses(["net"], "a") is None
    assert names.name_of(["net"], ONE) is None
    assert names.name_of(["net"], TWO) == "b"


def test_an_endpoint_may_have_no_name() -> None:
    names = Names()
    names.add("net", [], [ONE])
    assert names.name_of(["net"], ONE) is None
    names.remove("net", [], [ONE])
