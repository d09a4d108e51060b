"""Registries: from a reference to verified blobs and unpacked layers.

Reading order: `mirrors` (which servers), `connection` (sockets in bounded time), `auth` (tokens),
`transport` (requests, redirects, retries), `session` (the distribution API's verbs), `unpacking`
(the seam to the worker), `download` (one layer), `pull` (one image). The protocol is
distribution-spec/spec.md.
"""
