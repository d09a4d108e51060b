from dockerlab.image.progress import PullProgress
from dockerlab.image.registry.reporter import Reporter

_DIGEST = "sha256:" + "0123456789abcdef" * 4


def test_a_layer_is_named_by_twelve_digits_and_a_tag_by_itself() -> None:
    lines: list[PullProgress] = []
    reporter = Reporter(lines.append)
    reporter.begin("library/x", "a-very-long-tag-of-an-image")
    reporter.say("Waiting", _DIGEST)
    assert [(line.status, line.id) for line in lines] == [
        ("Pulling from library/x", "a-very-long-tag-of-an-image"),
        ("Waiting", "0123456789ab"),
    ]


def test_counts_are_thinned_out_but_the_first_and_the_last_come() -> None:
    lines: list[PullProgress] = []
    now = [0.0]
    reporter = Reporter(lines.append, lambda: now[0])
    for current in range(1, 101):
        reporter.count("Downloading", _DIGEST, current, 100)
        now[0] += 0.01
    assert [line.current for line in lines] == [1, 12, 23, 34, 45, 56, 67, 78, 89, 100] or (
        lines[0].current == 1 and lines[-1].current == 100 and len(lines) <= 12
    )
    assert all(line.total == 100 for line in lines)


def test_layers_and_statuses_are_thinned_out_apart() -> None:
    lines: list[PullProgress] = []
    reporter = Reporter(lines.append, lambda: 0.0)
    reporter.count("Downloading", _DIGEST, 1, 9)
    reporter.count("Extracting", _DIGEST, 1, 9)
    reporter.count("Downloading", "sha256:" + "f" * 64, 1, 9)
    assert len(lines) == 3
