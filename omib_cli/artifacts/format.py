"""Every kind, path, attribute, dtype and shape of omib's own files, in one place.

Notation: N samples in rows, ordered train, validation, test; D features; M modalities, in recipe order.
"""

from __future__ import annotations

from typing import Final

SCHEMA: Final = 1
"""Version of all formats below; a reader refuses a newer one."""

DATASET: Final = "dataset"  # HDF5
INFORMATION: Final = "information"  # HDF5
WARMUP: Final = "warmup"  # safetensors
MODEL: Final = "model"  # safetensors
EMBEDDING: Final = "embedding"  # AnnData .h5ad
REPORT: Final = "report"  # folder with report.json, report.html, figures/

ATTR_KIND: Final = "omib-kind"  # str     | one of the kinds above
ATTR_SCHEMA: Final = "omib-schema"  # int | SCHEMA of the writer
ATTR_HASH: Final = "omib-content-hash"  # str | SHA-256 of what the file says
PROVENANCE: Final = {  # scalar utf-8 dataset | JSON: recipe, parents, facts, notes, versions, command, time
    "dataset": "omib-provenance",
    "information": "omib-provenance",
    "embedding": "uns/omib/provenance",  # where AnnData readers find it too
}

# dataset.h5
IDS: Final = "ids"  # (N,)      utf-8   | unique sample ids
SPLIT: Final = "split"  # (N,)    uint8   | index into SPLITS, never decreasing
LABELS: Final = "labels"  # (N,)   float64 | class index, or the value in its own unit
GROUPS: Final = "groups"  # (N,)   utf-8   | optional: patient, video, actor, section
COORDINATES: Final = "coordinates"  # (N, 2) float64 | optional: position, pixels of the original image
MODALITIES: Final = "modalities"  # group, one child group per modality
VALUES: Final = "values"  # (N, ...) float32 | standardised; zeros where the modality is missing
PRESENT: Final = "present"  # (N,)  bool    | whether the sample has this modality
FEATURES: Final = "features"  # (D,)  utf-8   | feature names
PREPROCESSING: Final = "preprocessing"  # group | offset, scale, fill (D,) float64, kept (D,) int64, from train
TRUTH: Final = "truth"  # group        | simulation: delta (number of task-relevant columns,) float64
ATTR_MODALITY_KIND: Final = "kind"  # str  | VECTOR, later: sequence, image, ...

VECTOR: Final = "vector"

SPLITS: Final = ("train", "validation", "test")

# information.h5: values in nats, of shape (estimators' seeds,)
ENTROPY: Final = "entropy"  # group: one (seeds,) float64 per modality   | I(v_i; v_i)
MUTUAL: Final = "mutual"  # group: one (seeds,) float64 per pair "a|b"  | I(v_i; v_j)
PAIR: Final = "{}|{}"

BLOCK_ROWS: Final = 4096
"""Rows that are generated, written and hashed at once."""
