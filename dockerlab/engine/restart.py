"""Whether a container is to start again by its policy, and after how long. Pure.

Docker's rules (Engine API, RestartPolicy; "Start containers automatically" in its manual). Who acts
on them is `engine.lives`.
"""

from dockerlab.engine.container import Container, RestartPolicy

__all__ = ["next_delay_s", "starts_with_engine", "wants_restart"]

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 60.0
# Who ran for so long did not fail at its start.
_LONG_RUN_S = 10.0


def wants_restart(
    policy: RestartPolicy, *, exit_code: int, restart_count: int, is_stopped_by_user: bool
) -> bool:
    """Tell whether a container that has just ended is to start again.

    Parameters
    ----------
    restart_count : int
        How often its policy has started it since a user did.
    """
    if is_stopped_by_user or policy.name == "no":
        return False
    if policy.name == "on-failure":
        has_retries = restart_count < (policy.maximum_retry_count or restart_count + 1)
        return exit_code != 0 and has_retries
    return True


def starts_with_engine(container: Container) -> bool:
    """Tell whether a container that does not run is to start because the engine does."""
    state = container.state
    if state.is_running or state.status == "created":
        return False
    name = container.host.restart_policy.name
    return name == "always" or (name == "unless-stopped" and not state.is_stopped_by_user)


def next_delay_s(previous_s: float, ran_s: float) -> float:
    """Return how long to wait before the next start.

    Parameters
    ----------
    previous_s : float
        The delay before the run that has ended; 0 when a user started it.
    ran_s : float
        How long it ran.

    Examples
    --------
    >>> next_delay_s(0, 0.5), next_delay_s(0.1, 0.5), next_delay_s(60, 0.5), next_delay_s(60, 11)
    (0.1, 0.2, 60.0, 0.1)
    """
    if ran_s >= _LONG_RUN_S or previous_s <= 0:
        return _FIRST_DELAY_S
    return min(previous_s * 2, _LONGEST_DELAY_S)
