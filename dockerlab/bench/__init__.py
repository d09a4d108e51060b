"""Experiments: the same image started in different ways, in turn, as a table.

Reading order: `sample`, `experiment` (which runs, in which order), `runner` (does them),
`comparison` (of engines, from question to table).
"""
