"""One optimization in a process of its own: DSPy's optimizers, whose calls of models, metrics and tools leave as frames."""
