"""Spatial transcriptomics with histology: sections in three layouts to one dataset (Appendix G)."""
