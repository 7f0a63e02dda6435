"""DSPy's optimizers over a program of ours; what they ask of others leaves through a port."""
