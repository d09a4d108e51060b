"""The client's side: find or start an engine, pull, run, and time what happened.

It knows the engine only over its socket, through docker-py, so the same code drives dockerlab's own
engine, Docker and Podman. Order of reading: `session`, `autostart`, `run`, `streams`, `timeline`.
Nothing is imported here: docker-py costs 150 ms, which only those pay who use an engine.
"""
