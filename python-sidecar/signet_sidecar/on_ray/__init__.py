"""What runs on a Ray cluster: the process that drives it, and the actors. Only here Ray is imported."""
