"""Handwritten and spoken digits: both modalities against each alone, on clean and on corrupted test samples.

    python benchmarks/av_digits.py ../shared/data/av_digits --seeds 3 --out /scratch/av-digits

For each seed the recipe ``av-digits`` is run as it is and with one of its modalities left out (which makes it a plain
information bottleneck); speakers, pairs and splits are the same for the three. The trained networks then embed test
sets of the same pairs with Gaussian noise in one modality (``data.corrupt``), which no network has seen in training.
Prints a Markdown table of test accuracy, mean and sample standard deviation over seeds. Finished parts are kept.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import fmean, stdev

import yaml

from omib_cli.recipe.load import load_recipe

RECIPE = "av-digits"
CORRUPTIONS = {
    "clean": {},
    "image + noise of .5 its range": {"image": 0.5},
    "image + noise of its range": {"image": 1.0},
    "audio + noise at 0 dB": {"audio": 1.0},
    "audio + noise at -10 dB": {"audio": 10**0.5},
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True, help="a folder outside the repository")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    return parser.parse_args()


def variants(options: argparse.Namespace) -> dict[str, Path]:
    """The recipe with all modalities, and with each alone, as files."""
    values = load_recipe(RECIPE, options.overrides).resolved()
    names = list(values["modalities"])
    chosen = {" + ".join(names): names} | {f"{name} alone": [name] for name in names}
    files = {}
    for title, kept in chosen.items():
        file = options.out / f"{'-'.join(kept)}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        modalities = {name: values["modalities"][name] for name in kept}
        file.write_text(yaml.safe_dump({**values, "modalities": modalities}, sort_keys=False), encoding="utf-8")
        files[title] = file
    return files


def omib(*words: object) -> None:
    subprocess.run(
        [sys.executable, "-m", "omib_cli", *map(str, words), "--quiet"], check=True, stdout=subprocess.DEVNULL
    )


def accuracy(report: Path) -> float:
    found = json.loads((report / "report.json").read_text(encoding="utf-8"))
    return float(found["runs"][0]["metrics"]["test"]["fused"]["accuracy"]["value"])


def cell(options: argparse.Namespace, recipe: Path, seed: int, noise: dict[str, float]) -> float:
    """Test accuracy of one trained network on one test set."""
    folder = options.out / recipe.stem / f"seed-{seed}"
    shared = ("--threads", options.threads)
    if not noise:
        omib("run", recipe, "--input", options.input, "--seed", seed, "--out", folder, *shared)
        return accuracy(folder / "report")
    name, strength = next(iter(noise.items()))
    stem = f"{name}-{strength:.2f}"
    dataset, embedding, report = folder / f"{stem}.h5", folder / f"{stem}.h5ad", folder / f"report-{stem}"
    setting = f"data.corrupt={json.dumps(noise)}"
    omib("prepare", recipe, "--input", options.input, "--seed", seed, "--set", setting, "-o", dataset)
    omib("embed", dataset, "--model", folder / "model.safetensors", "-o", embedding, *shared)
    omib("evaluate", embedding, "-o", report)
    return accuracy(report)


def main() -> None:
    options = arguments()
    lines = ["| test samples |", "| --- |"]
    columns: dict[str, dict[str, list[float]]] = {}
    for title, recipe in variants(options).items():
        present = load_recipe(recipe).modalities
        columns[title] = {
            kind: [cell(options, recipe, seed, noise) for seed in range(options.seeds)]
            for kind, noise in CORRUPTIONS.items()
            if all(name in present for name in noise)
        }
        lines = [lines[0] + f" {title} |", lines[1] + " --- |"]
    for kind in CORRUPTIONS:
        shown = [
            f"{fmean(found[kind]):.3f}" + (f" ± {stdev(found[kind]):.3f}" if options.seeds > 1 else "")
            if kind in found
            else "–"
            for found in columns.values()
        ]
        lines.append(f"| {kind} | {' | '.join(shown)} |")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
