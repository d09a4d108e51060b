"""Registries: from a reference to verified blobs and unpacked layers.

Reading order: `mirrors` (which servers), `certificates` and `connection` (sockets, TLS),
`credential` and `auth` (who asks, tokens), `transport` (requests, redirects, retries), `session`
(the distribution API's verbs), `login`, `unpacking` (the seam to the worker), `download` (one
layer), `pull` (one image). The protocol is distribution-spec/spec.md.
"""
