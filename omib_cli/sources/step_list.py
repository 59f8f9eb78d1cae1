"""The preprocessing of one modality in the order of its list: fitted on training rows, applied to any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from omib_cli.errors import DataError, RecipeError
from omib_cli.sources.column_scores import KnownLabels, Training
from omib_cli.sources.matrices import Blocks, Matrix
from omib_cli.sources.steps import STEPS, Log1p, Select, TableStep

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.steps import StepOptions


class Applied(NamedTuple):
    """A matrix after all steps: its rows, the names of its columns, and what was fitted, by name."""

    rows: Blocks
    names: list[str]
    fitted: dict[str, NDArray[Any]]


def fit_steps(
    matrix: Matrix,
    every: Sequence[StepOptions],
    training: NDArray[np.bool_],
    labels: KnownLabels,
    names: Sequence[str],
    where: str,
) -> Applied:
    """Fit the steps one after the other and apply them to all rows.

    Parameters
    ----------
    training
        (N,) rows of the matrix to learn from.
    names
        (D,) of its columns.
    where
        The table, for messages.

    Raises
    ------
    DataError
        Negative values where a logarithm is taken, or more components than there can be.
    """
    with placed(where):
        return _fitted(matrix, every, training, labels, names)


def _fitted(
    matrix: Matrix, every: Sequence[StepOptions], training: NDArray[np.bool_], labels: KnownLabels, names: Sequence[str]
) -> Applied:
    known = list(names)
    fitted: dict[str, NDArray[Any]] = {}
    source: Matrix = matrix
    waiting: list[TableStep] = []
    logged = False
    for number, options in enumerate(every):
        step = STEPS[type(options)](options, len(known))
        if isinstance(step, Select):
            step.logged = logged
        step.fit(_training(source, list(waiting), training, labels.values), labels)
        logged = logged or isinstance(step, Log1p)
        known = step.names(known)
        fitted |= {f"step{number}.{key}": value for key, value in step.fitted.items()}
        waiting.append(step)
        if step.narrows:
            source, waiting = Blocks(list(_through(source, waiting))), []
    rows = source if isinstance(source, Blocks) and not waiting else Blocks(list(_through(source, waiting)))
    return Applied(rows, known, fitted)


@contextmanager
def placed(where: str) -> Iterator[None]:
    """Errors of the steps get the place that they are of."""
    try:
        yield
    except DataError as error:
        error.where = error.where or where
        raise


def apply_steps(matrix: Matrix, every: Sequence[StepOptions], fitted: Mapping[str, NDArray[Any]], where: str) -> Blocks:
    """New rows (N, D) through steps that have been fitted, their columns as in training."""
    steps, width = [], matrix.shape[1]
    for number, options in enumerate(every):
        prefix = f"step{number}."
        own = {key.removeprefix(prefix): value for key, value in fitted.items() if key.startswith(prefix)}
        steps.append(STEPS[type(options)](options, width, own))
        width = len(steps[-1].names([""] * width))
    with placed(where):
        return Blocks(list(_through(matrix, steps)))


def needed(every: Sequence[StepOptions], fitted: Mapping[str, NDArray[Any]], width: int) -> NDArray[np.int64]:
    """Which columns that come in are told apart by what comes out: those that the first selection keeps, else all.

    The others only count in the sums of their samples.
    """
    import numpy as np

    for number, options in enumerate(every):
        step = STEPS[type(options)]
        if step is Select:
            return fitted[f"step{number}.kept"]
        if step.narrows:
            break
    return np.arange(width)


def _through(source: Matrix, steps: Sequence[TableStep]) -> Iterator[tuple[int, Any]]:
    for start, block in source.blocks():
        for step in steps:
            block = step.apply(block)
        yield start, block


def _training(
    source: Matrix, steps: Sequence[TableStep], training: NDArray[np.bool_], labels: NDArray[np.float64]
) -> Training:
    def blocks() -> Iterator[tuple[Any, NDArray[np.float64]]]:
        for start, block in source.blocks():
            own = training[start : start + block.shape[0]]
            if not own.any():
                continue
            block = block if own.all() else block[own]
            for step in steps:
                block = step.apply(block)
            yield block, labels[start : start + len(own)][own]

    return blocks


def must_be_in_order(every: Sequence[StepOptions], recipe: str, modality: str) -> None:
    """Refuse lists that make no sense whatever the data.

    Raises
    ------
    RecipeError
        A step of counts behind one after which nothing is a count any more.
    """
    kinds = [options.kind for options in every]
    for place, kind in enumerate(kinds):
        before = set(kinds[:place]) & {"pca", "lsi", "zscore"}
        if kind in ("log1p", "library-size", "clr", "tf-idf") and before:
            raise RecipeError(
                recipe,
                [f"data.tables.{modality}.preprocess: `{kind}` is of counts, and stands behind `{min(before)}`"],
            )
