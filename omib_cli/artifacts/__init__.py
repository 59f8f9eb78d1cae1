"""The files that stages write: formats, hashes, provenance, whole-or-nothing writing, resumable state."""
