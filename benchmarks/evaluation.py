r"""What a report costs against the number of samples: ``python benchmarks/evaluation.py --folder /scratch``.

Embeddings as `omib embed` writes them, of case iii with the true labels: 64 columns that hold the score behind the
label and noise, two modalities with branches and bottlenecks, a tenth of the samples in each of test and validation.
`omib evaluate` in a process of its own, with one thread and everything that it does by default: 1,000 resamples, probes
of what is simulated, figures. CPU seconds and peak memory are those of the whole process (targets for 300,000 samples:
30 s, 1 GiB); the exponent is that of the power law that fits the seconds beyond the smallest size's start-up.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.embedding import write_embedding
from omib_cli.artifacts.provenance import Provenance
from omib_cli.recipe.load import load_recipe
from omib_cli.recipe.schema import Recipe
from omib_cli.sources.simulation import SimulationSource

WIDTH = 64
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def embedding_of(samples: int, folder: Path) -> Path:
    """An embedding of so many samples of case iii, written unless it is there."""
    path = folder / f"embedding-{samples}.h5ad"
    if path.exists():
        return path
    recipe = load_recipe("sim-iii", [f"data.samples={samples}", "data.validation=0.1"])
    source = SimulationSource(recipe)
    plan = source.plan()

    def read(rows: range) -> dict[str, Any]:
        return block(source, np.array([fmt.SPLITS[code] for code in plan.split[rows.start : rows.stop]]), rows)

    write_embedding(path, samples, read, provenance_of(recipe))
    return path


def provenance_of(recipe: Recipe) -> Provenance:
    """What the embedding says about itself."""
    return Provenance(
        kind=fmt.EMBEDDING,
        recipe=recipe.resolved(),
        recipe_hash=recipe.hash(fmt.EMBEDDING),
        parents={"dataset": "d" * 64, "model": "e" * 64},
        facts={"task": "classification", "classes": ["0", "1"], "modalities": list(recipe.modalities)},
        command="benchmarks/evaluation.py",
    )


def block(source: SimulationSource, split: Any, rows: range) -> dict[str, Any]:
    """Rows of every array of an embedding: the labels are the simulation's, all else is drawn around them."""
    rng = np.random.default_rng(rows.start)
    labels = source.block(rows.start, rows.stop).labels
    count, names = len(rows), np.array(["0", "1"], dtype=object)
    found: dict[str, Any] = {
        "X": (rng.normal(size=(count, WIDTH)) + labels[:, None]).astype(np.float32),
        "obs/id": np.array([f"s{row:07d}" for row in rows], dtype=object),
        "obs/split": split.astype(object),
        "obs/label": names[labels.astype(int)],
    }
    for suffix in ("", *(f"_{name}" for name in source.names)):
        logits = (rng.normal(size=(count, 2)) + 1.5 * np.eye(2)[labels.astype(int)]).astype(np.float32)
        weights = np.exp(logits)
        found[f"obsm/logits{suffix}"] = logits
        found[f"obsm/output{suffix}"] = weights / weights.sum(axis=1, keepdims=True)
        found[f"obs/prediction{suffix}"] = names[logits.argmax(axis=1)]
    for name in source.names:
        found[f"obs/has_{name}"] = np.ones(count, dtype=bool)
        found[f"obs/kl_{name}"] = rng.gamma(2.0, size=count).astype(np.float32)
        found[f"obsm/posterior_sd_{name}"] = rng.random((count, WIDTH)).astype(np.float32)
    return found


def measured(path: Path) -> tuple[float, float]:
    """CPU seconds and peak MiB of the report of an embedding."""
    words = ["evaluate", str(path), "--out", str(path.with_suffix("")), "--fresh", "--quiet", "--threads", "1"]
    process = subprocess.Popen([sys.executable, "-m", "omib_cli", *words], env=ONE_THREAD, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"omib {' '.join(words)} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**10


def main() -> None:
    """A line for each size, and the exponent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="outside the repository; embeddings stay there")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 75_000, 150_000, 300_000])
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print(f"{platform.machine()}, {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}\n")
    print("| samples | CPU s | peak MiB |\n| --- | --- | --- |")
    seconds = []
    for samples in options.sizes:
        spent, peak = measured(embedding_of(samples, options.folder))
        seconds.append(spent)
        print(f"| {samples:,} | {spent:.1f} | {peak:,.0f} |", flush=True)
    if len(seconds) > 2:
        sizes = np.array(options.sizes[1:]) - options.sizes[0]
        slope, _ = np.polyfit(np.log(sizes), np.log(np.array(seconds[1:]) - seconds[0]), 1)
        print(f"\nexponent of what is spent beyond {options.sizes[0]:,} samples: {slope:.2f}")


if __name__ == "__main__":
    main()
