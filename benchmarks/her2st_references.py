"""Simple scores of cancer in HER2ST, on the very spots that the recipes her2st-genes and her2st are judged on.

Run ``python benchmarks/her2st_references.py FOLDER --markdown table.md`` with the input folder of these recipes. What
is learnt is learnt from the normal spots of the training sections, but for the supervised reference, which also sees
their cancer labels, and the direction of a single number (counts, darkness), which is read off the test labels.

Library sizes are brought to 10,000 counts, not to the training median (1,500): log(1 + x) of values scaled up keeps
more of the noise of shallow spots, and with it more of depth, the strongest single signal. ``--target-sum median``
shows what is left without: distance to the centre .787 instead of .854, one-class SVM .744 instead of .844.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from omib_cli.artifacts import format as fmt
from omib_cli.recipe.load import load_recipe
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.sources.spatial import SpatialOptions
from omib_cli.sources.spatial.colours import colours
from omib_cli.sources.spatial.expression import express, pooled, thin
from omib_cli.sources.spatial.graph import mean_around, nearest_spots, rows_of_neighbours
from omib_cli.sources.spatial.labels import anomalies
from omib_cli.sources.spatial.patches import plan_patches
from omib_cli.sources.spatial.reading import read_sections
from omib_cli.tasks.anomaly import anomaly_metrics

COMPONENTS = 50
SMOOTH = 8
"""Spots around each that the recipes average over."""
TARGET_SUM = 10_000.0
TEST = fmt.SPLITS.index("test")
METRICS = ("auc", "f1", "average_precision")


@dataclass
class Spots:
    """Every spot of every section, those left out of the dataset included.

    Attributes
    ----------
    ids
        (N,) names as in the dataset.
    section
        (N,) names of sections.
    test
        (N,) whether the section is judged.
    truth
        (N,) 0 normal, 1 cancer, NaN unknown.
    totals
        (N,) counts.
    genes
        (N, G) log-normalised expression, mean 0 and variance 1 over the normal training spots.
    colours
        (N, 27) statistics of patches, or None without images.
    neighbours
        (N, K) rows of the nearest spots, as in the dataset: of normal training spots only such spots.
    """

    ids: np.ndarray
    section: np.ndarray
    test: np.ndarray
    truth: np.ndarray
    totals: np.ndarray
    genes: np.ndarray
    colours: np.ndarray | None
    neighbours: np.ndarray

    @property
    def normal(self) -> np.ndarray:
        """(N,) the training spots."""
        return ~self.test & (self.truth == 0)


def read(recipe: Recipe, folder: Path, most: int | None, target: float | str) -> Spots:
    """Read the recipe's sections as ``omib prepare`` does, at most ``most`` counts a spot, scaled to ``target``."""
    options = recipe.data
    assert isinstance(options, SpatialOptions)
    places = read_sections(options, folder)
    for place in places:
        if most is not None:
            thin(place.section, most, recipe.seed)
    ids = np.array([f"{place.name}_{spot}" for place in places for spot in place.section.spots])
    names = np.concatenate([np.full(len(place.section.spots), place.name) for place in places])
    test = np.concatenate([np.full(len(place.section.spots), place.split == TEST) for place in places])
    truth = np.concatenate([anomalies(place.labels, place.label_options) for place in places])
    counts, genes = pooled([place.section for place in places])
    numbers = np.unique(names, return_inverse=True)[1]
    normal = ~test & (truth == 0)
    steps = options.expression.model_copy(update={"target_sum": target})
    expression = express(counts, genes, normal, numbers, steps)
    values = expression.values.toarray()
    totals = np.asarray(counts.sum(axis=1)).ravel()
    patch = options.feature("image") if "image" in recipe.modalities else None
    found = [plan_patches(place.section, place.pitch_um, patch) for place in places] if patch is not None else []
    statistics = np.concatenate([colours(plan) for plan in found]) if found else None
    near = np.full((len(ids), SMOOTH), -1, dtype=np.int32)
    for place in places:
        rows = place.offset + np.arange(len(place.section.spots))
        rows = np.where(test[rows] | normal[rows], rows, -1)
        near = rows_of_neighbours(nearest_spots(place.section.positions, SMOOTH), rows, near)
    return Spots(
        ids, names, test, truth, totals, StandardScaler().fit(values[normal]).transform(values), statistics, near
    )


def components(spots: Spots) -> np.ndarray:
    """(N, 50) principal components of expression, fitted on the training spots."""
    model = PCA(COMPONENTS, svd_solver="full").fit(spots.genes[spots.normal])
    return model.transform(spots.genes)


def mahalanobis(values: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Distance from the training spots' mean in the metric of their shrunk covariance, (N, D) to (N,)."""
    scaled = StandardScaler().fit(values[normal]).transform(values)
    return LedoitWolf().fit(scaled[normal]).mahalanobis(scaled)


def from_centre(values: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Distance from the training spots' mean, (N, D) to (N,)."""
    return np.linalg.norm(values - values[normal].mean(axis=0), axis=1)


def supervised(spots: Spots, values: np.ndarray) -> np.ndarray:
    """Logistic regression on the labels of the training sections."""
    seen = ~spots.test & np.isfinite(spots.truth)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=5000))
    return model.fit(values[seen], spots.truth[seen]).decision_function(values)


def gene_scores(spots: Spots) -> Iterator[tuple[str, np.ndarray]]:
    """Scores that need no image."""
    scores = components(spots)
    white = scores / scores[spots.normal].std(axis=0)
    yield "total counts", either_way(spots, spots.totals)
    yield "distance to the centre of 50 PCs", from_centre(scores, spots.normal)
    svm = OneClassSVM(nu=0.1, gamma="scale").fit(white[spots.normal])
    yield "one-class SVM on whitened PCs", -svm.decision_function(white)
    yield "Mahalanobis on 50 PCs", mahalanobis(scores, spots.normal)
    yield (
        "distance to the centre of 50 whitened PCs, averaged over 8 neighbours",
        from_centre(mean_around(white, spots.neighbours), spots.normal),
    )
    yield "supervised logistic regression on 50 PCs", supervised(spots, scores)


def image_scores(spots: Spots) -> Iterator[tuple[str, np.ndarray]]:
    """Scores of patches, and of genes and patches together."""
    assert spots.colours is not None
    scores = components(spots)
    genes, colours = (mahalanobis(values, spots.normal) for values in (scores, spots.colours))
    yield "mean patch darkness", either_way(spots, -spots.colours[:, :3].mean(axis=1))
    yield "Mahalanobis on 27 colour statistics", colours
    yield "Mahalanobis on both together", mahalanobis(np.column_stack([scores, spots.colours]), spots.normal)
    yield (
        "sum of both Mahalanobis distances, each by its training mean",
        sum(one / one[spots.normal].mean() for one in (genes, colours)),
    )


def either_way(spots: Spots, score: np.ndarray) -> np.ndarray:
    """A number in the direction in which it tells cancer better, read off the test labels."""
    found = [per_section(spots, sign * score)["auc"].mean() for sign in (1, -1)]
    return score if found[0] >= found[1] else -score


def per_section(spots: Spots, score: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics of a score in each test section, in the order in which sections come."""
    found = []
    for name in dict.fromkeys(spots.section[spots.test]):
        rows = (spots.section == name) & np.isfinite(spots.truth)
        found.append(anomaly_metrics(score[rows], spots.truth[rows] == 1))
    return {key: np.array([one[key] for one in found]) for key in METRICS}


def table(title: str, spots: Spots, scores: Callable[[Spots], Iterator[tuple[str, np.ndarray]]], draws: int) -> str:
    """A Markdown table: a score in each row, a section in each column, the mean last."""
    sections = list(dict.fromkeys(spots.section[spots.test]))
    lines = [
        f"### {title}",
        "",
        f"| AUC / F1 / AP | {' | '.join(sections)} | mean |",
        "|---" * (len(sections) + 2) + "|",
    ]
    for name, score in scores(spots):
        lines.append(_row(name, per_section(spots, score)))
    rng = np.random.default_rng(0)
    random = [per_section(spots, rng.random(len(spots.truth))) for _ in range(draws)]
    mean = {key: np.mean([one[key] for one in random], axis=0) for key in METRICS}
    lines.append(_row(f"random (mean of {draws})", mean))
    return "\n".join(lines)


def _row(name: str, found: dict[str, np.ndarray]) -> str:
    cells = [*zip(*(found[key] for key in METRICS), strict=True), tuple(found[key].mean() for key in METRICS)]
    return f"| {name} | {' | '.join(' / '.join(f'{value:.3f}' for value in cell) for cell in cells)} |"


def _target(text: str) -> float | str:
    return text if text == "median" else float(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--markdown", type=Path, help="also write the tables here")
    parser.add_argument("--target-sum", type=_target, default=TARGET_SUM, help="library size, or `median`")
    parser.add_argument("--thin", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=200, help="random scores")
    arguments = parser.parse_args()
    genes, both = load_recipe("her2st-genes"), load_recipe("her2st")
    found = []
    for most, depth in ((None, "full depth"), (arguments.thin, f"every spot thinned to {arguments.thin:,} counts")):
        title = f"Genes alone, {depth}"
        found.append(
            table(title, read(genes, arguments.folder, most, arguments.target_sum), gene_scores, arguments.draws)
        )
    spots = read(both, arguments.folder, None, arguments.target_sum)
    for scores, title in ((gene_scores, "genes"), (image_scores, "histology")):
        found.append(table(f"B4 and C2 to A1, {title}", spots, scores, arguments.draws))
    text = "\n\n".join(found) + "\n"
    print(text)
    if arguments.markdown:
        arguments.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
