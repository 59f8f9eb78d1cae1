"""From raw counts to expression: thinned, filtered, normalised, logged, the variable genes chosen.

Everything that is learnt is learnt from the training spots: which genes are frequent and which vary, the library size
that all spots are brought to, means and principal components. The order is that of Appendix G: genes in fewer than 10
spots are dropped before library sizes are taken, variability is measured on log-normalised values.
"""

from __future__ import annotations

import warnings as python_warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError, listed
from omib_cli.runtime.seeds import derive_seed
from omib_cli.sources.matching import as_bytes, from_bytes, must_be_allowed, places_of
from omib_cli.sources.sheets import counted
from omib_cli.sources.spatial.section import TissueSection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from omib_cli.recipe.sources.spatial import ColumnsOptions, ExpressionOptions, GenesOptions

DEPTH = ["log_total_counts", "log_detected_genes"]
"""What sequencing depth is told by."""
ROUNDING = 1e-6
"""A column's deviation, in units of its largest value, below which it differs by rounding alone (float32)."""


@dataclass
class Expression:
    """Log-normalised values of the chosen genes.

    Attributes
    ----------
    values
        (N, G) float32, sparse.
    training
        (N,) spots to learn from.
    choice
        Which genes they are, and what they were normalised with.
    """

    values: csr_matrix
    training: NDArray[np.bool_]
    choice: GeneChoice


@dataclass
class GeneChoice:
    """What turns the counts of another section into the same features.

    Attributes
    ----------
    counted
        The genes whose counts make up a spot's library size.
    chosen
        G of them, the features.
    target
        The library size that spots are brought to.
    fill
        (G,) mean over the training spots, which stands in for a gene that was not measured.
    """

    counted: list[str]
    chosen: list[str]
    target: float
    fill: NDArray[np.float32]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As a model carries it."""
        import numpy as np

        names = {"counted": as_bytes(self.counted), "chosen": as_bytes(self.chosen)}
        return {**names, "target": np.array([self.target]), "fill": self.fill}

    @classmethod
    def of(cls, fitted: Mapping[str, NDArray[Any]]) -> GeneChoice:
        """From what :meth:`arrays` made."""
        counted, chosen = (from_bytes(fitted[name]) for name in ("counted", "chosen"))
        return cls(counted, chosen, float(fitted["target"][0]), fitted["fill"])


@dataclass
class Features:
    """One modality of vectors: (N, D) float32, names, and what was fitted."""

    values: NDArray[np.float32]
    names: list[str]
    fitted: dict[str, NDArray[Any]]


def thin(section: TissueSection, most: int, seed: int) -> None:
    """Thin spots with more than ``most`` counts to that number, at random without replacement, in place."""
    import anndata
    import numpy as np
    import scanpy as sc
    from scipy.sparse import csr_matrix

    data = anndata.AnnData(section.counts.copy())
    draw = derive_seed(seed, "thin", section.name) % 2**32
    sc.pp.downsample_counts(data, counts_per_cell=most, random_state=draw, replace=False)
    section.counts = csr_matrix(data.X, dtype=np.float32)


def pooled(sections: Sequence[TissueSection], warnings: list[str]) -> tuple[csr_matrix, list[str]]:
    """Counts of all sections over the genes that every one of them has, in the first's order: (N, G), G names.

    ``warnings`` receives how many genes that are.

    Raises
    ------
    DataError
        No common gene.
    """
    import numpy as np
    from scipy.sparse import csr_matrix, vstack

    common = set(sections[0].genes).intersection(*(section.genes for section in sections[1:]))
    genes = [gene for gene in sections[0].genes if gene in common]
    if not genes:
        raise DataError(
            "the sections have no gene in common",
            where=", ".join(section.where for section in sections),
            got="; ".join(listed(section.genes) for section in sections[:2]),
            do="name genes alike everywhere (h5ad: `genes` names a column of symbols)",
        )
    if any(len(section.genes) > len(genes) for section in sections):
        shown = ", ".join(f"{section.name} {len(section.genes)}" for section in sections)
        warnings.append(f"the sections have {counted(len(genes), 'gene')} in common, which are used (of {shown})")
    parts = []
    for section in sections:
        place = {gene: index for index, gene in enumerate(section.genes)}
        parts.append(section.counts[:, np.array([place[gene] for gene in genes])])
    return csr_matrix(vstack(parts, format="csr")), genes


def express(
    counts: csr_matrix,
    genes: Sequence[str],
    training: NDArray[np.bool_],
    sections: NDArray[np.int64],
    options: ExpressionOptions,
) -> Expression:
    """Normalise counts (N, G) and choose genes; ``sections`` (N,) numbers the section of each spot.

    Raises
    ------
    DataError
        No gene is in enough training spots.
    """
    import anndata
    import numpy as np

    frequent = np.asarray((counts[training] > 0).sum(axis=0)).ravel() >= options.min_spots
    if not frequent.any():
        raise DataError(
            "no gene is in enough training spots",
            got=f"{len(genes)} genes, {int(training.sum())} training spots",
            expected=f"genes in at least {options.min_spots} spots",
            do="lower `data.expression.min_spots`",
        )
    counts = counts[:, frequent]
    names = [gene for gene, kept in zip(genes, frequent, strict=True) if kept]
    totals = np.asarray(counts.sum(axis=1)).ravel()
    target = options.target_sum
    if target == "median":
        target = float(np.median(totals[training & (totals > 0)]))
    data = anndata.AnnData(_normalised(counts, target))
    chosen = _variable(data, training, sections, options)
    values = data.X[:, chosen]
    fill = np.asarray(values[training].mean(axis=0), dtype=np.float32).ravel()
    return Expression(values, training, GeneChoice(names, [names[index] for index in chosen], target, fill))


def _normalised(counts: csr_matrix, target: float) -> csr_matrix:
    """ln(1 + counts) after every spot (N, G) is brought to the library size ``target``."""
    import anndata
    import scanpy as sc

    data = anndata.AnnData(counts)
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")  # a spot without a count stays one
        sc.pp.normalize_total(data, target_sum=target)
    sc.pp.log1p(data)
    return data.X


def express_like(
    sections: Sequence[TissueSection], choice: GeneChoice, allowed: float, warnings: list[str]
) -> NDArray[np.float32]:
    """Expression (N, G) of new sections, one after another, as that of the training spots was made.

    A gene that a section does not have counts nothing in its library sizes and has the training spots' mean, where
    that is allowed.

    Raises
    ------
    MismatchError
        No gene in common, or a larger share of the chosen genes is missing than ``allowed``.
    """
    import numpy as np

    found = []
    for section in sections:
        counts, there = matched(section, choice.counted, warnings)
        known = dict(zip(choice.counted, there.tolist(), strict=True))
        absent = [gene for gene in choice.chosen if not known[gene]]
        must_be_allowed(absent, len(choice.chosen), allowed, section.where)
        place = {gene: index for index, gene in enumerate(choice.counted)}
        values = _normalised(counts, choice.target)[:, [place[gene] for gene in choice.chosen]].toarray()
        lacking = np.array([not known[gene] for gene in choice.chosen])
        values[:, lacking] = choice.fill[lacking]
        if absent:
            warnings.append(
                f"{section.name}: not here are {counted(len(absent), 'gene')} of {len(choice.chosen)} that the model "
                f"uses, filled with the training spots' means: {listed(absent)}"
            )
        found.append(values.astype(np.float32))
    return np.concatenate(found)


def matched(section: TissueSection, genes: Sequence[str], warnings: list[str]) -> tuple[csr_matrix, NDArray[np.bool_]]:
    """Counts of the named genes (N, G), nothing where a section does not have one; and which it has (G,).

    Raises
    ------
    MismatchError
        It has none of them.
    """
    import numpy as np
    from scipy.sparse import csr_matrix

    places = places_of(genes, section.genes, section.where)
    there = places >= 0
    if not there.all():
        warnings.append(
            f"{section.name}: {int(there.sum())} of the {counted(len(genes), 'gene')} that make up library sizes are "
            "here, and theirs are taken from these"
        )
    select = csr_matrix(
        (np.ones(int(there.sum()), dtype=np.float32), (places[there], np.flatnonzero(there))),
        shape=(len(section.genes), len(genes)),
    )
    counts = csr_matrix(section.counts @ select)
    counts.sort_indices()
    return counts, there


def _variable(
    data: Any, training: NDArray[np.bool_], sections: NDArray[np.int64], options: ExpressionOptions
) -> NDArray[np.int64]:
    """Columns of the highly variable genes, in their order."""
    import anndata
    import numpy as np
    import scanpy as sc

    if data.n_vars <= options.top_genes:
        return np.arange(data.n_vars)
    rows = training
    if options.top_genes_from == "first":
        rows = training & (sections == sections[training][0])
    numbers = sections[rows]
    fit = anndata.AnnData(data.X[rows])
    fit.obs["section"] = [f"s{number:06d}" for number in numbers]
    fit.obs["section"] = fit.obs["section"].astype("category")
    several = len(np.unique(numbers)) > 1
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")  # bins of a single gene, and pandas' own future
        sc.pp.highly_variable_genes(
            fit, n_top_genes=options.top_genes, flavor="seurat", batch_key="section" if several else None
        )
    return np.flatnonzero(fit.var["highly_variable"].to_numpy())


def gene_features(expression: Expression, options: GenesOptions) -> Features:
    """Expression as a modality: genes, standardised or not, or their principal components; see :func:`columns`."""
    import numpy as np

    values = expression.values.toarray().astype(np.float32)
    features = columns(values, expression.choice.chosen, expression.training, options)
    return replace(features, fitted={**features.fitted, **expression.choice.arrays()})


def columns(
    values: NDArray[np.float32], names: list[str], training: NDArray[np.bool_], options: ColumnsOptions
) -> Features:
    """Columns (N, D), standardised or not, or their principal components.

    Components are those of the training spots; their signs are fixed by scikit-learn (the largest loading of each is
    positive), so that equal data give equal scores.

    Raises
    ------
    DataError
        More components than training spots or columns, or whitened ones that do not vary.
    """
    fitted: dict[str, NDArray[Any]] = {}
    if options.standardise:
        values, fitted = _standardised(values, training)
    if options.components is None:
        return Features(values, names, fitted)
    most = min(int(training.sum()) - 1, values.shape[1])
    if options.components > most:
        raise DataError(
            "more principal components than the training spots can give",
            got=f"components: {options.components}",
            expected=f"{most} at most ({int(training.sum())} training spots, {values.shape[1]} {options.feature})",
            do="lower `components`",
        )
    return _components(values, training, options, fitted)


def columns_like(
    values: NDArray[np.float32], names: list[str], fitted: Mapping[str, NDArray[Any]], options: ColumnsOptions
) -> NDArray[np.float32]:
    """Columns (N, D) as :func:`columns` made those of the training spots; nothing is fitted."""
    import numpy as np

    if options.standardise:
        values = ((values - fitted["offset"]) / fitted["scale"]).astype(np.float32)
    if options.components is None:
        return values
    from sklearn.decomposition import PCA

    model = PCA(options.components, whiten=options.whiten)
    model.components_, model.mean_, model.explained_variance_ = (
        fitted[name] for name in ("loadings", "centre", "variance")
    )
    return np.asarray(model.transform(values), dtype=np.float32)


def depth_features(counts: csr_matrix, genes: Sequence[str], training: NDArray[np.bool_]) -> Features:
    """ln(1 + total counts) and ln(1 + detected genes) of each spot, standardised: (N, 2)."""
    values, fitted = _standardised(_depth(counts), training)
    return Features(values, DEPTH, {**fitted, "depth_genes": as_bytes(genes)})


def depth_like(counts: csr_matrix, offset: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float32]:
    """The first columns of :func:`depth_features`, as many as ``offset`` (D,) has; nothing is fitted."""
    import numpy as np

    return ((_depth(counts)[:, : len(offset)] - offset) / scale).astype(np.float32)


def _depth(counts: csr_matrix) -> NDArray[np.float64]:
    import numpy as np

    totals = np.asarray(counts.sum(axis=1)).ravel()
    detected = np.asarray((counts > 0).sum(axis=1)).ravel()
    return np.log1p(np.column_stack([totals, detected]))  # type: ignore[no-any-return]


def with_depth(features: Features, counts: csr_matrix, genes: Sequence[str], training: NDArray[np.bool_]) -> Features:
    """One more column: ln(1 + total counts), standardised."""
    import numpy as np

    depth = depth_features(counts, genes, training)
    fitted = {"depth_offset": depth.fitted["offset"][:1], "depth_scale": depth.fitted["scale"][:1]}
    fitted["depth_genes"] = depth.fitted["depth_genes"]
    values = np.concatenate([features.values, depth.values[:, :1]], axis=1)
    return Features(values, [*features.names, depth.names[0]], {**features.fitted, **fitted})


def _standardised(
    values: NDArray[np.floating[Any]], training: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]]]:
    """Mean 0 and variance 1 over the training spots, constant columns centred only; and offset and scale (D,)."""
    import numpy as np

    known = values[training]
    offset = known.mean(axis=0, dtype=np.float64)
    scale = known.std(axis=0, dtype=np.float64)
    scale = np.where(scale > ROUNDING * np.abs(known).max(axis=0), scale, 1.0)
    scaled = ((values - offset) / scale).astype(np.float32)
    return scaled, {"offset": offset, "scale": scale}


def _components(
    values: NDArray[np.float32],
    training: NDArray[np.bool_],
    options: ColumnsOptions,
    fitted: dict[str, NDArray[Any]],
) -> Features:
    import numpy as np
    from sklearn.decomposition import PCA

    known = values[training].astype(np.float64)
    if not np.ptp(known, axis=0).any():
        _must_vary(np.zeros(1), options)
    few = (options.components or 0) < min(known.shape) / 4  # then Lanczos iterations are much faster, and as exact
    solver = "arpack" if few else "full"
    model = PCA(options.components, whiten=options.whiten, svd_solver=solver, random_state=0).fit(known)
    if options.whiten:
        _must_vary(np.sqrt(model.explained_variance_), options)
    scores = model.transform(values).astype(np.float32)
    loadings = {"loadings": model.components_, "centre": model.mean_, "variance": model.explained_variance_}
    names = [f"PC{number + 1}" for number in range(scores.shape[1])]
    return Features(scores, names, {**fitted, **{key: np.asarray(array) for key, array in loadings.items()}})


def _must_vary(deviations: NDArray[np.float64], options: ColumnsOptions) -> None:
    """Refuse principal components, by their deviations in decreasing order, of which some are rounding errors."""
    there = int((deviations > ROUNDING * deviations[0]).sum())
    if there < len(deviations):
        raise DataError(
            "principal components that do not vary over the training spots",
            got=f"components: {options.components}, of which {there} vary",
            expected=f"{there} at most",
            do="lower `components`, or take the modality out",
        )
