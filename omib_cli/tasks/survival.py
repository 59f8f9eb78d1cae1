"""Survival: Cox's partial likelihood on log-hazards, and metrics that know of censoring.

A label is a time with a sign: positive where the event took place at that time, negative where a sample was followed
for so long without it. The network's output is a log-hazard, up to a constant that the baseline hazard settles
(:class:`~omib_cli.tasks.hazard.Baseline`): the larger, the earlier the event.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch

from omib_cli.tasks.base import Task
from omib_cli.tasks.hazard import Baseline
from omib_cli.tasks.survival_metrics import Reweighted, brier_score, concordance, dynamic_auc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from omib_cli.recipe.tasks import TaskOptions

ABSENT = -1e4
"""The log-hazard of a sample that is at nobody's side: its hazard is 0 in float32, and its gradient too."""


class Survival(Task):
    """The order of events in time, with censoring.

    Attributes
    ----------
    baseline
        What the training split says of hazard and censoring; None until a model is trained. Without it, only the
        concordance is known.
    """

    main_metric = "concordance"

    def __init__(self, options: TaskOptions, classes: list[str], weights: Sequence[float] | None = None) -> None:
        super().__init__(options, classes, weights)
        self.baseline: Baseline | None = None
        self._hazard_is_own = True

    @property
    def outputs(self) -> int:
        """One."""
        return 1

    def of_branch(self) -> Survival:
        """The task of a head that the baseline hazard was not fitted for: without the Brier score."""
        other = copy.copy(self)
        other._hazard_is_own = False
        return other

    def loss(self, output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Each sample's part of the negative log partial likelihood per event in nats: (..., B, 1), (B,) to (..., B).

        The mean over samples is that of :meth:`loss_among`, to which only events contribute.
        """
        return self.loss_among(output, label, None)

    def loss_among(self, output: torch.Tensor, label: torch.Tensor, there: torch.Tensor | None) -> torch.Tensor:
        """As :meth:`loss`, among the samples of ``there`` (..., B) alone; of the others the values mean nothing.

        Efron's treatment of ties. Who is at risk when an event takes place is who of *these samples* is: of a batch
        the loss compares within the batch, so that a small one says less than the whole split would, about as a
        logistic regression among few classes does, and one without an event says nothing (0). The loss of the whole
        split is not the mean of its batches'.
        """
        if there is not None:
            output = output.masked_fill(~there[..., None], ABSENT)
        parts = efron(output.float().squeeze(-1), label, there)
        events = (label > 0).expand(parts.shape) if there is None else (label > 0) & there
        total = len(label) if there is None else there.sum(dim=-1, keepdim=True)
        return parts * (total / events.sum(dim=-1, keepdim=True).clamp_min(1))

    def divergence(self, output: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """Half the squared distance of the log-hazards, as of values in regression [B6]: (..., B, 1) to (..., B)."""
        return 0.5 * (output.float() - reference.float()).square().sum(dim=-1)

    def average(self, outputs: torch.Tensor) -> torch.Tensor:
        """Their mean: (S, B, 1) to (B, 1)."""
        return outputs.float().mean(dim=0)

    def scores(self, outputs: NDArray[np.floating]) -> NDArray[np.float64]:
        """The log-hazards (N, 1)."""
        return outputs.astype(np.float64)

    def prediction(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The log-hazard (N,): the larger, the earlier the event."""
        return scores[:, 0]

    def metrics(self, scores: NDArray[np.float64], labels: NDArray[np.float64]) -> dict[str, float]:
        """Harrell's concordance and, with a baseline, time-dependent AUC and the integrated Brier score.

        NaN where undefined. What each is: :mod:`omib_cli.tasks.survival_metrics`.
        """
        once = np.ones((1, len(labels)))
        return {name: float(metric(once)[0]) for name, metric in self.reweighted(scores, labels).items()}

    def reweighted(self, scores: NDArray[np.float64], labels: NDArray[np.float64]) -> dict[str, Reweighted]:
        """The metrics as functions of how often resamples drew each sample, (R, N) to (R,)."""
        found = {"concordance": concordance(scores[:, 0], labels)}
        if self.baseline is not None:
            found["time_dependent_auc"] = dynamic_auc(scores[:, 0], labels, self.baseline)
            if self._hazard_is_own:
                found["integrated_brier"] = brier_score(scores[:, 0], labels, self.baseline)
        return found


def efron(risk: torch.Tensor, label: torch.Tensor, there: torch.Tensor | None) -> torch.Tensor:
    """What each event adds to the negative log partial likelihood (Cox 1972; ties as Efron 1977), 0 for censored ones.

    Of d events at one time the l-th (l from 0) adds ln(sum over those at risk - l/d of the sum over the d events), sums
    of exp(log-hazard), which is divided among the d evenly; and each takes off its own log-hazard.

    Parameters
    ----------
    risk
        (..., B) log-hazards; of samples that are not there so small that their hazard is 0.
    label
        (B,) signed times.
    there
        (..., B) which samples count, None for all.
    """
    order = torch.argsort(label.abs(), stable=True)
    time, eta = label.abs()[order], risk[..., order]
    event = (label[order] > 0).expand(eta.shape)
    if there is not None:
        event = event & there[..., order]
    first = torch.searchsorted(time, time, right=False)  # of the samples of the same time
    last = torch.searchsorted(time, time, right=True) - 1
    at_risk = eta.flip(-1).logcumsumexp(dim=-1).flip(-1)[..., first]
    before = event.long().cumsum(dim=-1)
    earlier = (before - event.long())[..., first]
    place, ties = before - event.long() - earlier, before[..., last] - earlier
    scale = eta.detach().amax(dim=-1, keepdim=True)
    hazard = torch.where(event, (eta - scale).exp(), 0.0)
    tied = torch.zeros_like(hazard).index_add(-1, first, hazard)[..., first]
    share = tied / (at_risk - scale).exp().clamp_min(torch.finfo(eta.dtype).tiny)
    thinned = torch.where(event, torch.log1p(-(place / ties.clamp_min(1)) * share.clamp_max(1.0)), 0.0)
    thinned = torch.zeros_like(hazard).index_add(-1, first, thinned)[..., first] / ties.clamp_min(1)
    parts = torch.where(event, at_risk + thinned - eta, 0.0)
    return parts[..., torch.argsort(order)]
