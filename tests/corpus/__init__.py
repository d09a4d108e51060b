"""The images that tests and benchmarks use, built from Debian packages and our own files.

Not part of the product: nothing here imports the engine, so that a fault in it cannot hide in the
data. `layers` writes layers, `recipes` says what is in which image, `shelf` keeps built ones in a
folder, `pusher` uploads them, ``python -m tests.corpus`` is the command.
"""
