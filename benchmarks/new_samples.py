r"""What a model says of samples that come later.

    python benchmarks/new_samples.py --data ../shared/data --out /scratch

Trains `rosmap` and `av-digits` (seed 0; kept in the folder and used again), then prints three tables in Markdown:

* `omib predict` of ROSMAP's test files beside `omib embed` of the dataset that the model was trained with: as they are,
  without labels, with columns in another order and other names of files; whether every number is equal to the bit, and
  CPU seconds of the process (target: 4);
* the same with a tenth of each table's columns missing, filled with `--allow-missing` (mean, deviation over draws);
* novelty: the share of samples above .99 and above .999 in each modality, of held-out samples as they are and with one
  modality spoilt: ROSMAP with the columns of one table in another order, digits with noise.

Exits with 1 where predictions are not equal, or the target is missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

TARGET_SECONDS = 4.0
TABLES = {"mrna": 1, "methylation": 2, "mirna": 3}
NOISE = ({"image": 1.0}, {"audio": 3.16})
"""Of an image's range; of a recording's root mean square (-10 dB)."""
NEW = {name: f"{name}.csv" for name in TABLES}
HEADED = [f"data.tables.{name}.{option}" for name in TABLES for option in ("header=true", "feature_names=null")]


def omib(*words: object) -> float:
    """Run a command in a process of its own; CPU seconds of all its threads."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    threads = [] if words[0] == "prepare" else ["--threads", "1"]  # which has none
    command = [sys.executable, "-m", "omib_cli", *map(str, words), "--quiet", *threads]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def trained(recipe: str, source: Path, out: Path) -> tuple[Path, anndata.AnnData]:
    """The model, and the embedding of what it was trained with."""
    folder = out / recipe
    omib("run", recipe, "--input", source, "--out", folder, "--no-report")
    return folder / "model.safetensors", anndata.read_h5ad(folder / "embedding.h5ad")


def test_tables(source: Path) -> dict[str, pd.DataFrame]:
    """ROSMAP's test tables with a header, by modality."""
    names = {name: (source / f"{number}_featname.csv").read_text().split() for name, number in TABLES.items()}
    return {name: pd.read_csv(source / f"{TABLES[name]}_te.csv.gz", header=None, names=names[name]) for name in TABLES}


def predicted(
    model: Path, tables: Mapping[str, pd.DataFrame], folder: Path, *options: object
) -> tuple[anndata.AnnData, float]:
    """The predictions of unlabelled tables, written into a new folder, and their CPU seconds."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, table in tables.items():
        table.to_csv(folder / NEW[name], index=False)
    files = [word for name, file in NEW.items() for word in ("--modality", f"{name}={file}")]
    settings = [word for key in HEADED for word in ("--set", key)]
    out = folder / "predictions.h5ad"
    seconds = omib("predict", folder, "--model", model, "-o", out, *files, *settings, *options)
    return anndata.read_h5ad(out), seconds


def equal(found: anndata.AnnData, expected: anndata.AnnData) -> bool:
    """Whether embedding, outputs and spreads are the same to the bit."""
    return np.array_equal(found.X, expected.X) and all(
        np.array_equal(found.obsm[key], expected.obsm[key], equal_nan=True) for key in expected.obsm
    )


def scores(found: anndata.AnnData, labels: np.ndarray) -> tuple[float, float]:
    """Accuracy and AUC."""
    accuracy = np.mean(found.obs["prediction"].astype(str).to_numpy() == labels)
    return float(accuracy), float(roc_auc_score(labels == "1", found.obs["probability_1"]))


def same_predictions(model: Path, own: anndata.AnnData, source: Path, out: Path) -> bool:
    """The first table; whether everything is as it should be."""
    tables, rng = test_tables(source), np.random.default_rng(0)
    mixed = {name: table.iloc[:, rng.permutation(table.shape[1])] for name, table in tables.items()}
    files = [word for name, number in TABLES.items() for word in ("--modality", f"{name}={number}_te.csv.gz")]
    as_told, out_file = ("--labels", "labels_te.csv", "--fresh"), out / "labelled.h5ad"
    told = omib("predict", source, "--model", model, "-o", out_file, *files, *as_told)
    runs = {"as they are, labelled": (anndata.read_h5ad(out_file), told)}
    runs["without labels, with headers"] = predicted(model, tables, out / "plain", "--labels", "none")
    runs["the same, columns in another order"] = predicted(model, mixed, out / "mixed", "--labels", "none")
    print("| ROSMAP's 106 test samples | equal to `embed` to the bit | CPU s |\n| --- | --- | --- |")
    good = True
    for name, (found, seconds) in runs.items():
        is_equal = equal(found, own)
        good &= is_equal and seconds <= TARGET_SECONDS
        print(f"| {name} | {'yes' if is_equal else 'NO'} | {seconds:.1f} |", flush=True)
    return good


def missing_columns(model: Path, own: anndata.AnnData, source: Path, out: Path, draws: int) -> None:
    """The second table."""
    tables, labels = test_tables(source), own.obs["label"].astype(str).to_numpy()
    found = []
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        fewer = {
            name: table.drop(columns=rng.choice(table.columns, 20, replace=False)) for name, table in tables.items()
        }
        found.append(
            scores(predicted(model, fewer, out / "fewer", "--labels", "none", "--allow-missing", "0.1")[0], labels)
        )
    whole = scores(own, labels)
    shown = [
        f"{mean:.3f} ± {sd:.3f}" for mean, sd in zip(np.mean(found, axis=0), np.std(found, axis=0, ddof=1), strict=True)
    ]
    print("\n| ROSMAP, test samples | accuracy | AUC |\n| --- | --- | --- |")
    print(f"| every column | {whole[0]:.3f} | {whole[1]:.3f} |")
    print(f"| a tenth of each table missing, {draws} draws | {' | '.join(shown)} |")


def show_novelty(name: str, found: anndata.AnnData) -> None:
    """Rows of the third table."""
    for column in (column for column in found.obs if column.startswith("novelty_")):
        values = found.obs[column].dropna()
        shares = [f"{(values > bound).mean():.2f}" for bound in (0.99, 0.999)]
        print(
            f"| {name} | {column.removeprefix('novelty_')} | {values.median():.2f} | {' | '.join(shares)} |", flush=True
        )


def main() -> None:
    """Train, predict, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="holds rosmap and av_digits")
    parser.add_argument("--out", type=Path, required=True, help="for models and predictions; a gigabyte")
    parser.add_argument("--draws", type=int, default=5, help="of the missing columns")
    parser.add_argument(
        "--digits", action=argparse.BooleanOptionalAction, default=True, help="four minutes of training"
    )
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}\n")
    source = options.data / "rosmap"
    model, every = trained("rosmap", source, options.out)
    own = every[every.obs["split"] == "test"]
    good = same_predictions(model, own, source, options.out)
    missing_columns(model, own, source, options.out, options.draws)
    print("\n| samples | modality | median | above .99 | above .999 |\n| --- | --- | --- | --- | --- |")
    show_novelty("ROSMAP, test", own)
    tables, rng = test_tables(source), np.random.default_rng(0)
    for name in TABLES:
        values = tables[name].to_numpy()[:, rng.permutation(tables[name].shape[1])]
        spoilt = tables | {name: pd.DataFrame(values, columns=tables[name].columns)}
        show_novelty(
            f"values of {name} under others' names",
            predicted(model, spoilt, options.out / "spoilt", "--labels", "none")[0],
        )
    if options.digits:
        source = options.data / "av_digits"
        model, every = trained("av-digits", source, options.out)
        show_novelty("digits, unheard speakers", every[every.obs["split"] == "test"])
        for noise in NOISE:
            ((name, strength),) = noise.items()
            dataset, found = options.out / f"noise-{name}.h5", options.out / f"noise-{name}.h5ad"
            omib("prepare", "av-digits", "--input", source, "-o", dataset, "--set", f"data.corrupt.{name}={strength}")
            omib("embed", dataset, "--model", model, "-o", found)
            noisy = anndata.read_h5ad(found)
            show_novelty(f"digits, noise on {name}", noisy[noisy.obs["split"] == "test"])
    sys.exit(not good)


if __name__ == "__main__":
    main()
