"""Tables of numbers: joined, divided, imputed and standardised, with every refusal said in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from omib_cli.artifacts.dataset_writer import Block, DatasetPlan, ModalityPlan
from omib_cli.errors import DataError, RecipeError, listed
from omib_cli.sources.categories import Encoding, encoded, fit_encodings, packed
from omib_cli.sources.column_scores import KnownLabels
from omib_cli.sources.copies import must_be_two, row_digests, twins
from omib_cli.sources.folds import fold_split, must_give_a_split, outside_test, said_of_folds, with_validation
from omib_cli.sources.joining import SampleRows, join
from omib_cli.sources.labels import class_labels, must_be_learnable, value_labels
from omib_cli.sources.large_looks import LookedAt, in_memory
from omib_cli.sources.leaks import Known, allowed_columns, must_not_leak
from omib_cli.sources.matching import as_bytes
from omib_cli.sources.matrices import DenseMatrix, Matrix
from omib_cli.sources.new_tables import new_files, prepare_new
from omib_cli.sources.preprocessing import (
    ScaledRows,
    far_values,
    fit,
    fit_blocks,
    missing_among,
    must_be_complete,
    must_be_finite,
)
from omib_cli.sources.rows import doubtful_labels, labels_that_are_there, must_be_groups
from omib_cli.sources.sheet_rows import take_unnamed_ids
from omib_cli.sources.sheets import counted
from omib_cli.sources.splits import TRAIN, given_split, made_split, must_keep_groups, remarks, strata
from omib_cli.sources.step_list import fit_steps, must_be_in_order
from omib_cli.sources.survival import EVENT_STRATA, event_strata, must_have_events, survival_labels
from omib_cli.sources.table_files import FeatureTable, Files, Labels, input_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.artifacts.prepared import Prepared
    from omib_cli.recipe.schema import Recipe
    from omib_cli.recipe.sources.tables import TablesOptions


class TablesSource:
    """Tables in files of any kind that is read. The tables live in memory; rows are handed out in blocks.

    Parameters
    ----------
    recipe
        Its ``data`` section says which files and how they belong together.
    input_path
        The folder that the file names are relative to.
    like
        What a trained model's data were prepared with: the tables are then of new samples for it.

    Attributes
    ----------
    memory
        Most bytes that a large sparse matrix may take, or None.

    Raises
    ------
    RecipeError, DataError
        A task that tables have no labels for; no such folder.
    """

    memory: int | None = None

    def __init__(self, recipe: Recipe, input_path: Path | None, like: Prepared | None = None) -> None:
        self.recipe = recipe
        self.options = cast("TablesOptions", recipe.data)
        self._like = like
        if recipe.task.kind == "anomaly":
            raise RecipeError(
                recipe.name,
                ["task.kind: tables have classes or values as labels; anomalies are looked for in sections of tissue"],
            )
        self._must_not_select_by_classes()
        self._files = Files(input_folder(input_path, recipe.name))
        self._values: dict[str, NDArray[np.float32] | ScaledRows] = {}
        self._present: dict[str, NDArray[np.bool_]] = {}
        self._digests: dict[str, list[bytes]] = {}
        self._labels: NDArray[np.float64] | None = None
        self._asked: tuple[float | None, float | None] = (None, None)

    def _must_not_select_by_classes(self) -> None:
        """Refuse to choose features by how they differ among times of which some are not those of an event."""
        for name, table in self.options.tables.items():
            if self._survival and any(getattr(step, "by", None) == "anova" for step in table.preprocess):
                where = f"data.tables.{name}.preprocess"
                raise RecipeError(
                    self.recipe.name, [f"{where}: `anova` does not know of censoring; select by variance or mad"]
                )

    @property
    def warnings(self) -> list[str]:
        """What is suspicious but legal, known once :meth:`plan` has looked."""
        return self._files.warnings

    def files(self) -> dict[str, str]:
        """SHA-256 of each source file by name."""
        if self._like is not None:
            chosen = new_files(self.options, Files(self._files.folder))
            return self._files.hashes([*chosen.tables.values(), *([] if chosen.labels is None else [chosen.labels])])
        return self._files.hashes(
            [*(self.options.tables[name] for name in self.recipe.modalities), self.options.labels]
        )

    def plan(self) -> DatasetPlan:
        """Read, join, divide and standardise everything.

        Raises
        ------
        DataError, RecipeError
            The first thing that cannot be used, with its place.
        """
        import numpy as np

        if self._like is not None:
            made = prepare_new(self.recipe, self.options, self._files, self._like)
            self._values, self._present, self._labels = dict(made.values), made.present, made.labels
            return made.plan
        tables, labels = self._read()
        joined = self._chosen(tables, labels, join(tables, labels, self.options.join, self.recipe.name))
        for read in (labels, *tables.values()):
            read.drop_sheets()
        for one, other in combinations(tables, 2):
            self.warnings.extend(must_be_two((one, other), tables, joined))
        where = f"{labels.where}, column {labels.column!r}"
        targets, classes = self._targets(labels, joined, where)
        groups = _groups(labels, joined)
        known = self._known(targets, bool(classes), groups)
        allowed = allowed_columns(self.options.allow_leak, tables, f"recipe {self.recipe.name}")
        for name, table in tables.items():
            if table.large is None:
                self._look_for_leaks(table, joined.rows[name], known, allowed[name])
        split = self._split(tables, labels, joined, targets, groups, classes)
        must_be_learnable(targets, split, classes, where)
        if self._survival:
            must_have_events(targets, split, where)
        test, validation = self._asked
        self.warnings.extend(remarks(split, targets, classes, test=test, validation=validation))
        order = np.argsort(split, kind="stable")
        split = split[order]
        self._labels = targets[order]
        plans, facts = {}, {"dropped_rows": {why: count for why, count in joined.dropped.items() if count}}
        missing, dropped = {}, {}
        for name, table in tables.items():
            must_be_in_order(self.options.tables[name].preprocess, self.recipe.name, name)
            rows = joined.rows[name][order]
            if table.large is None:
                plans[name], dropped[name] = self._standardise(name, table, rows, split)
            else:
                look = LookedAt(table.large.within(self.memory), rows[rows >= 0])
                plans[name], dropped[name] = self._standardise_large(name, table, look, rows, split)
                self._look_for_large_leaks(table, look, joined.rows[name], known, allowed[name])
                self._digests[name] = [look.digests[row] if row >= 0 else b"" for row in rows.tolist()]
            table.drop_values()
            missing[name] = int(np.sum(~self._present[name]))
        ids = [joined.ids[row] for row in order]
        widths = {name: len(table.columns) if table.large else plans[name].shape[0] for name, table in tables.items()}
        self.warnings.extend(twins(self._digests, widths, split, ids))
        facts["missing"] = {name: count for name, count in missing.items() if count}
        facts["dropped_columns"] = {name: len(columns) for name, columns in dropped.items() if columns}
        self._report(facts, dropped)
        return DatasetPlan(
            ids=ids,
            split=split,
            task=self.recipe.task.kind,
            classes=classes,
            modalities=plans,
            groups=None if groups is None else [groups[row] for row in order],
            facts={key: value for key, value in facts.items() if value},
        )

    def block(self, start: int, stop: int) -> Block:
        """Rows ``start`` to ``stop`` of what :meth:`plan` made."""
        assert self._labels is not None, "plan() comes first"
        return Block(
            values={name: values[start:stop] for name, values in self._values.items()},
            present={name: present[start:stop] for name, present in self._present.items()},
            labels=self._labels[start:stop],
        )

    def _read(self) -> tuple[dict[str, FeatureTable], Labels]:
        options = self.options
        every = [options.labels, *(options.tables[name] for name in self.recipe.modalities)]
        ids = list(dict.fromkeys(one.id for one in every if isinstance(one.id, str))) if options.join == "row" else []
        labels = self._files.labels(options.labels, options.split.names, ids)
        self.warnings.extend(doubtful_labels(labels.values, f"{labels.where}, column {labels.column!r}"))
        labels.values = labels_that_are_there(labels.values, labels.where)
        tables: dict[str, FeatureTable] = {}
        for name in self.recipe.modalities:
            if options.join == "id":
                for read in (labels, *tables.values()):
                    read.drop_sheets()  # only rows without ids are matched by what else is in their files
            tables[name] = self._files.table(options.tables[name], options.labels, ids)
        if options.join == "id":
            take_unnamed_ids({"labels": labels, **tables}, self.warnings)
        for table in tables.values():
            must_be_finite(table.values, table.name, table.columns, table.where)
        return tables, labels

    def _chosen(self, tables: dict[str, FeatureTable], labels: Labels, joined: SampleRows) -> SampleRows:
        """The samples that take part: all of them, but for those of a test split that a fold is to leave out."""
        fold, given = self.options.split.fold, _gives_a_split(tables, labels)
        if fold is None:
            return joined
        if fold.within == "all":
            self.warnings.extend(said_of_folds(given, fold, len(joined.ids)))
            return joined
        must_give_a_split(given, self.recipe.name)
        return joined.taken(outside_test(self._given(tables, labels, joined), self.warnings))

    def _targets(self, labels: Labels, joined: SampleRows, where: str) -> tuple[NDArray[np.float64], list[str]]:
        values = [labels.values[row] for row in joined.label_rows]
        if self.recipe.task.kind == "classification":
            return class_labels(values, where)
        if labels.events is not None:
            events, options = [labels.events[row] for row in joined.label_rows], self.options.labels
            columns = (where, f"{labels.where}, column {str(options.event_column)!r}")
            return survival_labels(values, events, options.event_values, joined.ids, columns, self.warnings), []
        return value_labels(values, joined.ids, where), []

    @property
    def _survival(self) -> bool:
        """Whether labels are times with a sign for the event."""
        return self.recipe.task.kind == "survival"

    def _known(self, targets: NDArray[np.float64], classes: bool, groups: list[str] | None) -> list[Known]:
        """What no feature may say: of survival neither the time nor the event."""
        if not self._survival:
            return [Known(targets, classes, groups)]
        return [Known(abs(targets), False, groups), Known((targets > 0).astype(float), True, None)]

    def _look_for_leaks(
        self,
        table: FeatureTable,
        rows: NDArray[np.int64],
        every: Sequence[Known],
        allowed: Sequence[int],
        width: int | None = None,
    ) -> None:
        for known in every:
            said: list[str] = []
            must_not_leak(table, rows, known, allowed, said, width)
            self.warnings.extend(one for one in said if one not in self.warnings)

    def _look_for_large_leaks(
        self,
        table: FeatureTable,
        look: LookedAt,
        rows: NDArray[np.int64],
        every: Sequence[Known],
        allowed: Sequence[int],
    ) -> None:
        """As :meth:`_look_for_leaks`, in the columns that may be such; ``rows`` (N,) as the ``known`` samples."""
        there = rows >= 0
        suspects = sorted({place for known in every for place in look.suspects(rows[there], known.chosen(there))})
        for places, some in in_memory(table, suspects):
            own = [index for index, place in enumerate(places) if place in allowed]
            self._look_for_leaks(some, rows, every, own, len(table.columns))

    def _split(
        self,
        tables: dict[str, FeatureTable],
        labels: Labels,
        joined: SampleRows,
        targets: NDArray[np.float64],
        groups: list[str] | None,
        names: list[str],
    ) -> NDArray[np.uint8]:
        """Codes (N,) of the split of each sample."""
        import numpy as np

        options = self.options.split
        kinds = np.zeros(len(targets), dtype=np.int64)
        if options.by in ("given", "stratified") or options.fold is not None:
            kinds = event_strata(targets) if self._survival else strata(targets, classes=bool(names))
        units: list[Any] = list(range(len(targets))) if groups is None else list(groups)
        if options.by == "group" and groups is None:
            raise RecipeError(
                self.recipe.name, ["data.split.by: `group` needs `data.labels.group`, a column of groups"]
            )
        if groups is not None and len(set(groups)) < 2:
            raise DataError("all samples are of one group", where=labels.where, got=repr(groups[0]))
        made = options.by != "given" or options.fold is not None
        if made and options.fold is None and _gives_a_split(tables, labels):
            self.warnings.append(f"the split that the data gives is not used (`data.split.by: {options.by}`)")
        kept, strata_names = (targets, names)
        if self._survival:  # folds keep the share of events, however the test samples are drawn
            kept, strata_names = event_strata(targets).astype(float), list(EVENT_STRATA)
        if options.fold is not None:
            split = fold_split(kept, groups, strata_names, options.fold, self.recipe.seed, labels.where)
        elif made:
            split = made_split(units, kinds, options.test, self.recipe.seed)
        else:
            split = self._given(tables, labels, joined)
            if groups is not None:
                must_keep_groups(split, groups, labels.where)
        before = split
        split = with_validation(split, kept, groups, strata_names, kinds, options, self.recipe.seed, labels.where)
        asked = options.test if made and options.fold is None else None
        self._asked = (asked, None if split is before else options.validation_share)
        return split

    def _given(self, tables: dict[str, FeatureTable], labels: Labels, joined: SampleRows) -> NDArray[np.uint8]:
        """The split that the labels' column or the files say, and that all files agree on."""
        names = self.options.split.names if self.options.labels.split is not None else {}
        sources: list[tuple[Labels | FeatureTable, NDArray[np.int64], Mapping[str, str]]] = [
            (labels, joined.label_rows, names)
        ]
        sources += [(table, joined.rows[name], {}) for name, table in tables.items()]
        said: dict[int, tuple[str, str]] = {}
        for rows, places, meaning in sources:
            for sample, place in enumerate(places.tolist() if rows.split is not None else []):
                if place < 0 or rows.split is None:
                    continue
                own = meaning.get(rows.split[place], rows.split[place])
                name, first = said.setdefault(sample, (own, rows.where))
                if name != own:
                    raise DataError(
                        f"sample {joined.ids[sample]!r} is in two splits",
                        where=rows.where,
                        got=own,
                        expected=f"{name}, as in {first}",
                    )
        if not said:
            raise RecipeError(
                self.recipe.name,
                [
                    "data.split.by: `given`, but nothing gives one: name a column (`data.labels.split`), give one "
                    "file per split, or set it to stratified, random or group"
                ],
            )
        # `names` were applied above: once more would undo {validation: test, test: validation}
        return given_split([said.get(sample, ("", ""))[0] for sample in range(len(joined.ids))], {}, labels.where)

    def _standardise(
        self, name: str, table: FeatureTable, rows: NDArray[np.int64], split: NDArray[np.uint8]
    ) -> tuple[ModalityPlan, list[str]]:
        """Put the modality's values in their final order and unit; returns its plan, and which columns were dropped."""
        present, training = rows >= 0, split == TRAIN
        encodings = fit_encodings(table.columns, table.texts, table.values, rows[present & training], table.where)
        made = self._made(name, table, rows, training, encodings)
        every = made.columns
        fitted = fit(made.values, made.rows[present & training], every, self.options.scaling(name), table.where)
        columns = [every[column] for column in fitted.kept]
        if self.options.impute == "refuse":
            missing = missing_among(made.values, made.rows[present], fitted.kept)
            must_be_complete(missing, made.name, columns, table.where)
        scaled = fitted.apply(made.values, made.rows)
        must_be_finite(
            scaled, lambda row: table.name(rows[row]), columns, f"{table.where}, after standardisation to float32"
        )
        self.warnings.extend(far_values(scaled, columns, self.options.scaling(name), table.where))
        self._values[name], self._present[name] = scaled, present
        self._digests[name] = row_digests(scaled, present)
        plan = ModalityPlan(
            (len(columns),),
            features=columns if table.named else None,
            preprocessing={**fitted.arrays(), **packed(encodings), **made.stepped},
        )
        kept = set(fitted.kept.tolist())
        return plan, [column for place, column in enumerate(every) if place not in kept]

    def _made(
        self,
        name: str,
        table: FeatureTable,
        rows: NDArray[np.int64],
        training: NDArray[np.bool_],
        encodings: Sequence[Encoding],
    ) -> _Made:
        """What the recipe makes of a table before it is standardised; the table itself where that is nothing."""
        import numpy as np

        steps = self.options.tables[name].preprocess
        if not table.texts and not steps:
            return _Made(table.values, rows, table.columns, table.name, {})
        where, columns = table.where, table.columns
        values, columns = encoded(table.values, rows, columns, table.texts, encodings, where, self.warnings)
        table.drop_values()
        samples = np.where(rows < 0, -1, np.arange(len(rows)))

        def name_of(row: int) -> str:
            return table.name(int(rows[row]))

        if not steps:
            return _Made(values, samples, columns, name_of, {})
        if self.options.impute == "refuse":
            found = missing_among(values, samples[rows >= 0], np.arange(len(columns)))
            must_be_complete(found, name_of, columns, where)
        assert self._labels is not None
        known = KnownLabels(self._labels, self.recipe.task.kind == "classification")
        applied = fit_steps(DenseMatrix(values), steps, training & (rows >= 0), known, columns, where)
        ((_, values),) = applied.rows.blocks()
        return _Made(values, samples, applied.names, name_of, {**applied.fitted, "inputs": as_bytes(columns)})

    def _standardise_large(
        self,
        name: str,
        table: FeatureTable,
        matrix: Matrix,
        rows: NDArray[np.int64],
        split: NDArray[np.uint8],
    ) -> tuple[ModalityPlan, list[str]]:
        """As :meth:`_standardise`, for a matrix that stays in its file until few columns are left of it."""
        import numpy as np

        assert self._labels is not None
        present, steps = rows >= 0, self.options.tables[name].preprocess
        training, labels = np.zeros(table.count, dtype=bool), np.full(table.count, np.nan)
        training[rows[present & (split == TRAIN)]] = True
        labels[rows[present]] = self._labels[present]
        known = KnownLabels(labels, self.recipe.task.kind == "classification")
        applied = fit_steps(matrix, steps, training, known, table.columns, table.where)
        if self.memory is not None and applied.rows.bytes > self.memory:
            raise DataError(
                "what is kept of a matrix is more than --memory gives",
                where=table.where,
                got=f"{applied.rows.bytes / 2**20:,.0f}M for {counted(len(applied.names), 'column')}",
                expected=f"{self.memory / 2**20:,.0f}M at most",
                do=f"keep fewer columns: `data.tables.{name}.preprocess: [{{kind: select, top: N}}]`; or give more",
            )
        fitted = fit_blocks(applied.rows, training, applied.names, self.options.scaling(name), table.where)
        self._values[name], self._present[name] = ScaledRows(applied.rows, fitted, rows), present
        kept = fitted.kept.tolist()
        columns = [applied.names[place] for place in kept]
        carried = {**fitted.arrays(), **applied.fitted, "inputs": as_bytes(table.columns)}
        plan = ModalityPlan((len(columns),), features=columns, preprocessing=carried)
        return plan, [applied.names[place] for place in sorted(set(range(len(applied.names))) - set(kept))]

    def _report(self, facts: dict[str, Any], dropped: Mapping[str, list[str]]) -> None:
        """Put what was left out into words."""
        self.warnings.extend(f"{count} {why}: left out" for why, count in facts["dropped_rows"].items())
        self.warnings.extend(
            f"{counted(len(columns), 'column')} of {name} constant in the training split: dropped ({listed(columns)})"
            for name, columns in dropped.items()
            if columns
        )
        self.warnings.extend(
            f"{counted(count, 'sample')} without {name}: kept and masked" for name, count in facts["missing"].items()
        )


class _Made(NamedTuple):
    """Values (T, D) of a table, the row (N,) of each sample or -1, and what names a column and a row.

    ``stepped`` is what a model must carry of the steps that made the values.
    """

    values: NDArray[np.float64]
    rows: NDArray[np.int64]
    columns: list[str]
    name: Callable[[int], str]
    stepped: dict[str, NDArray[Any]]


def _gives_a_split(tables: Mapping[str, FeatureTable], labels: Labels) -> bool:
    """Whether files or a column say which split samples are in."""
    return any(rows.split is not None for rows in (labels, *tables.values()))


def _groups(labels: Labels, joined: SampleRows) -> list[str] | None:
    if labels.groups is None:
        return None
    groups = [labels.groups[row] for row in joined.label_rows]
    must_be_groups(groups, joined.ids, labels.where)
    return groups
