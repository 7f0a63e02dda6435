"""A worker process: one loop for gRPC and heartbeats, another thread's loop for DSPy."""
