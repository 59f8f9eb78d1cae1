"""Batches of samples from a dataset."""
