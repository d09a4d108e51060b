"""The plugins of this suite; what each one is for is said in its own file."""

pytest_plugins = [
    "tests.support.skips",
    "tests.support.probes",
    "tests.support.leaks",
    "tests.support.fixtures",
    "tests.support.travellers",
]
