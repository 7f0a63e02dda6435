"""The process that runs DSPy programs: a light supervisor and worker processes that alone import DSPy."""

__version__ = "0.1.0"
