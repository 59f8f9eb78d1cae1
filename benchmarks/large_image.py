"""Memory and time of cutting patches out of a large slide, by format: ``python benchmarks/large_image.py``.

Makes an image of SIDE x SIDE pixels, tiled TIFF, JPEG or PNG, and cuts patches around 4,000 spots in a process of its
own, whose greatest resident memory is what is reported.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

FORMATS = ("tif", "jpg", "png")
SPOTS = 4000


def write(path: Path, side: int) -> None:
    """An image of noise on a gradient, so that it does not compress to nothing."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 64, (side, side, 3), dtype=np.uint8)
    pixels += np.linspace(0, 190, side).astype(np.uint8)[None, :, None]
    if path.suffix == ".tif":
        import tifffile

        tifffile.imwrite(path, pixels, tile=(256, 256), photometric="rgb", compression="zlib")
    else:
        from PIL import Image

        Image.fromarray(pixels).save(path, **({"compress_level": 1} if path.suffix == ".png" else {}))


def measure(path: Path, mpp: float | None) -> dict[str, float]:
    """Cut in this process; seconds and the greatest resident memory so far in GiB."""
    import resource

    from omib_cli.sources.spatial.images import image_size
    from omib_cli.sources.spatial.patches import PatchPlan, cut_patches
    from omib_cli.sources.spatial.section import Picture

    width, height = image_size(path, path.name)
    centres = np.random.default_rng(1).uniform((0, 0), (width, height), size=(SPOTS, 2))
    side = 32.0 if mpp is None else 32 * mpp / 0.5
    started = time.perf_counter()
    cut_patches(PatchPlan(Picture(path, path.name), centres, 32, side, 0.5))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"seconds": time.perf_counter() - started, "GiB": peak / 2**30}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=10_000)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--mpp", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write is not None:
        write(arguments.write, arguments.side)
        return
    if arguments.measure is not None:
        print(json.dumps(measure(arguments.measure, arguments.mpp)))
        return
    print(f"| {arguments.side:,} x {arguments.side:,} | patches | seconds | peak memory (GiB) |\n|---|---|---|---|")
    command = [sys.executable, __file__]
    with tempfile.TemporaryDirectory() as folder:
        for suffix in FORMATS:
            path = Path(folder) / f"slide.{suffix}"
            # Not in this process: what it holds would count as the children's greatest memory.
            subprocess.run([*command, "--write", str(path), "--side", str(arguments.side)], check=True)
            for mpp, name in ((None, "native"), (3.2, "resampled 0.5 to 3.2 um/px")):
                measured = [*command, "--measure", str(path), *(["--mpp", str(mpp)] if mpp else [])]
                found = json.loads(subprocess.run(measured, check=True, capture_output=True, text=True).stdout)
                print(f"| {suffix} | {name} | {found['seconds']:.1f} | {found['GiB']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
