r"""Two tables about 200 samples and a value that takes what both know: small data on which to judge default settings.

    python benchmarks/small_regression.py regression
    cd regression
    omib recipe new --modality a=a.csv --modality b=b.csv --label y.csv:y
    omib cross-validate mine.yaml --input . --methods omib,concat --folds 5 --out validated

Five hidden factors are shared by the tables, five are each table's own; columns are random mixtures of them with noise
of deviation 1. The value is the sum of one factor of each kind, half of another shared one, noise of deviation 0.3,
and 5.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

SAMPLES, FACTORS, COLUMNS = 200, 5, {"a": 40, "b": 30}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    options.folder.mkdir(parents=True, exist_ok=True)
    ids = pd.Index([f"s{row}" for row in range(SAMPLES)], name="id")
    shared = rng.normal(size=(SAMPLES, FACTORS))
    value = 5 + shared[:, 0] + 0.5 * shared[:, 1] + 0.3 * rng.normal(size=SAMPLES)
    for name, width in COLUMNS.items():
        own = rng.normal(size=(SAMPLES, FACTORS))
        value += own[:, 0]
        mixed = np.concatenate([shared, own], axis=1) @ rng.normal(size=(2 * FACTORS, width))
        noisy = mixed + rng.normal(size=mixed.shape)
        frame = pd.DataFrame(noisy, ids, [f"{name}{column}" for column in range(width)])
        frame.to_csv(options.folder / f"{name}.csv")
    pd.DataFrame({"y": value}, ids).to_csv(options.folder / "y.csv")


if __name__ == "__main__":
    main()
