"""In each of several processes: sums through common memory and through messages, of growing and shrinking lists."""

from __future__ import annotations

import torch

from omib_cli.runtime import processes
from omib_cli.runtime.exchange import Exchange

SHAPES = ([(3, 4), (5,)], [(7, 2, 2), (1,), ()], [(2,)])


def main() -> None:
    device = torch.device("cpu")
    processes.meet(device)
    ways = [Exchange(device, shared=shared) for shared in (True, False, None)]
    for shapes in SHAPES:
        for _ in range(2):
            each = []
            for rank in range(processes.count()):
                generator = torch.Generator().manual_seed(rank)
                each.append([torch.rand(shape, generator=generator) for shape in shapes])
            expected = [sum(of[1:], of[0]) for of in zip(*each, strict=True)]
            for way in ways:
                found = way.sums(each[processes.rank()])
                for one, other in zip(found, expected, strict=True):
                    torch.testing.assert_close(one, other)
    print("equal", flush=True)
    processes.part()


if __name__ == "__main__":
    main()
