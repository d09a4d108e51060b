"""The kernel as Python functions: constants, one thin function per system call, owned descriptors.

Nothing here decides anything. Reading order: `constants`, `syscalls`, `privileges`, `fds`, `bpf`,
`fake`. The package imports nothing, for the zygote loads it.
"""
