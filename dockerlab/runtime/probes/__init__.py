"""Probes: what this host can do, each found out by doing it in a child process.

A probe is one function; `registry` lists them all and asks them. They judge nothing: which tier
follows is decided in `runtime.tier`, and what would lift a "no" is said by `dockerlab.doctor`.
Reading order: `asking` (the child and its time limit), `registry`, then whichever is of interest.
"""
