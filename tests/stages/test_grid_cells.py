"""Which cells a grid has and which of them are done: a folder for each value, a result for each input."""

from __future__ import annotations

import csv
import json
import shutil
import string
import threading
import time

import pytest
import yaml
from small import small_recipe
from table_data import table_recipe, write_tables

from omib_cli.artifacts.record import RunRecord
from omib_cli.cli import app
from omib_cli.errors import UsageError
from omib_cli.recipe.load import load_recipe
from omib_cli.runtime.job import Job
from omib_cli.runtime.lock import exclusive
from omib_cli.stages import compare, run, simulate
from omib_cli.stages.compare import outcome
from omib_cli.stages.grid import Launch, cells_of, must_be_apart
from omib_cli.stages.variants import Variant, said_of_choosing, swept


def names(vary=None, beta=None):
    return [variant.name for variant in swept(beta, vary)[1:]]


def test_values_that_are_close_together_have_folders_of_their_own():
    assert len(set(names(beta="0.01:0.0105:31"))) == 31
    assert len(set(names("train.optimiser.lr=0.0010001,0.0010002,1e-3"))) == 3


def test_values_that_look_alike_have_folders_of_their_own():
    alike = names("""k=1,"1",true,"true",null,"null",1.5,"1.5",[1],[[1]],"[1]",{a: 1},{a: [1]},a b,a/b,a-b,A,a,"",-1""")
    assert len({name.casefold() for name in alike}) == 20
    assert set("".join(alike)) <= set(string.ascii_letters + string.digits + "._+-")


def test_a_value_has_the_same_folder_whatever_stands_beside_it_and_however_it_is_written():
    assert names("train.batch=16,32")[1] == names("train.batch=32,64")[0] == names("train.batch=32.0")[0]
    assert names("k={a: 1, b: 2},c")[0] == names("k={b: 2, a: 1}")[0]
    assert names(beta="0.01:1:3")[1] == names(beta="0.1:1:2")[0]


def test_sweeps_of_keys_that_end_alike_do_not_share_folders():
    assert names("train.epochs=5") != names("warmup.epochs=5")


def test_lists_and_sections_are_swept_as_the_recipe_has_them():
    values = [dict(variant.overrides) for variant in swept(None, "fusion.kl=[1, 2],[3, 4],5,{a: x:y:z}")[1:]]
    assert values == [{"fusion.kl": value} for value in ([1, 2], [3, 4], 5, {"a": "x:y:z"})]


@pytest.mark.parametrize("vary", ["k=1,1", "k=1,1.0", "k=a,'a'", "k={a: 1},{a: 1}", "k=1:1.0000001:9"])
def test_a_value_that_is_there_twice_is_refused(vary):
    with pytest.raises(UsageError, match="is there twice"):
        swept(None, vary)


@pytest.mark.parametrize("vary", ["k=[1", "k=,", "k={a", "k", "=1", "k="])
def test_values_that_cannot_be_read_are_refused(vary):
    with pytest.raises(UsageError, match="cannot be read"):
        swept(None, vary)


def test_two_recipes_of_one_name_are_refused_before_anything_is_made(tmp_path, capsys):
    for file in ("one.yaml", "two.yaml"):
        (tmp_path / file).write_text(yaml.safe_dump(load_recipe("sim-i").resolved(), sort_keys=False))
    words = ["compare", *(str(tmp_path / file) for file in ("one.yaml", "two.yaml")), "--out", str(tmp_path / "out")]
    for more in ([], ["--list"]):
        with pytest.raises(SystemExit) as end:
            app.main([*words, "--methods", "concat", *more])
        assert end.value.code == 2
        assert "two.yaml" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    cells = cells_of("sim-i", [Variant("a")], [0], tmp_path)
    must_be_apart(cells)
    with pytest.raises(UsageError, match="share a folder"):
        must_be_apart(cells * 2)


@pytest.fixture
def grid(tmp_path):
    """An input, and the only cell of a grid over it, run to its end."""
    folder = tmp_path / "raw"
    folder.mkdir()
    write_tables(folder)
    values = table_recipe().model_copy(update={"name": "rows"}).resolved()
    short = {"batch": 16, "epochs": 1}
    values |= {"fusion": {"method": "concat"}, "head": {"hidden": 4}, "warmup": short, "train": short}
    values |= {"evaluate": {"bootstrap": 10}}
    (tmp_path / "rows.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    (cell,) = cells_of(str(tmp_path / "rows.yaml"), [Variant("concat")], [0], tmp_path / "out")
    once_more(cell, folder)
    return folder, cell


def once_more(cell, folder):
    return run.run(cell.recipe, folder, cell.folder, Job(device="cpu", threads=1))


def test_a_cell_is_done_on_its_own_input_only(grid, tmp_path):
    folder, cell = grid
    assert Launch(tmp_path, folder).is_done(cell)
    assert Launch(tmp_path, folder / ".." / "raw").is_done(cell)  # the same place in other words
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    assert not Launch(tmp_path, moved).is_done(cell)
    first = once_more(cell, moved)
    assert first.already_there  # the same content: there is nothing to be made again
    assert Launch(tmp_path, moved).is_done(cell)
    assert not Launch(tmp_path, folder).is_done(cell)
    with (moved / "rna.csv").open("a") as file:
        file.write("p99,1,2,3\n")
    assert not Launch(tmp_path, moved).is_done(cell)
    once_more(cell, moved)
    assert Launch(tmp_path, moved).is_done(cell)


def test_a_run_on_other_input_counts_its_own_time_only(grid, tmp_path):
    folder, cell = grid
    record = cell.record
    record.seconds = 1e6
    record.write(cell.folder)
    with (folder / "rna.csv").open("a") as file:
        file.write("p99,1,2,3\n")
    once_more(cell, folder)
    assert cell.record.seconds < 1e5


def test_collecting_leaves_out_what_another_input_gave_and_says_so(grid, tmp_path):
    folder, cell = grid
    job = Job(device="cpu", threads=1)
    assert outcome(cell, Launch(tmp_path, folder), job).state == "done"
    assert outcome(cell, Launch(tmp_path), job).state == "done"  # no input is named, so none can differ
    with (folder / "protein.csv").open("a") as file:
        file.write("p99,1,2\n")
    left_out = outcome(cell, Launch(tmp_path, folder), job)
    assert left_out.state == "new"
    assert "another --input" in left_out.reason


@pytest.fixture
def slow_data(monkeypatch):
    """Simulating takes a second longer than it does; finding what was simulated does not."""
    real = simulate.run

    def slowly(recipe, out, job):
        if not out.exists():
            time.sleep(1.0)
        return real(recipe, out, job)

    monkeypatch.setattr(simulate, "run", slowly)


def shared_run(recipe, folder):
    run.run(recipe, None, folder, Job(device="cpu"), folder.parent / "shared")
    return RunRecord.of(folder, recipe.hash())


def test_who_comes_first_is_not_charged_with_what_all_runs_share(slow_data, tmp_path):
    recipe = small_recipe()
    begun = time.monotonic()
    first = shared_run(recipe, tmp_path / "first")
    assert first.shared_seconds >= 1.0
    assert first.seconds <= time.monotonic() - begun - 1.0
    assert shared_run(recipe, tmp_path / "second").shared_seconds < 1.0


def test_waiting_for_who_makes_what_is_shared_is_not_charged_either(tmp_path):
    recipe = small_recipe()
    shared_run(recipe, tmp_path / "first")
    (dataset,) = (tmp_path / "shared").glob("dataset-*.h5")
    held, begun = threading.Event(), time.monotonic()

    def hold():
        with exclusive(dataset.with_name(f".{dataset.name}.lock"), Job(device="cpu")):
            held.set()
            time.sleep(1.5)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(10)
    record = shared_run(recipe, tmp_path / "second")
    holder.join()
    assert record.shared_seconds >= 1.0
    assert record.seconds <= time.monotonic() - begun - 1.0


def test_a_run_that_shares_nothing_has_all_of_its_time(slow_data, tmp_path):
    recipe = small_recipe()
    run.run(recipe, None, tmp_path / "alone", Job(device="cpu"))
    record = RunRecord.of(tmp_path / "alone", recipe.hash())
    assert record.seconds >= 1.0
    assert record.shared_seconds == 0.0


def test_a_record_that_did_not_tell_shared_time_apart_does_not_claim_to(tmp_path):
    RunRecord("r", "stopped", seconds=30.0).write(tmp_path)
    assert RunRecord.of(tmp_path, "r").add("done", 2.0, 0.0).shared_seconds is None


def test_the_file_of_cells_says_what_a_kl_is_in_and_what_was_shared(tmp_path):
    path, job = tmp_path / "small.yaml", Job(device="cpu")
    path.write_text(yaml.safe_dump(small_recipe().resolved(), sort_keys=False), encoding="utf-8")
    chosen = [Variant("omib"), *(Variant(name, {"fusion": {"method": name}}) for name in ("l-mib", "concat"))]
    cells = cells_of(str(path), chosen, [0], tmp_path)
    for cell in cells:
        run.run(cell.recipe, None, cell.folder, job, tmp_path / "shared")
    compare.run(cells, Launch(tmp_path), job, reference="omib", collect_only=True, bootstrap=0)
    with (tmp_path / "small.csv").open(encoding="utf-8") as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    assert [rows[cell.variant.name]["kl_unit"] for cell in cells] == ["nats", "nats per dimension", ""]
    assert all(float(row["shared_seconds"]) > 0.0 for row in rows.values())
    assert "no run is charged with it" in (tmp_path / "small.md").read_text(encoding="utf-8")


def test_a_sweep_shows_the_validation_metric_beside_the_tests_and_says_which_may_choose(tmp_path, capsys):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small_recipe().resolved(), sort_keys=False), encoding="utf-8")
    words = [
        "sweep",
        str(path),
        "--vary",
        "train.epochs=1,2",
        "--seeds",
        "1",
        "--out",
        str(tmp_path / "out"),
        "--quiet",
    ]
    cells = cells_of(str(path), swept(None, "train.epochs=1,2"), [0], tmp_path / "out")
    for cell in cells:
        run.run(cell.recipe, None, cell.folder, Job(device="cpu", threads=1), tmp_path / "out" / "shared")
    with pytest.raises(SystemExit) as end:
        app.main([*words, "--collect", "--json"])
    assert end.value.code == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    kept = [json.loads(line) for line in (cells[1].folder / "model.metrics.jsonl").read_text().splitlines()]
    expected = next(row["validation/accuracy"] for row in kept if row.get("kept") and row["phase"] == "train")
    assert table["rows"][1]["extra"]["validation/accuracy"]["mean"] == expected
    text = (tmp_path / "out" / "small.md").read_text(encoding="utf-8")
    assert "| Accuracy, validation |" in text
    assert "Choose a value by its validation metric alone" in text


def test_a_sweep_over_folds_says_whether_its_table_may_choose(grid, tmp_path, capsys):
    folder, _ = grid
    words = ["sweep", str(tmp_path / "rows.yaml"), "--input", str(folder), "--vary", "train.epochs=2", "--folds", "2"]
    more = ["--within", "train", "--out", str(tmp_path / "swept"), "--threads", "1", "--quiet", "--json"]
    more += ["--set", "evaluate.references=[]"]
    with pytest.raises(SystemExit) as end:
        app.main([*words, *more])
    assert end.value.code == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert [row["runs"] for row in table["rows"]] == [2, 2]
    assert any("took no part in it" in note for note in table["notes"])
    assert "All samples are tested here" in said_of_choosing("all")
