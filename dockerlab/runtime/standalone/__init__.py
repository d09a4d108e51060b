"""The runtime by itself, behind the command line of OCI runtimes: ``dockerlab-runtime``.

Who drives it (Podman's conmon, containerd's shim) keeps the streams and waits for the process; here
a container is made from a bundle, started, entered and taken away. Reading order: `__main__` (the
command line), `commands` (its verbs), `firstprocess` (what happens inside). See runtime-spec's
runtime.md for the states and the order of hooks.
"""
