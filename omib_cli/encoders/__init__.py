"""Encoders: one file each, one input kind to one vector z (B, d)."""
