"""Evaluation: metrics with intervals, comparisons of runs, what an embedding holds; ``report`` shows them."""
