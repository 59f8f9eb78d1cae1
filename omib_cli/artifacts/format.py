"""Every kind, path, attribute, dtype and shape of omib's own files, in one place.

Notation: N samples in rows, ordered train, validation, test, new; D features; M modalities, in recipe order.
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
SPLIT: Final = "split"  # (N,)    uint8   | index into ALL_SPLITS, never decreasing
LABELS: Final = "labels"  # (N,)   float64 | class index; value; time, < 0 if censored; NaN: unknown (anomaly, new)
GROUPS: Final = "groups"  # (N,)   utf-8   | optional: patient, video, actor, section
COORDINATES: Final = "coordinates"  # (N, 2) float64 | optional: position, pixels of the original image
MODALITIES: Final = "modalities"  # group, one child group per modality
VALUES: Final = "values"  # (N, ...) DTYPES[kind] | zeros where the modality is missing
PRESENT: Final = "present"  # (N,)  bool    | whether the sample has this modality
NEIGHBOURS: Final = "neighbours"  # (N, K) int32 | of a graph: rows of the neighbours, -1 where there is none
FEATURES: Final = "features"  # (D,)  utf-8   | feature names
PREPROCESSING: Final = "preprocessing"  # group | what was fitted on train; arrays of the source's own
TRUTH: Final = "truth"  # group        | simulation: delta (number of task-relevant columns,) float64
ATTR_MODALITY_KIND: Final = "kind"  # str  | one of the kinds below

# Kinds of modality and the shape of one sample. T elements, D features, L tokens, C channels, F frequencies.
VECTOR: Final = "vector"  # (D,)
SEQUENCE: Final = "sequence"  # (T, D + 1) | last column 1 for an element, 0 for the padding at the end
TOKENS: Final = "tokens"  # (L,)           | ids of a text's tokens, -1 for the padding at the end
IMAGE: Final = "image"  # (C, H, W)
VIDEO: Final = "video"  # (T, C, H, W)
SPECTROGRAM: Final = "spectrogram"  # (F, T)
GRAPH: Final = "graph"  # (D,)             | features of a node, with NEIGHBOURS beside them
DTYPES: Final = {
    VECTOR: "float32",
    SEQUENCE: "float32",
    TOKENS: "int32",
    IMAGE: "uint8",
    VIDEO: "uint8",
    SPECTROGRAM: "float32",
    GRAPH: "float32",
}

SPLITS: Final = ("train", "validation", "test")
NEW: Final = "new"
"""The split of samples that a trained model is to predict: prepared with what it was trained with, labels or not."""
ALL_SPLITS: Final = (*SPLITS, NEW)

# model.safetensors: beside the weights, by name
PREPARED: Final = "prepared.{}."  # of a modality: the arrays of PREPROCESSING, as they were in its dataset
NOVELTY: Final = "novelty.{}."  # of a modality: what encodings of training samples are like
SURVIVAL: Final = "survival."  # what the training split says of hazard and censoring (tasks/hazard.py)
CALIBRATION: Final = "calibration."  # what is learnt of the validation samples: temperatures, held-out errors
CARRIED: Final = ("prepared.", "novelty.", SURVIVAL, CALIBRATION)

# information.h5: values in nats, of shape (estimators' seeds,)
ENTROPY: Final = "entropy"  # group: one (seeds,) float64 per modality   | I(v_i; v_i)
MUTUAL: Final = "mutual"  # group: one (seeds,) float64 per pair "a|b"  | I(v_i; v_j)
PAIR: Final = "{}|{}"

BLOCK_ROWS: Final = 4096
"""Most rows that are generated, written and hashed at once."""
BLOCK_BYTES: Final = 2**26
"""Most bytes of one array in a block, unless a single row is larger."""


def block_rows(row_bytes: int) -> int:
    """Rows in a block of an array: a power of two, so that the blocks of different arrays end together."""
    rows: int = BLOCK_ROWS
    while rows > 1 and rows * row_bytes > BLOCK_BYTES:
        rows //= 2
    return rows
