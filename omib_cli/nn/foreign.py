"""Dropout inside networks of other libraries, which know nothing of batches that are divided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812 (torch's own convention)
from torch.overrides import TorchFunctionMode

from omib_cli.nn.attention import attention
from omib_cli.nn.batch import Batch


class DropoutOf(TorchFunctionMode):
    """Within the block, torch's dropout and attention of (B, ...) values draw their masks from a batch.

    Without it every part of a batch would draw the mask of the first rows: parts are seeded alike, so that what they
    draw together fits together.
    """

    def __init__(self, batch: Batch) -> None:
        super().__init__()
        self.batch = batch

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Called by torch in place of each of its functions."""
        given = kwargs or {}
        if func is F.dropout:
            return self._dropout(*args, **given)
        if func is F.scaled_dot_product_attention and given.get("dropout_p", 0.0) > 0.0:
            return self._attention(*args, **given)
        return func(*args, **given)

    def _dropout(self, input: torch.Tensor, p: float = 0.5, training: bool = True, **_: Any) -> torch.Tensor:
        return self.batch.dropout(input, p) if training and p > 0.0 else input

    def _attention(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        if is_causal or enable_gqa:
            raise NotImplementedError("dropout of causal or grouped attention in a batch that is divided")
        return attention(query, key, value, attn_mask, dropout_p, self.batch, scale)
