"""The magics, one module for each kind of object; loaded when the first of its magics is used.

Each function has the name of its magic and is given a `Lab` and the parsed line.
"""
