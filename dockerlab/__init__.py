"""Containers inside Jupyter: magics, tables and plots over a container engine of our own.

This file imports nothing: the zygote loads it, and `%load_ext dockerlab` must stay light.
"""

__all__ = ["__version__", "connect", "load_ipython_extension", "unload_ipython_extension"]

__version__ = "0.1.0"
