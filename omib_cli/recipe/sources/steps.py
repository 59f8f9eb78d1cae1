"""Steps from what a table holds to features: each is fitted on the training samples, in the order of one list."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from omib_cli.recipe.options import Count, Options, Positive, Share


class Log1pOptions(Options):
    """ln(1 + x), of values that are 0 or more."""

    kind: Literal["log1p"] = "log1p"


class LibrarySizeOptions(Options):
    """Every sample's values are scaled to one sum: counts to be compared whatever their depth."""

    kind: Literal["library-size"] = "library-size"
    target: Positive | Literal["median"] = "median"
    """The sum; `median` is that of the training samples."""


class ClrOptions(Options):
    """Centred log ratio within a sample (Stoeckius et al. 2017), for proteins: ln(1 + x / g), g the mean of 1 + x.

    The mean is the geometric one.
    """

    kind: Literal["clr"] = "clr"


class TfIdfOptions(Options):
    """For chromatin (Stuart et al. 2021): ln(1 + 10^4 TF IDF).

    TF is a value's share of its sample, IDF the number of training samples over the sum of its column in them.
    """

    kind: Literal["tf-idf"] = "tf-idf"


class LsiOptions(Options):
    """Latent semantic indexing: the leading singular vectors, for what `tf-idf` gives."""

    kind: Literal["lsi"] = "lsi"
    components: Count = 50
    """How many."""
    drop_first: bool = True
    """Whether the first is left out, which mostly says how deeply a sample was sequenced."""


class SelectOptions(Options):
    """Some columns, by what they do over the training samples."""

    kind: Literal["select"] = "select"
    by: Literal["variance", "mad", "highly-variable", "anova"] = "variance"
    """`variance`; `mad`, the median absolute deviation; `highly-variable`, dispersion among genes of like mean (for
    counts that were normalised and logged, as scanpy's flavour `seurat`); `anova`, how far the label's classes differ
    (of a regression, how well the column alone predicts)."""
    top: Count
    """How many columns are kept."""


class PcaOptions(Options):
    """Principal components."""

    kind: Literal["pca"] = "pca"
    components: Count
    """How many."""
    whiten: bool = False
    """Whether each has variance 1 over the training samples."""


class QuantileClipOptions(Options):
    """Values beyond two quantiles of their column become these."""

    kind: Literal["clip"] = "clip"
    low: Share = 0.01
    """The lower quantile."""
    high: Annotated[float, Field(gt=0.0, le=1.0)] = 0.99
    """The upper quantile."""


class ZScoreOptions(Options):
    """Mean 0 and variance 1 of each column, for a step behind it: the source standardises features at the end."""

    kind: Literal["zscore"] = "zscore"


StepOptions = Annotated[
    Log1pOptions
    | LibrarySizeOptions
    | ClrOptions
    | TfIdfOptions
    | LsiOptions
    | SelectOptions
    | PcaOptions
    | QuantileClipOptions
    | ZScoreOptions,
    Field(discriminator="kind"),
]
