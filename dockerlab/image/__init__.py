"""Images: from a registry's bytes to verified blobs and unpacked layer folders.

Knows nothing of containers, networks or namespaces. Importing the package imports nothing: the
layer worker runs in a process that keeps its modules few.

Reading order: `content`, `layers`, `layer/` (tar archive to folder), `registry/` (pull).
"""
