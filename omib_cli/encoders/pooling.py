"""The mean over the real elements of a padded sequence."""

from __future__ import annotations

import torch


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over real elements: (B, T, D) and (B, T) of 0 and 1 to (B, D); zeros where there is no real element."""
    weights = mask.to(values.dtype).unsqueeze(-1)
    total: torch.Tensor = (values * weights).sum(dim=1)
    return total / weights.sum(dim=1).clamp(min=1.0)
