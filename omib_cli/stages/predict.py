"""``omib predict``: raw files of new samples to predictions, with nothing but a model. -> predictions.h5ad, and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.catalogue import expect
from omib_cli.artifacts.checkpoint import read_carried
from omib_cli.artifacts.embedding import write_table
from omib_cli.errors import StaleError, UsageError
from omib_cli.runtime.job import Job
from omib_cli.stages import embed
from omib_cli.stages.new_samples import NewData, prepare_like
from omib_cli.stages.result import StageResult
from omib_cli.training.baseline import baseline_of
from omib_cli.training.calibration import calibration_of


def run(
    new: NewData,
    model: Path,
    out: Path,
    job: Job,
    csv: Path | None = None,
    times: Sequence[float] = (),
    *,
    raw: bool = False,
    level: float | None = None,
) -> StageResult:
    """Prepare new samples as the model's own were, embed them and predict.

    Parameters
    ----------
    csv
        Where the predictions go as a table too.
    times
        At which to say the probability of survival, in the unit of the training labels.
    raw, level
        As for :func:`omib_cli.stages.embed.run`.

    Raises
    ------
    UsageError
        Two of the files are one.
    OmibError
        As :func:`~omib_cli.stages.new_samples.prepare_like` and :func:`omib_cli.stages.embed.run` do.
    """
    if len({path.resolve() for path in (model, out, *([csv] if csv else []))}) < (3 if csv else 2):
        raise UsageError("model, predictions and table are files of their own", got=f"-o {out}, --csv {csv}")
    expect(model, fmt.MODEL)
    carried = read_carried(model)[0]
    embed.must_be_known(times, baseline_of(carried), model)
    calibration_of(carried).chosen_level(level)
    dataset = out.with_name(f".{out.name}.dataset.h5")
    try:
        prepare_like(new, model, dataset, job)
    except StaleError:  # left by a command for other files that was stopped
        prepare_like(new, model, dataset, replace(job, fresh=True))
    result = embed.run(dataset, model, out, job, times, raw=raw, level=level)
    if csv is not None:
        write_table(out, csv)
    dataset.unlink()
    return result
