"""The tests of dockerlab."""
