"""The runtime's tests on another kernel: Debian's own, in an emulated machine.

Reading order: `test_debian_kernel` says which tests run there; `machine` boots the machine and
fetches what it answers; `initramfs` makes what the kernel starts with; `init.sh` and `guest` run
inside.
"""
