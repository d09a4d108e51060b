"""Other people's programs against our socket: here, the docker command line client.

``docker_script.sh`` is one session; `session` runs and normalises it, `differences` lists what is
known to differ from dockerd and why, ``python -m tests.compat`` writes docs/compat.md.
"""
