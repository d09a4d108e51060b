"""The machinery that makes a container: zygote, monitor, init, and what they need.

Nothing here knows images, HTTP or the engine's records: the input is an OCI bundle and a job with
descriptors. Reading order: `protocol` (the messages), `zygote`, `launch`, `monitor`, `stdio`,
`init`, `mounts`, `rootfs`. The package imports nothing, for the zygote loads it.
"""
