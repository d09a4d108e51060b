"""Images and registries that mean harm, each pulled by a real engine.

`cases` makes them, the test pulls them, ``python -m tests.hostile`` writes what each got into
docs/images.md.
"""
