"""Adam, AdamW and SGD with momentum: torch's own fused kernels, called without its optimiser classes.

Those import torch's compiler when one is made, which takes longer than importing torch itself, and spend more time
around the kernel than small networks spend in it. The weights that come out are the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Optimiser:
    """Updates all parameters that have a gradient, each group at its own learning rate.

    Parameters
    ----------
    kind
        ``adam`` (Kingma and Ba 2015; weight decay added to the gradient), ``adamw`` (Loshchilov and Hutter 2019;
        decoupled) or ``sgd``.
    groups
        Each with ``params`` and ``lr``; the rates may be changed at any time.
    """

    def __init__(self, kind: str, groups: list[dict[str, Any]], weight_decay: float, momentum: float = 0.0) -> None:
        self.kind, self.groups = kind, groups
        self.weight_decay, self.momentum = weight_decay, momentum
        self._moments: dict[int, list[torch.Tensor]] = {}
        """By the number of a parameter: its moving averages, as many as the kind has."""
        self._steps: dict[int, int] = {}

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for _, parameter in self._numbered():
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One update; a parameter without a gradient stays as it is."""
        first = 0
        for group in self.groups:
            own = {first + i: p for i, p in enumerate(group["params"]) if p.grad is not None}
            first += len(group["params"])
            for number in own:
                self._steps[number] = self._steps.get(number, 0) + 1
            for count in {self._steps[number] for number in own}:  # one, unless some had no gradient before
                self._update({n: p for n, p in own.items() if self._steps[n] == count}, group["lr"], count)

    def _update(self, own: dict[int, torch.Tensor], rate: float, count: int) -> None:
        """The ``count``-th update of some parameters."""
        parameters, numbers = list(own.values()), list(own)
        gradients = [p.grad for p in parameters if p.grad is not None]
        for number, parameter in own.items():
            if number not in self._moments:
                moments = (1 if self.momentum else 0) if self.kind == "sgd" else 2
                self._moments[number] = [
                    torch.zeros_like(parameter, memory_format=torch.preserve_format) for _ in range(moments)
                ]
        averages = [list(each) for each in zip(*(self._moments[number] for number in numbers), strict=True)]
        if self.kind == "sgd":
            torch._fused_sgd_(
                parameters,
                gradients,
                averages[0] if averages else [],
                weight_decay=self.weight_decay,
                momentum=self.momentum,
                lr=rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
                is_first_step=count == 1 and self.momentum > 0,
            )
            return
        kernel = torch._fused_adam_ if self.kind == "adam" else torch._fused_adamw_
        kernel(
            parameters,
            gradients,
            averages[0],
            averages[1],
            [],
            [torch.full((), float(count), device=parameters[0].device)] * len(parameters),
            amsgrad=False,
            lr=rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self.weight_decay,
            eps=EPSILON,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` needs."""
        return {"moments": self._moments, "steps": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        parameters = dict(self._numbered())
        self._steps = dict(state["steps"])
        self._moments = {
            number: [moment.to(parameters[number].device) for moment in moments]
            for number, moments in state["moments"].items()
        }

    def _numbered(self) -> Iterator[tuple[int, torch.Tensor]]:
        return enumerate(parameter for group in self.groups for parameter in group["params"])
