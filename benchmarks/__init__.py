"""Side-by-side measurements against other engines; see README.md."""
