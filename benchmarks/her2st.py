"""Cancer in HER2ST: the recipes over seeds, beside simple scores of the same spots and against total counts.

    python benchmarks/her2st.py ../shared/data/her2st --seeds 5 --out /scratch/her2st --markdown her2st.md

Every run is ``omib run RECIPE --seed S`` in a folder of its own, which continues where it was interrupted. The simple
scores are those of her2st_references.py. Cells of a section are AUC / F1 / AP, means over seeds; the last columns are
means over sections:

mean
    AUC, F1 and AP, each with its sample standard deviation over seeds.
AUC at equal counts
    Of pairs of a cancer and a normal spot from the same section and the same fifth of its spots by total counts, the
    share in which the cancer spot has the higher score: what a score knows beyond total counts.
correlation
    Spearman's, with total counts. Counts are those before thinning, in all tables.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import anndata
import numpy as np
from her2st_references import METRICS, TARGET_SUM, Spots, gene_scores, image_scores, per_section, read
from scipy.stats import rankdata, spearmanr

from omib_cli.recipe.load import load_recipe

STRATA = 5
GENES = ("her2st-genes", "her2st-genes-best")
THINNED = "her2st-genes-thinned"
BOTH = ("her2st", "her2st-best")


@dataclass
class Row:
    """One score: metrics per section of every seed."""

    name: str
    found: list[dict[str, np.ndarray]] = field(default_factory=list)

    def add(self, spots: Spots, score: np.ndarray, totals: np.ndarray) -> None:
        """Judge a score (N,) of all spots."""
        self.found.append(per_section(spots, score) | against_counts(spots, score, totals))

    def cells(self) -> Iterator[str]:
        """Each section, the mean, and what counts say."""
        stacked = {key: np.array([one[key] for one in self.found]) for key in self.found[0]}
        sections = stacked[METRICS[0]].shape[1]
        for section in range(sections):
            yield " / ".join(f"{stacked[key][:, section].mean():.3f}" for key in METRICS)
        yield " / ".join(_spread(stacked[key].mean(axis=1)) for key in METRICS)
        yield _spread(stacked["equal"].mean(axis=1))
        yield f"{stacked['correlation'].mean():.2f}"


def _spread(values: np.ndarray) -> str:
    return f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")


def against_counts(spots: Spots, score: np.ndarray, totals: np.ndarray) -> dict[str, np.ndarray]:
    """In each test section the AUC at equal counts, and the correlation with counts."""
    equal, correlation = [], []
    for name in dict.fromkeys(spots.section[spots.test]):
        rows = (spots.section == name) & np.isfinite(spots.truth)
        equal.append(auc_within(score[rows], spots.truth[rows] == 1, totals[rows]))
        correlation.append(spearmanr(score[rows], totals[rows]).statistic)
    return {"equal": np.array(equal), "correlation": np.array(correlation)}


def auc_within(score: np.ndarray, truth: np.ndarray, totals: np.ndarray) -> float:
    """AUC over pairs of the same stratum of total counts."""
    stratum = ((rankdata(totals, method="ordinal") - 1) * STRATA // len(totals)).astype(int)
    won = pairs = 0.0
    for number in range(STRATA):
        here = stratum == number
        positive, negative = score[here & truth], score[here & ~truth]
        difference = positive[:, None] - negative[None]
        won += (difference > 0).sum() + 0.5 * (difference == 0).sum()
        pairs += difference.size
    return float(won / pairs)


def run(options: argparse.Namespace, recipe: str, seed: int, name: str, changes: list[str]) -> Path:
    """One run; returns its folder."""
    folder = options.out / name / f"seed-{seed}"
    command = [sys.executable, "-m", "omib_cli", "run", recipe, "--seed", str(seed), "--out", str(folder), "--quiet"]
    command += ["--threads", str(options.threads), "--input", str(options.folder)]
    for change in changes:
        command += ["--set", change]
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"{name} seed {seed}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return folder


def learned(folder: Path, spots: Spots) -> np.ndarray:
    """The score of every spot, NaN of those that are not in the dataset."""
    data = anndata.read_h5ad(folder / "embedding.h5ad")
    place = {name: row for row, name in enumerate(spots.ids)}
    scores = np.full(len(spots.ids), np.nan)
    scores[[place[name] for name in data.obs_names]] = data.obs["prediction"].to_numpy(dtype=np.float64)
    return scores


def runs_of(options: argparse.Namespace, spots: Spots, totals: np.ndarray, plan: dict[str, tuple]) -> list[Row]:
    """A row for each entry of ``plan``: label to recipe, name of its folder, changes."""
    rows = []
    for label, (recipe, name, changes) in plan.items():
        row = Row(label)
        for seed in range(options.seeds):
            row.add(spots, learned(run(options, recipe, seed, name, changes), spots), totals)
        rows.append(row)
    return rows


def simple(draws: list[Spots], kinds: tuple, totals: np.ndarray) -> list[Row]:
    """A row for each simple score, over the draws of thinned counts."""
    rows: dict[str, Row] = {}
    for spots in draws:
        for kind in kinds:
            for name, score in kind(spots):
                rows.setdefault(name, Row(name)).add(spots, score, totals)
    return list(rows.values())


def table(title: str, spots: Spots, rows: list[Row]) -> str:
    """Markdown."""
    sections = list(dict.fromkeys(spots.section[spots.test]))
    head = ["AUC / F1 / AP", *sections, "mean", "AUC at equal counts", "correlation"]
    lines = [f"### {title}", "", f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    return "\n".join([*lines, *[f"| {row.name} | {' | '.join(row.cells())} |" for row in rows]])


def one_modality(recipe: str, name: str) -> list[str]:
    """The changes that leave one modality of a recipe."""
    values = load_recipe(recipe).resolved()
    kept = {"modalities": values["modalities"], "data.features": values["data"]["features"]}
    return [f"{key}={json.dumps({name: entries[name]})}" for key, entries in kept.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True, help="a folder outside the repository")
    parser.add_argument("--threads", type=int, default=1, help="threads of each run")
    parser.add_argument("--without-paper", action="store_true", help="leave out the recipes of the paper's network")
    parser.add_argument("--markdown", type=Path, help="also write the tables here")
    options = parser.parse_args()
    paper, best = (GENES[0], BOTH[0]), (GENES[1], BOTH[1])
    recipes = [best] if options.without_paper else [paper, best]
    found = []

    deep = read(load_recipe(GENES[0]), options.folder, None, TARGET_SUM)
    rows = runs_of(options, deep, deep.totals, {one: (one, one, []) for one, _ in recipes})
    found.append(table("Genes alone, full depth", deep, rows + simple([deep], (gene_scores,), deep.totals)))

    recipe = load_recipe(THINNED)
    most = recipe.data.expression.thin
    seeds = range(options.seeds)
    draws = [read(recipe.model_copy(update={"seed": s}), options.folder, most, TARGET_SUM) for s in seeds]
    thin = [] if options.without_paper else [f"data.expression.thin={most}"]
    plan = {f"{GENES[0]}, thinned": (GENES[0], f"{GENES[0]}-thin", thin)} if thin else {}
    rows = runs_of(options, deep, deep.totals, plan | {THINNED: (THINNED, THINNED, [])})
    title = f"Genes alone, every spot thinned to {most:,} counts"
    found.append(table(title, deep, rows + simple(draws, (gene_scores,), deep.totals)))

    both = read(load_recipe(BOTH[0]), options.folder, None, TARGET_SUM)
    plan = {}
    for _, one in recipes:
        plan[f"{one}, both modalities"] = (one, one, [])
        for name in load_recipe(one).modalities:
            plan[f"{one}, {name} alone"] = (one, f"{one}-{name}", one_modality(one, name))
    rows = runs_of(options, both, both.totals, plan)
    found.append(table("B4 and C2 to A1", both, rows + simple([both], (gene_scores, image_scores), both.totals)))

    text = "\n\n".join(found) + "\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
