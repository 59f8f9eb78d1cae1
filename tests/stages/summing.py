"""In each of several processes: sums through common memory and through messages, of growing and shrinking lists.

In one process common memory is refused in the end, as a hardened container does: all must then send messages.
"""

from __future__ import annotations

import torch

from omib_cli.distributed import processes
from omib_cli.distributed.exchange import Exchange

SHAPES = ([(3, 4), (5,)], [(7, 2, 2), (1,), ()], [(2,)])


def must_add_up(ways, shapes):
    each = []
    for rank in range(processes.world_size()):
        generator = torch.Generator().manual_seed(rank)
        each.append([torch.rand(shape, generator=generator) for shape in shapes])
    expected = [sum(of[1:], of[0]) for of in zip(*each, strict=True)]
    for way in ways:
        for _ in range(2):
            for one, other in zip(way.sums(each[processes.rank()]), expected, strict=True):
                torch.testing.assert_close(one, other)


def refused(*_, **__):
    raise RuntimeError("unable to open file")


def main() -> None:
    device = torch.device("cpu")
    processes.initialise(device)
    ways = [Exchange(device, shared=shared) for shared in (True, False, None)]
    for shapes in SHAPES:
        must_add_up(ways, shapes)
    if processes.rank() == 1:
        torch.from_file = refused
    must_add_up([Exchange(device, shared=True)], SHAPES[0])
    print("equal", flush=True)
    processes.shut_down()


if __name__ == "__main__":
    main()
