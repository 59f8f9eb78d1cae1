"""Tables of new samples: their features found by name, their values prepared with what a model's training data taught.

Nothing is fitted here. Labels may be there or not; a sample may lack a modality, and so may all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset_writer import DatasetPlan, ModalityPlan
from omib_cli.artifacts.prepared import Prepared, PreparedModality
from omib_cli.errors import MismatchError, UsageError, listed
from omib_cli.recipe.sources.common import NONE
from omib_cli.sources.block_values import gathered
from omib_cli.sources.categories import encoded, unpacked
from omib_cli.sources.file_names import is_there
from omib_cli.sources.joining import SampleRows, join_new
from omib_cli.sources.labels import known_labels
from omib_cli.sources.matching import from_bytes, must_be_allowed, places_of, rounded_up
from omib_cli.sources.matrices import DenseMatrix, Matrix
from omib_cli.sources.preprocessing import Fitted, ScaledRows, missing_among, must_be_complete, must_be_finite
from omib_cli.sources.rows import doubtful_labels, labels_that_are_there
from omib_cli.sources.sheet_rows import take_unnamed_ids
from omib_cli.sources.sheets import counted
from omib_cli.sources.step_list import apply_steps, needed
from omib_cli.sources.survival import known_survival
from omib_cli.sources.table_files import FeatureTable, Files, Labels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.schema import Recipe
    from omib_cli.recipe.sources.common import FileOptions, LabelOptions
    from omib_cli.recipe.sources.steps import StepOptions
    from omib_cli.recipe.sources.tables import TableOptions, TablesOptions


class NewFiles(NamedTuple):
    """The files of new samples: of each modality that there is, and of the labels, if there are any."""

    tables: dict[str, TableOptions]
    labels: LabelOptions | None


class NewRows(NamedTuple):
    """New samples as the dataset will hold them: the plan, values and presence by modality, labels (N,)."""

    plan: DatasetPlan
    values: dict[str, NDArray[np.float32] | ScaledRows]
    present: dict[str, NDArray[np.bool_]]
    labels: NDArray[np.float64]


def new_files(options: TablesOptions, files: Files) -> NewFiles:
    """Which of the recipe's files are those of the new samples.

    A recipe that has a file for each split says nothing about new samples: the one of them that is there is taken.

    Raises
    ------
    UsageError
        Several of a modality's files are there, or nothing is of any modality.
    DataError
        A file is not there.
    """
    tables = {}
    for name, one in options.tables.items():
        found = _there(one, files)
        if len(found) != 1:
            wanted = listed(_in_words(one))
            beside = sorted(path.name for path in files.folder.iterdir())
            raise UsageError(
                f"which file of {name!r} holds the new samples?",
                where=files.folder,
                got=f"{listed(found)} are there" if found else f"no {wanted}; there are: {listed(beside)}",
                do=f"--modality {name}=FILE names it; --modality {name}={NONE} if these samples have no {name}",
            )
        if found != [NONE]:
            tables[name] = one.model_copy(update={"files": found[0]})
    if not tables:
        raise UsageError("no modality is left to predict from", do="name the file of one: --modality NAME=FILE")
    return NewFiles(tables, new_labels(options.labels, files))


def _named(options: FileOptions) -> list[str | list[str]]:
    """The file, or list of them, that is named; of those for each split each."""
    return list(options.files.values()) if isinstance(options.files, dict) else [options.files]


def _in_words(options: FileOptions) -> list[str]:
    """Every file that is named."""
    return [file for names in _named(options) for file in ([names] if isinstance(names, str) else names)]


def _there(options: FileOptions, files: Files) -> list[str | list[str]]:
    """Those of the named files that are there, or are said to be none."""
    return [names for names in _named(options) if names == NONE or is_there(files.folder, names)]


def new_labels(options: LabelOptions, files: Files) -> LabelOptions | None:
    """Where the labels of new samples are, which are there for evaluation only; None if there are none.

    Where it is not clear which of several they are, there are none, and that is said.
    """
    found = [names for names in _there(options, files) if names != NONE]
    if len(found) > 1:
        files.warnings.append(f"labels are not read: {listed(found)} are there, and --labels FILE names none of them")
        return None
    if not found:
        if (wanted := _in_words(options)) != [NONE]:
            files.warnings.append(f"no {listed(wanted)}: these samples have no labels")
        return None
    return options.model_copy(update={"files": found[0], "split": None})


def prepare_new(recipe: Recipe, options: TablesOptions, files: Files, like: Prepared) -> NewRows:
    """Read, match and scale everything.

    Raises
    ------
    DataError
        The first thing that cannot be used, with its place.
    MismatchError
        Features that the model needs are not there.
    """
    import numpy as np

    chosen = new_files(options, files)
    ids = _id_names(options, chosen)
    tables = {
        name: _read(one, options.labels, ids, like.modalities[name], files) for name, one in chosen.tables.items()
    }
    for table in tables.values():
        must_be_finite(table.values, table.name, table.columns, table.where)
    labels = None if chosen.labels is None else files.labels_if_any(chosen.labels, ids)
    if options.join == "id":
        take_unnamed_ids({**tables, **({} if labels is None else {"labels": labels})}, files.warnings)
    joined = join_new(tables, labels, options.join, recipe.name)
    files.warnings.extend(f"{count} {why}" for why, count in joined.dropped.items() if count)
    count = len(joined.ids)
    plans, present, missing = {}, {}, {}
    values: dict[str, NDArray[np.float32] | ScaledRows] = {}
    for name, one in like.modalities.items():
        rows = joined.rows.get(name, np.full(count, -1))
        present[name] = rows >= 0
        missing[name] = int(np.sum(~present[name]))
        values[name] = np.zeros((count, *one.shape), dtype=np.float32)
        if present[name].any():
            steps, given = options.tables[name].preprocess, (options.impute, like.allow_missing, files.warnings)
            if steps or tables[name].large:
                values[name] = _stepped(tables[name], rows, one, steps, *given)
            else:
                values[name] = _prepared(tables[name], rows, one, *given)
        plans[name] = ModalityPlan(one.shape, one.kind, one.features, one.fitted, one.config)
    facts: dict[str, Any] = {"missing": {name: lacking for name, lacking in missing.items() if lacking}}
    files.warnings.extend(
        f"{counted(lacking, 'sample')} of {count} without {name}: kept and masked"
        for name, lacking in facts["missing"].items()
    )
    plan = DatasetPlan(
        ids=joined.ids,
        split=np.full(count, fmt.ALL_SPLITS.index(fmt.NEW), dtype=np.uint8),
        task=recipe.task.kind,
        classes=like.classes,
        modalities=plans,
        groups=_groups(labels, joined),
        facts={key: value for key, value in facts.items() if value},
    )
    return NewRows(plan, values, present, _targets(labels, joined, like.classes, options.labels, files.warnings))


def _read(
    options: TableOptions, labels: LabelOptions, ids: Sequence[str], like: PreparedModality, files: Files
) -> FeatureTable:
    """A modality's table, with columns of text made into the features that they became in training."""
    import numpy as np

    encodings = unpacked(like.fitted)
    known = {*(_inputs(like) or ()), *(one.column for one in encodings)}
    table = files.table(options, labels, ids, known, encodings)
    if table.large:
        return table
    if not table.texts:
        return table
    rows = np.arange(table.count)
    values, columns = encoded(table.values, rows, table.columns, table.texts, encodings, table.where, files.warnings)
    return replace(table, values=values, columns=columns, texts={})


def _id_names(options: TablesOptions, chosen: NewFiles) -> list[str]:
    """Names of columns of ids, which are no features in any table that is joined by row."""
    every: list[FileOptions] = [*chosen.tables.values(), options.labels]
    return list(dict.fromkeys(one.id for one in every if isinstance(one.id, str))) if options.join == "row" else []


def _prepared(
    table: FeatureTable,
    rows: NDArray[np.int64],
    like: PreparedModality,
    impute: str,
    allowed: float,
    warnings: list[str],
) -> NDArray[np.float32]:
    """Values (N, K) of the model's features, scaled as in training; ``rows`` (N,) of the table, -1 where missing."""
    fitted = Fitted.of(like.fitted)
    present = rows >= 0
    columns, absent = _columns(table, like, fitted, warnings)
    names = like.features or [str(column) for column in fitted.kept.tolist()]
    must_be_allowed(absent, len(columns), allowed, table.where)
    _must_be_there(table, rows[present], columns, names, impute, allowed, warnings)
    scaled = replace(fitted, kept=columns).apply(table.values, rows)
    must_be_finite(scaled, lambda row: table.name(rows[row]), names, f"{table.where}, after standardisation to float32")
    return scaled


def _stepped(
    table: FeatureTable,
    rows: NDArray[np.int64],
    like: PreparedModality,
    steps: Sequence[StepOptions],
    impute: str,
    allowed: float,
    warnings: list[str],
) -> ScaledRows:
    """Features (N, K) that the steps of the model's recipe make of the columns that it had in training."""
    import numpy as np

    inputs = _inputs(like) or table.columns
    columns, told = places_of(inputs, table.columns, table.where), needed(steps, like.fitted, len(inputs))
    absent = [inputs[place] for place in told.tolist() if columns[place] < 0]
    must_be_allowed(absent, len(told), 0.0 if table.large else allowed, table.where)
    if uncounted := int((columns < 0).sum()) - len(absent):
        warnings.append(f"{table.where}: {counted(uncounted, 'column')} that only counted in sums: not here")
    if table.large is not None:
        matrix: Matrix = table.large.select(columns.tolist())
    else:
        told_names = [inputs[place] for place in told.tolist()]
        _must_be_there(table, rows[rows >= 0], columns[told], told_names, impute, allowed, warnings)
        matrix = DenseMatrix(gathered(table.values, np.arange(table.count), columns))
    return ScaledRows(apply_steps(matrix, steps, like.fitted, table.where), Fitted.of(like.fitted), rows)


def _inputs(like: PreparedModality) -> list[str] | None:
    """The columns of a file that a modality was made of in training."""
    return from_bytes(like.fitted["inputs"]) if "inputs" in like.fitted else like.features


def _must_be_there(
    table: FeatureTable,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    names: Sequence[str],
    impute: str,
    allowed: float,
    warnings: list[str],
) -> None:
    """Refuse samples' missing values, unless so large a share may be missing: what is filled then is said.

    Parameters
    ----------
    rows, columns
        (N,) and (K,) of the table; -1 for a column that it does not have.
    names
        K names of the columns.
    """
    import numpy as np

    count, whole = missing_among(table.values, rows, columns).values, len(rows) * len(columns)
    lacking = count / whole
    here = np.flatnonzero(columns >= 0)
    if impute == "refuse" and lacking > allowed:
        must_be_complete(
            missing_among(table.values, rows, columns[here]),
            table.name,
            [names[place] for place in here.tolist()],
            table.where,
            do=f"--allow-missing {rounded_up(count, whole)} fills them with the training samples' means",
        )
    if lacking:
        absent = [names[place] for place in np.flatnonzero(columns < 0).tolist()]
        warnings.append(
            f"{table.where}: {100 * lacking:.3g} % of the values are missing, and filled with the training samples' own"
            + (f"; all of {counted(len(absent), 'feature')}: {listed(absent)}" if absent else "")
        )


def _columns(
    table: FeatureTable, like: PreparedModality, fitted: Fitted, warnings: list[str]
) -> tuple[NDArray[np.int64], list[str]]:
    """The table's column of each of the model's features, -1 where it has none; and the names of those.

    Raises
    ------
    MismatchError
        No feature in common; or columns without names, and not as many as in training.
    """
    if like.features is not None and table.named:
        found = places_of(like.features, table.columns, table.where)
        return found, [name for name, place in zip(like.features, found.tolist(), strict=True) if place < 0]
    if len(table.columns) != fitted.width:
        raise MismatchError(
            "columns without names cannot be told from one another, and there are not as many as in training",
            where=table.where,
            got=f"{len(table.columns)} columns",
            expected=f"{fitted.width}, in the order of the training data",
            do="give the table a header (`header: true`) or a file of names (`feature_names`)",
        )
    warnings.append(
        f"{table.where}: columns are taken in their order, since "
        + ("they have no names" if like.features else "those of the training data had no names")
    )
    return fitted.kept, []


def _groups(labels: Labels | None, joined: SampleRows) -> list[str] | None:
    """Groups of the samples, where the labels' file says them of every one."""
    if labels is None or labels.groups is None or (joined.label_rows < 0).any():
        return None
    return [labels.groups[row] for row in joined.label_rows]


def _targets(
    labels: Labels | None, joined: SampleRows, classes: Sequence[str], options: LabelOptions, warnings: list[str]
) -> NDArray[np.float64]:
    """Class index, value or signed time (N,), NaN where nobody knows it."""
    import numpy as np

    if labels is None:
        return np.full(len(joined.ids), np.nan)
    where = f"{labels.where}, column {labels.column!r}"
    warnings.extend(doubtful_labels(labels.values, where))
    said = labels_that_are_there(labels.values, labels.where)
    values = ["" if row < 0 else said[row] for row in joined.label_rows.tolist()]
    if labels.events is not None:
        events = ["" if row < 0 else labels.events[row] for row in joined.label_rows.tolist()]
        columns = (where, f"{labels.where}, column {str(options.event_column)!r}")
        return known_survival(values, events, options.event_values, joined.ids, columns, warnings)
    return known_labels(values, joined.ids, classes, where, warnings)
