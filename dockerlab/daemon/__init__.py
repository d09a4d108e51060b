"""The Docker Engine API over a unix socket: HTTP on one side, the engine on the other.

Read `app` for the table of routes, `handler` for what all requests share, `hijack` for connections
that turn raw, `server` for the life of the process. Nothing here knows how a container is run.
"""
