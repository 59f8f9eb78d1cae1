"""Evaluation: metrics with intervals, figures, and the report that puts them in front of a reader."""
