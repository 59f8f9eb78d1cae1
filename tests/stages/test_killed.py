"""A stage that is killed at random moments and run again writes, bit for bit, what an undisturbed one writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def program(name, what, folder):
    """What a program beside this file writes."""
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE.parents[1]}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / name), what, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("stage", ["warmup", "train", "train-from-disk", "estimate-mi"])
def test_a_stage_killed_five_times_ends_with_the_hash_of_an_undisturbed_one(stage, tmp_path):
    expected, found, killed = program("killed.py", stage, tmp_path).split()[-3:]
    assert int(killed) == 5, "the stage ended before it could be killed: it needs more steps"
    assert found == expected


@pytest.mark.parametrize("command", ["tune", "cross-validate"])
@pytest.mark.timeout(900)  # six searches, on a machine that may have other work
def test_a_search_killed_at_random_finds_what_an_undisturbed_one_finds_and_repeats_nothing(command, tmp_path):
    found = json.loads(program("killed_search.py", command, tmp_path).splitlines()[-1])
    assert found["killed"] > 0, "the search ended before it could be killed: it needs more trials"
    assert found["again"] == []
    assert found["pieces"] == found["whole"]
