"""Training: the model put together, one loop for both phases, and inference."""
