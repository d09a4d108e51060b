"""Networks of containers: bridges, addresses, names and published ports.

`service` is a process of its own, one an engine, which outlives the daemon as the containers do;
the daemon talks to it through `client`. Begin reading at `messages`.
"""
