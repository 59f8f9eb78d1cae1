"""Peak memory of ``simulate``: ``python benchmarks/memory.py --samples 200000`` (target: below 1 GiB).

The data set is written in blocks of rows, so that memory should not grow with the number of samples.
"""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

TARGET_MIB = 1024.0

SIMULATE = """
import sys
from pathlib import Path
from omib_cli.recipe.schema import recipe_model
from omib_cli.runtime.job import Job
from omib_cli.stages import simulate

recipe = recipe_model().model_validate({
    "name": "memory",
    "data": {"source": "simulation", "case": sys.argv[1], "samples": int(sys.argv[2])},
    "modalities": {"x1": {}, "x2": {}},
})
simulate.run(recipe, Path(sys.argv[3]), Job(threads=1))
"""


def peak_mib() -> float:
    """Largest resident memory among the processes that have ended."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--case", choices=["i", "ii", "iii"], default="i")
    parser.add_argument("--folder", type=Path, default=None, help="where to put the file (1.5 GiB for 200,000 samples)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        out = Path(folder) / "sim.h5"
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", SIMULATE, options.case, str(options.samples), str(out)], check=True)
        seconds, size = time.perf_counter() - start, out.stat().st_size / 2**30
    peak = peak_mib()
    print(f"{datetime.now(UTC):%Y-%m-%d}  {platform.machine()} {platform.system()}, Python {platform.python_version()}")
    print(f"simulate case {options.case}, {options.samples:,} samples: {size:.2f} GiB file in {seconds:.1f} s")
    print(f"peak resident memory {peak:.0f} MiB (target: below {TARGET_MIB:.0f} MiB)")
    return int(peak >= TARGET_MIB)


if __name__ == "__main__":
    sys.exit(main())
