"""The keeper of registries: who is asked and how, what they said of limits, and logging in.

It holds no credentials: a client sends them with each request, and they are gone with its answer.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable

from dockerlab.config import Settings, process_environment
from dockerlab.engine.registry import Credential, RateLimit, SearchResult
from dockerlab.errors import InvalidArgument, Unsupported
from dockerlab.image.registry.credential import no_credentials
from dockerlab.image.registry.login import log_in
from dockerlab.image.registry.mirrors import HUB_REGISTRY, RegistrySettings
from dockerlab.image.registry.proxies import proxies_of
from dockerlab.image.registry.session import Session
from dockerlab.oci.reference import DOCKER_HUB, Reference, parse_registry

__all__ = ["Registries"]


class Registries:
    """Opens sessions with registries as the settings say."""

    def __init__(self, settings: Settings, hub_address: Callable[[], Awaitable[str]]) -> None:
        self._settings = settings
        self._hub_address = hub_address
        self._limits: dict[str, RateLimit] = {}
        self.proxies = proxies_of(process_environment())
        self._lock = threading.Lock()

    async def session(self, reference: Reference, credential: Credential | None) -> Session:
        """Return a session for one pull; the credential is for the reference's registry only."""
        is_ours = reference.registry == HUB_REGISTRY
        known = {reference.registry: credential} if credential else {}
        return Session(
            self._registry_settings(await self._hub_address() if is_ours else ""),
            credentials=known.get if known else no_credentials,
            keep=self._keep,
            proxies=self.proxies,
        )

    async def log_in(self, server: str, credential: Credential) -> str:
        """Find out whether a registry takes a credential; see `daemon.backend.Registries`."""
        registry = parse_registry(server)
        if registry == HUB_REGISTRY:
            raise Unsupported(f'"{registry}" is built in, and needs no login')
        if not credential:
            raise InvalidArgument(f'no user is given to log in to "{registry}" with')
        stop = threading.Event()
        try:
            return await asyncio.to_thread(
                log_in, registry, self._registry_settings(), credential, stop, self.proxies
            )
        finally:
            stop.set()

    async def search(
        self, text: str, limit: int, credential: Credential | None
    ) -> list[SearchResult]:
        """Return repositories for a term, which may begin with the registry that is asked."""
        first, slash, rest = text.partition("/")
        is_named = bool(slash) and ("." in first or ":" in first or first == "localhost")
        registry = parse_registry(first) if is_named else DOCKER_HUB
        reference = Reference(registry=registry, repository="search", tag="latest")
        session = await self.session(reference, credential)
        stop = threading.Event()
        try:
            term = rest if is_named else text
            return await asyncio.to_thread(session.search, registry, term, limit, stop)
        finally:
            stop.set()
            session.close()

    def rate_limits(self) -> list[RateLimit]:
        """Return what each registry said last, by name."""
        with self._lock:
            return sorted(self._limits.values(), key=lambda limit: limit.registry)

    def _keep(self, limit: RateLimit) -> None:
        with self._lock:
            self._limits[limit.registry] = limit

    def _registry_settings(self, hub_address: str = "") -> RegistrySettings:
        return RegistrySettings(
            mirrors=self._settings.mirrors,
            insecure_registries=self._settings.insecure_registries,
            hub_address=hub_address,
            certificate_folders=self._settings.certificate_folders,
        )
