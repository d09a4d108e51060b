"""Whole trees of the corpus, as our engine and as umoci unpack them, compared file by file."""
