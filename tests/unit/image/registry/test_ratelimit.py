from datetime import UTC, datetime

import pytest

from dockerlab.image.registry.ratelimit import RateLimit, parse_rate_limit

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def test_docker_hub_s_headers_are_read() -> None:
    headers = {
        "ratelimit-limit": "100;w=21600",
        "ratelimit-remaining": "76;w=21600",
        "docker-ratelimit-source": "192.0.2.1",
    }
    assert parse_rate_limit("docker.io", headers, NOW) == RateLimit(
        registry="docker.io",
        limit=100,
        remaining=76,
        window_s=21600,
        source="192.0.2.1",
        seen_at=NOW,
    )


@pytest.mark.parametrize("text", ["", "many", ";w=1", "-1", "\u0663"])
def test_what_is_no_number_says_nothing(text: str) -> None:
    assert parse_rate_limit("docker.io", {"ratelimit-limit": text}, NOW) is None


def test_a_number_alone_is_enough() -> None:
    found = parse_rate_limit("lab", {"ratelimit-remaining": "3"}, NOW)
    assert found is not None
    assert (found.limit, found.remaining, found.window_s) == (None, 3, None)
