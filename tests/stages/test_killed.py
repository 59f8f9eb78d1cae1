"""A stage that is killed at random moments and run again writes, bit for bit, what an undisturbed one writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("stage", ["warmup", "train", "train-from-disk", "estimate-mi"])
def test_a_stage_killed_five_times_ends_with_the_hash_of_an_undisturbed_one(stage, tmp_path):
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE.parents[1]}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "killed.py"), stage, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected, found, killed = done.stdout.split()[-3:]
    assert int(killed) == 5, "the stage ended before it could be killed: it needs more steps"
    assert found == expected
