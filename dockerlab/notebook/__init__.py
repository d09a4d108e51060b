"""The face in Jupyter: magics, their options and completion, progress and results.

Reading order: `extension`, `options`, `magics`, `progress`, `result`. Nothing heavy is imported
before a cell needs it.
"""
