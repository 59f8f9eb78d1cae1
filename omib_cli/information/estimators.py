"""Variational estimators of mutual information, one function per published equation; every value in nats.

``joint`` (B,) holds the critic's scores T(x_i, z_i) of joint pairs, both of one sample; ``product`` (S, B) its scores
T(x_i, z_j), j != i, of product pairs, S for each x. A *loss* trains the critic on a batch; a *value* is what is
reported, on samples that the critic was not trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus


def log_mean_exp(values: Tensor) -> Tensor:
    """ln of the mean of exp(values) over all entries, without overflow."""
    return values.flatten().logsumexp(0) - math.log(values.numel())


def donsker_varadhan(joint: Tensor, product: Tensor) -> Tensor:
    """E_joint[T] - ln E_product[exp T] (Equation 99; Donsker & Varadhan 1983; Belghazi et al. 2018, Equation 10)."""
    return joint.mean() - log_mean_exp(product)


def nwj(joint: Tensor, product: Tensor) -> Tensor:
    """E_joint[T] - E_product[exp(T - 1)] (Nguyen, Wainwright & Jordan 2010; "MINE-f" in Belghazi et al. 2018)."""
    return joint.mean() - (product - 1.0).exp().mean()


def infonce(joint: Tensor, product: Tensor) -> Tensor:
    """Mean of T(x_i, z_i) - ln mean_j exp T(x_i, z_j), j = i included (van den Oord et al. 2018).

    Never more than the logarithm of the number of candidates, 1 + S (Poole et al. 2019, Equation 10).
    """
    candidates = torch.cat([joint[None], product])
    return (joint - candidates.logsumexp(0)).mean() + math.log(len(candidates))


def smile(joint: Tensor, product: Tensor, clip: float) -> Tensor:
    """Donsker-Varadhan with T clipped to [-clip, clip] inside the exponential (Song & Ermon 2020, Equation 15).

    Its variance is bounded; it is no lower bound.
    """
    return donsker_varadhan(joint, product.clamp(-clip, clip))


def jensen_shannon_loss(joint: Tensor, product: Tensor) -> Tensor:
    """Negative Jensen-Shannon bound (Nowozin et al. 2016), on which Song & Ermon (2020) train SMILE's critic.

    Its optimum is T = ln p(x, z) / p(x)p(z). SMILE's own value has no maximum: beyond the clip, T grows freely.
    """
    return softplus(-joint).mean() + softplus(product).mean()


def update_log_average(log_average: float | None, product: Tensor, rate: float) -> float:
    """ln m after m <- (1 - rate) m + rate mean exp T; the first batch sets it. In log space, T of any size is fine."""
    latest = float(log_mean_exp(product.detach()))
    if log_average is None:
        return latest
    high, low = max(log_average, latest), min(log_average, latest)
    high_share = rate if latest > log_average else 1.0 - rate
    return high + math.log(high_share + (1.0 - high_share) * math.exp(low - high))


def mine_loss(joint: Tensor, product: Tensor, log_average: float) -> Tensor:
    """Loss whose gradient is MINE's bias-corrected one (Belghazi et al. 2018, Section 3.2, Equation 12).

    The moving average m replaces the batch's own mean in the denominator: -(E_joint[T] - E_product[exp T] / m).
    """
    return (product - log_average).exp().mean() - joint.mean()


@dataclass(frozen=True)
class Estimator:
    """A way of training a critic and of reading it.

    Attributes
    ----------
    loss
        From joint, product and ln m (MINE's moving average, which the others ignore).
    value
        From joint and product, in nats.
    """

    loss: Callable[[Tensor, Tensor, float], Tensor]
    value: Callable[[Tensor, Tensor], Tensor]


def critic_estimator(name: str, clip: float) -> Estimator:
    """The estimator with a critic of this name: mine, infonce, nwj or smile (which takes ``clip``)."""
    return {
        "mine": Estimator(mine_loss, donsker_varadhan),
        "infonce": Estimator(lambda joint, product, _: -infonce(joint, product), infonce),
        "nwj": Estimator(lambda joint, product, _: -nwj(joint, product), nwj),
        "smile": Estimator(
            lambda joint, product, _: jensen_shannon_loss(joint, product),
            lambda joint, product: smile(joint, product, clip),
        ),
    }[name]
