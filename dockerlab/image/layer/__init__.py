"""One layer: from a compressed tar archive to a folder that overlayfs can use.

The modules here run in a forked child of the zygote and import only a handful of the standard
library's modules. Reading order: `fault`, `compression`, `source`, `tar`, `sparse`, `folders`,
`whiteout`, `apply`, `worker`.
"""
