"""The steps from what a table holds to features, each fitted on training samples and applied to all and to new ones.

A step works on blocks of rows (dense, or CSR of float32), so that a matrix that is read from a file by blocks is never
in memory beyond the columns that are kept. Sums are of float64.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError
from omib_cli.recipe.sources import steps as options_of
from omib_cli.sources.block_values import columns_scaled, mapped, moments, rows_scaled, sums_of
from omib_cli.sources.column_scores import (
    KnownLabels,
    Training,
    anova,
    columns_of,
    dispersions,
    mad,
    mean_and_variance,
    stacked,
    variance,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TableStep(ABC):
    """One step.

    Parameters
    ----------
    options
        From the recipe.
    width
        Columns that come in.
    fitted
        What :meth:`fit` found, for a step that has been fitted before.
    """

    narrows = False
    """Whether fewer columns come out than come in: what comes out is then kept in memory."""
    of_whole_rows = False
    """Whether a value depends on the other columns of its sample."""

    def __init__(self, options: Any, width: int, fitted: Mapping[str, NDArray[Any]] | None = None) -> None:
        self.options, self.width = options, width
        self.fitted: dict[str, NDArray[Any]] = dict(fitted or {})

    def fit(self, training: Training, labels: KnownLabels) -> None:  # noqa: B027
        """Learn from the training rows; some steps have nothing to learn."""

    @abstractmethod
    def apply(self, block: Any) -> Any:
        """A block (rows, D) after this step."""

    def names(self, names: list[str]) -> list[str]:
        """The names of the columns that come out."""
        return names


class Log1p(TableStep):
    """ln(1 + x)."""

    def apply(self, block: Any) -> Any:
        """Element by element."""
        import numpy as np

        return mapped(not_negative(block, "log1p"), np.log1p)


class LibrarySize(TableStep):
    """Scale each sample to one sum."""

    of_whole_rows = True

    def fit(self, training: Training, labels: KnownLabels) -> None:
        """The median sum of the training samples that have any."""
        import numpy as np

        target = self.options.target
        if target == "median":
            sums = np.concatenate([sums_of(not_negative(block, "library-size")) for block, _ in training()])
            target = float(np.median(sums[sums > 0])) if (sums > 0).any() else 1.0
        self.fitted = {"target": np.array([target])}

    def apply(self, block: Any) -> Any:
        """A sample without a count stays one."""
        import numpy as np

        sums = sums_of(not_negative(block, "library-size"))
        return rows_scaled(block, self.fitted["target"][0] / np.where(sums > 0, sums, 1.0))


class Clr(TableStep):
    """Centred log ratio within a sample."""

    of_whole_rows = True

    def apply(self, block: Any) -> Any:
        """ln(1 + x / g) with ln g the mean of ln(1 + x)."""
        import numpy as np

        logs = mapped(not_negative(block, "clr"), np.log1p)
        return mapped(rows_scaled(block, np.exp(-sums_of(logs) / self.width)), np.log1p)


class TfIdf(TableStep):
    """Term frequency, inverse document frequency."""

    of_whole_rows = True

    def fit(self, training: Training, labels: KnownLabels) -> None:
        """The number of training samples over the sum of each column in them."""
        import numpy as np

        total, count = np.zeros(self.width), 0
        for block, _ in training():
            total, count = total + moments(not_negative(block, "tf-idf"))[1], count + block.shape[0]
        self.fitted = {"idf": count / np.maximum(total, 1.0)}

    def apply(self, block: Any) -> Any:
        """A sample without a count stays one."""
        import numpy as np

        sums = sums_of(not_negative(block, "tf-idf"))
        return mapped(
            columns_scaled(rows_scaled(block, 1e4 / np.where(sums > 0, sums, 1.0)), self.fitted["idf"]), np.log1p
        )


class Select(TableStep):
    """Keep some columns."""

    narrows = True
    logged = False
    """Whether values are logarithms by now, which ``highly-variable`` must know."""

    def fit(self, training: Training, labels: KnownLabels) -> None:
        """Score every column; the best are kept, in their order."""
        import numpy as np

        measure = {"variance": variance, "mad": mad, "highly-variable": self._dispersion, "anova": anova}
        scores = np.nan_to_num(measure[self.options.by](training, labels, self.width), nan=-np.inf)
        best = np.argsort(-scores, kind="stable")[: self.options.top]
        self.fitted = {"kept": np.sort(best).astype(np.int64)}

    def apply(self, block: Any) -> Any:
        """The kept columns."""
        return block[:, self.fitted["kept"]]

    def names(self, names: list[str]) -> list[str]:
        """Of the kept columns."""
        return [names[place] for place in self.fitted["kept"].tolist()]

    def _dispersion(self, training: Training, labels: KnownLabels, width: int) -> NDArray[np.float64]:
        import numpy as np

        def counts() -> Iterator[tuple[Any, NDArray[np.float64]]]:
            yield from ((mapped(block, np.expm1) if self.logged else block, own) for block, own in training())

        return dispersions(*mean_and_variance(counts, width))


class Pca(TableStep):
    """Principal components."""

    narrows = True

    def fit(self, training: Training, labels: KnownLabels) -> None:
        """Components of the training rows; a missing value counts as its column's mean."""
        import numpy as np
        from sklearn.decomposition import PCA

        values = stacked(training)
        most = min(values.shape[0] - 1, self.width)
        _must_be_possible("pca", self.options.components, most, values.shape)
        if isinstance(values, np.ndarray):
            fill = np.nan_to_num(np.nanmean(values, axis=0))
            values = np.where(np.isnan(values), fill, values)
        else:
            fill = np.zeros(self.width)
        few = not isinstance(values, np.ndarray) or self.options.components < min(values.shape) / 4
        model = PCA(self.options.components, svd_solver="arpack" if few else "full", random_state=0).fit(values)
        scale = np.sqrt(model.explained_variance_) if self.options.whiten else np.ones(self.options.components)
        scale = np.where(scale > 0, scale, 1.0)
        self.fitted = {"fill": fill, "centre": np.asarray(model.mean_), "loadings": model.components_ / scale[:, None]}

    def apply(self, block: Any) -> Any:
        """Scores (rows, K)."""
        import numpy as np

        loadings = self.fitted["loadings"].T
        if isinstance(block, np.ndarray):
            block = np.where(np.isnan(block), self.fitted["fill"], block)
        return np.asarray(block @ loadings) - self.fitted["centre"] @ loadings

    def names(self, names: list[str]) -> list[str]:
        """PC1, PC2, ..."""
        return [f"PC{number + 1}" for number in range(len(self.fitted["loadings"]))]


class Lsi(TableStep):
    """Leading singular vectors."""

    narrows = True

    def fit(self, training: Training, labels: KnownLabels) -> None:
        """Of the training rows, not centred."""
        import numpy as np
        from sklearn.decomposition import TruncatedSVD

        values = stacked(training)
        wanted = self.options.components + self.options.drop_first
        _must_be_possible("lsi", wanted, min(values.shape) - 1, values.shape)
        if isinstance(values, np.ndarray) and np.isnan(values).any():
            raise DataError("`lsi` of a table with missing values", do="leave it out, or take `pca`")
        model = TruncatedSVD(wanted, algorithm="arpack", random_state=0).fit(values)
        self.fitted = {"loadings": model.components_[int(self.options.drop_first) :]}

    def apply(self, block: Any) -> Any:
        """Scores (rows, K)."""
        import numpy as np

        return np.asarray(block @ self.fitted["loadings"].T)

    def names(self, names: list[str]) -> list[str]:
        """LSI2, LSI3, ..., counted from the first, whether or not it is there."""
        first = 1 + int(self.options.drop_first)
        return [f"LSI{number + first}" for number in range(len(self.fitted["loadings"]))]


class QuantileClip(TableStep):
    """Quantiles of the training rows are the limits."""

    def fit(self, training: Training, labels: KnownLabels) -> None:
        """Of each column, over the values that are there."""
        import numpy as np

        shares = [self.options.low, self.options.high]
        found = [np.nanquantile(columns, shares, axis=0) for columns in columns_of(training)]
        self.fitted = dict(zip(("low", "high"), np.nan_to_num(np.concatenate(found, axis=1)), strict=True))

    def apply(self, block: Any) -> Any:
        """Element by element; sparse if zeros stay zeros."""
        import numpy as np

        low, high = self.fitted["low"], self.fitted["high"]
        if isinstance(block, np.ndarray):
            return np.clip(block, low, high)
        if (low > 0).any() or (high < 0).any():
            return np.clip(block.toarray(), low, high)
        clipped = block.copy()
        clipped.data = np.clip(block.data, low[block.indices], high[block.indices]).astype(block.dtype)
        return clipped


class ZScore(TableStep):
    """Mean 0 and variance 1."""

    def fit(self, training: Training, labels: KnownLabels) -> None:
        """Mean and deviation over the values that are there."""
        import numpy as np

        mean, variance = mean_and_variance(training, self.width)
        self.fitted = {"offset": np.nan_to_num(mean), "scale": np.where(variance > 0, np.sqrt(variance), 1.0)}

    def apply(self, block: Any) -> Any:
        """Element by element, dense."""
        dense = block.toarray() if hasattr(block, "toarray") else block
        return (dense - self.fitted["offset"]) / self.fitted["scale"]


def not_negative(block: Any, kind: str) -> Any:
    """Refuse what no logarithm can be taken of."""
    import numpy as np

    values = block if isinstance(block, np.ndarray) else block.data
    if values.size and np.nanmin(values) < 0:
        raise DataError(
            f"`{kind}` of negative values",
            got=float(np.nanmin(values)),
            expected="counts, or other values of 0 or more",
            do="leave the step out: the values may be logarithms, or standardised, already",
        )
    return block


def _must_be_possible(kind: str, wanted: int, most: int, shape: Sequence[int]) -> None:
    if wanted > most:
        raise DataError(
            f"more components than the training samples can give: `{kind}`",
            got=wanted,
            expected=f"{most} at most ({shape[0]} training samples, {shape[1]} columns)",
            do="lower `components`",
        )


STEPS: Mapping[type[Any], type[TableStep]] = {
    options_of.Log1pOptions: Log1p,
    options_of.LibrarySizeOptions: LibrarySize,
    options_of.ClrOptions: Clr,
    options_of.TfIdfOptions: TfIdf,
    options_of.LsiOptions: Lsi,
    options_of.SelectOptions: Select,
    options_of.PcaOptions: Pca,
    options_of.QuantileClipOptions: QuantileClip,
    options_of.ZScoreOptions: ZScore,
}
