"""How unlike the training samples a new one is, judged by the encoding that each modality's encoder makes of it.

The distance is Mahalanobis' in the encodings (Lee et al. 2018), with the covariance shrunk as Ledoit and Wolf (2004)
say. A sample's novelty is the share of held-out training samples that are nearer: of the validation split where there
is one, else of training samples that the mean and covariance were fitted without. Beyond nine tenths of them the
shares are those of an exponential tail, so that what is far out is told from what is farther. Beside this stands what
the features themselves are like, for the report of new samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset import Dataset
from omib_cli.data.samples import read_samples
from omib_cli.runtime.seeds import derive_seed
from omib_cli.training.model import MultimodalModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 20_000
"""Samples that are looked at, at most; of more, so many blocks of rows, drawn at random."""
FOLDS = 5
"""Parts of the training samples, each judged by what the others say, where there is no validation split."""
ENOUGH = 20
"""Validation samples by which novelty can be judged."""
KEPT = 1000
"""Distances of held-out samples that a model carries; of more, so many quantiles."""
BODY = 0.9
"""Share of the held-out samples beyond which the tail begins."""


@dataclass(frozen=True)
class Distances:
    """What encodings (N, d) of a modality are like.

    Attributes
    ----------
    centre, whitening
        Mean (d,) and (d, d): the distance of z is the length of (z - centre) whitening.
    held
        Distances of held-out samples, increasing; at most :data:`KEPT`.
    """

    centre: NDArray[np.float64]
    whitening: NDArray[np.float64]
    held: NDArray[np.float64]

    def novelty(self, z: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Encodings (B, d) to (B,) shares of held-out samples that are nearer, from 0 to 1."""
        distance = distances(z, self.centre, self.whitening)
        share = np.searchsorted(self.held, distance) / (len(self.held) + 1)
        edge = np.quantile(self.held, BODY)
        beyond = self.held[self.held > edge] - edge
        scale = max(float(beyond.mean()) if len(beyond) else 0.0, 1e-12)
        tail = 1 - (1 - BODY) * np.exp(-(distance - edge) / scale)
        return np.where(distance > edge, tail, np.minimum(share, BODY))


@dataclass(frozen=True)
class Ranges:
    """What the features (D,) of a modality are like in training, in the unit of the dataset."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def distances(
    z: NDArray[np.floating[Any]], centre: NDArray[np.float64], whitening: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mahalanobis distances (B,) of encodings (B, d)."""
    return np.asarray(np.linalg.norm((z.astype(np.float64) - centre) @ whitening, axis=1))


def fit_distances(z: NDArray[np.floating[Any]], held: NDArray[np.floating[Any]] | None, seed: int) -> Distances:
    """What encodings (N, d) of training samples are like; ``held`` (N', d) of samples that trained nothing."""
    if held is None or len(held) < ENOUGH:
        folds = np.random.default_rng(seed).permutation(len(z)) % min(FOLDS, len(z))
        found = [distances(z[folds == fold], *_whitened(z[folds != fold])) for fold in range(folds.max() + 1)]
        far = np.concatenate(found)
    else:
        far = distances(held, *_whitened(z))
    if len(far) > KEPT:
        far = np.quantile(far, (np.arange(KEPT) + 0.5) / KEPT)
    return Distances(*_whitened(z), np.sort(far))


def _whitened(z: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (d,) and whitening (d, d) of encodings; what does not vary counts as what hardly does."""
    from sklearn.covariance import ledoit_wolf

    values = z.astype(np.float64)
    centre = values.mean(axis=0)
    covariance = ledoit_wolf(values - centre, assume_centered=True)[0]
    sizes, directions = np.linalg.eigh(covariance)
    floor = max(sizes.max(), 1e-300) * 1e-6
    return centre, directions / np.sqrt(np.maximum(sizes, floor))


@torch.no_grad()
def fit_novelty(model: MultimodalModel, data: Dataset, seed: int) -> dict[str, NDArray[Any]]:
    """What training samples are like, by the names under which a model carries it.

    A modality that fewer than two training samples have is left out.
    """
    model.eval()
    blocks = some_blocks(list(data.blocks(data.rows("train"))), seed)
    held = some_blocks(list(data.blocks(data.rows("validation"))), seed)
    z, unseen = _encodings(model, data, blocks), _encodings(model, data, held)
    found: dict[str, NDArray[Any]] = {}
    for name in model.names:
        if len(z[name]) < 2:
            continue
        found |= _named(name, fit_distances(z[name], unseen[name], derive_seed(seed, "novelty", name)))
        if data.modalities[name].kind in (fmt.VECTOR, fmt.GRAPH):
            found |= _named(name, _ranges(data, name, blocks))
    return found


def novelty_of(carried: Mapping[str, NDArray[Any]], name: str) -> tuple[Distances | None, Ranges | None]:
    """What a model carries about the encodings and the features of a modality; None where it carries nothing."""
    prefix = fmt.NOVELTY.format(name)
    own = {key.removeprefix(prefix): value for key, value in carried.items() if key.startswith(prefix)}
    found = []
    for kind in (Distances, Ranges):
        names = [one.name for one in fields(kind)]
        found.append(kind(**{key: own[key] for key in names}) if set(names) <= set(own) else None)
    return found[0], found[1]  # type: ignore[return-value]


def _named(name: str, what: Distances | Ranges) -> dict[str, NDArray[Any]]:
    return {fmt.NOVELTY.format(name) + one.name: getattr(what, one.name) for one in fields(what)}


def some_blocks(blocks: list[range], seed: int) -> list[range]:
    """So many blocks of rows that they hold about :data:`MOST` samples, in their order."""
    if sum(map(len, blocks)) <= MOST:
        return blocks
    order = np.random.default_rng(derive_seed(seed, "novelty")).permutation(len(blocks))
    wanted = order[: max(1, MOST // len(blocks[0]))]
    return [blocks[place] for place in sorted(wanted.tolist())]


def _encodings(model: MultimodalModel, data: Dataset, blocks: Iterable[range]) -> dict[str, NDArray[np.float32]]:
    """Encodings (N, d_i) by modality, of the samples that have it."""
    device = next(model.parameters()).device
    pieces: dict[str, list[NDArray[np.float32]]] = {name: [] for name in model.names}
    for rows in blocks:
        samples = read_samples(data, rows, device)
        for batch in samples.batches(samples.inference_batch):
            for i, (name, z) in enumerate(zip(model.names, model.encode(batch.values, batch.batch), strict=True)):
                pieces[name].append(z[batch.present[:, i]].float().cpu().numpy())
    return {name: np.concatenate(own) if own else np.zeros((0, 1), np.float32) for name, own in pieces.items()}


def _ranges(data: Dataset, name: str, blocks: Iterable[range]) -> Ranges:
    """Mean, deviation and range of each feature over the samples that have the modality."""
    place = list(data.modalities).index(name)
    count, total, squares = 0, np.zeros(1), np.zeros(1)
    low, high = np.full(1, np.inf), np.full(1, -np.inf)
    for rows in blocks:
        values = data.values(name, rows)[data.present(rows)[:, place]].astype(np.float64)
        if len(values):
            count, total, squares = count + len(values), total + values.sum(axis=0), squares + (values**2).sum(axis=0)
            low, high = np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
    mean = total / count
    return Ranges(mean, np.sqrt(np.maximum(squares / count - mean**2, 0.0)), low, high)
