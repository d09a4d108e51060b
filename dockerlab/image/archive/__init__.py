"""Images as one archive: what ``docker save`` writes and ``docker load`` reads.

`reading` takes an archive apart into documents and blobs, `meaning` finds the images in them,
`writing` is the other direction. Two forms are known, OCI's image layout and Docker's own; what is
written is both at once.
"""
