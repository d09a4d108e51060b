"""Control groups: limits, the devices that may be used, and who is still alive.

Reading order: `tree` finds out which version the host has; `v1` and `v2` keep the same interface
over it; `folder` is what both do to one folder; `devicefilter` is the device list of v2, where it
is a BPF program; `blockio` the limits of disks. `stats` reads what a container uses, for the daemon
alone.
"""
