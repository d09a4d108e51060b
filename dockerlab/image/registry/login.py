"""Finding out whether a registry takes a user's credentials: what `docker login` asks.

The root of the API wants to know who asks (distribution-spec/spec.md#determining-support), and its
challenge is met as a pull meets one, but for no repository. Nothing is kept here.
"""

import threading

from dockerlab.errors import RegistryUnreachable, Unauthorized, Unavailable
from dockerlab.image.registry.auth import Access
from dockerlab.image.registry.certificates import Certificates
from dockerlab.image.registry.connection import Pools
from dockerlab.image.registry.credential import Credential
from dockerlab.image.registry.mirrors import Endpoint, RegistrySettings, endpoints
from dockerlab.image.registry.proxies import Proxies
from dockerlab.image.registry.transport import Transport, describe_errors, host_of

__all__ = ["log_in"]

_OK, _BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN = 200, 400, 401, 403


def log_in(
    registry: str,
    settings: RegistrySettings,
    credential: Credential,
    stop: threading.Event,
    proxies: Proxies | None = None,
) -> str:
    """Show a registry credentials; mirrors are not asked.

    Parameters
    ----------
    registry : str
        Its name in references.
    settings : RegistrySettings
        What the user configured.
    credential : Credential
        For this registry.
    stop : Event
        Ends waiting.
    proxies : Proxies, optional
        Who is asked through whom.

    Returns
    -------
    str
        An identity token to keep in place of the password; '' when the realm gives none.

    Raises
    ------
    Unauthorized
        It does not take them.
    Forbidden, Unavailable, RegistryUnreachable
        As they say.
    """
    certificates = Certificates(settings.certificate_folders)
    transport = Transport(Pools(certificates=certificates, proxies=proxies))
    known = {registry: credential}
    access = Access(transport, known.get)
    has_authority = bool(certificates.find(registry).authorities)
    found = endpoints(registry, settings, has_authority=has_authority)
    *others, last = (endpoint for endpoint in found if not endpoint.is_mirror)
    try:
        for endpoint in others:
            try:
                return _ask(endpoint, transport, access, stop)
            except RegistryUnreachable:
                # Another way to the same registry is left.
                continue
        return _ask(last, transport, access, stop)
    finally:
        transport.close()


def _ask(endpoint: Endpoint, transport: Transport, access: Access, stop: threading.Event) -> str:
    url, identity_token = f"{endpoint.url}/v2/", ""
    answer = transport.get(url, {}, verifies=endpoint.verifies, stop=stop)
    challenge = answer.headers.get("WWW-Authenticate", "")
    if answer.status == _UNAUTHORIZED and challenge:
        answer.close()
        header, identity_token = access.log_in(endpoint, challenge, stop)
        answer = transport.get(url, header, verifies=endpoint.verifies, stop=stop)
    status, text = answer.status, describe_errors(answer)
    if status == _OK:
        return identity_token
    if status == _BAD_REQUEST and endpoint.is_plain:
        # A server with TLS that is asked without (Go's net/http).
        raise RegistryUnreachable(f'"{host_of(url)}" answers over TLS only')
    kind = Unauthorized if status in (_UNAUTHORIZED, _FORBIDDEN) else Unavailable
    raise kind(f'cannot log in to "{endpoint.registry}": {text}')
