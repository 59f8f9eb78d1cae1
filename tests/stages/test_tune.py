"""``omib tune``: what it writes and refuses, that it goes on where it was, and that no test sample chooses anything."""

from __future__ import annotations

import json
import sys

import pytest
from small import small_recipe
from table_data import label_frame
from tuning_data import omib, rows, spoil, trials, words, write_all

from omib_cli.errors import Pruned
from omib_cli.recipe.load import load_recipe
from omib_cli.runtime.job import Job
from omib_cli.stages import run
from omib_cli.stages.cells import Launch, Watch
from omib_cli.stages.searching import Search, SearchPlan
from omib_cli.stages.trials import JOURNAL, Ledger, Reporter


@pytest.fixture
def files(tmp_path):
    """A recipe that is tuned in a moment, and its input."""
    return write_all(tmp_path)


def test_a_search_is_written_in_every_form_and_its_best_recipe_runs(files, tmp_path, capsys):
    out = tmp_path / "out"
    assert omib(*words(files, out, "--trials", "12", "--again", "2", "--json")) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {path.suffix for path in out.glob("rows.*")} == {".md", ".json", ".csv", ".png", ".html"}
    found = trials(out)
    assert [trial["trial"] for trial in found] == list(range(12))
    assert found[0]["values"] == {"*.optimiser.lr": 0.01, "fusion.latent": 4, "train.epochs": 4}
    assert all(3 <= trial["values"]["train.epochs"] <= 5 for trial in found)
    done = [trial for trial in found if trial["state"] == "done"]
    best = max(done, key=lambda trial: (trial["score"], -trial["loss"]))
    assert shown["best"] == best["trial"]
    table = rows(out / "rows.csv")
    assert [float(row["score"]) for row in table if row["score"]] == [trial["score"] for trial in done]
    assert not list(out.rglob("*.safetensors"))
    assert not list(out.rglob("embedding.h5ad"))
    recipe = load_recipe(out / "rows-tuned.yaml")
    assert recipe.train.optimiser.lr == recipe.warmup.optimiser.lr == best["values"]["*.optimiser.lr"]
    assert (recipe.name, recipe.train.epochs) == ("rows-tuned", best["values"]["train.epochs"])
    assert run.run(recipe, files[1], tmp_path / "run", Job(device="cpu", threads=1), until="embedding").out.exists()
    margin = shown["margin"]
    assert margin is None or margin["difference"]["n"] == 2
    assert shown["verdict"] in (out / "rows.md").read_text(encoding="utf-8")


def test_more_trials_later_are_those_of_one_search(files, tmp_path):
    for count in ("5", "12"):
        assert omib(*words(files, tmp_path / "pieces", "--trials", count, "--again", "0")) == 0
    assert omib(*words(files, tmp_path / "whole", "--trials", "12", "--again", "0")) == 0
    assert trials(tmp_path / "pieces") == trials(tmp_path / "whole")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "whole").rglob("run.json")}
    assert omib(*words(files, tmp_path / "whole", "--trials", "12", "--again", "0")) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "whole").rglob("run.json")} == stamps


def test_inner_folds_judge_every_sample_outside_the_test_split_once(files, tmp_path):
    out = tmp_path / "out"
    assert omib(*words(files, out, "--trials", "2", "--folds", "2", "--again", "1")) == 0
    found = trials(out)
    assert [len(trial["scores"]) for trial in found] == [2, 2]
    assert found[0]["score"] == pytest.approx(sum(found[0]["scores"]) / 2)
    assert len(list((out / "shared").glob("dataset-*.h5"))) in (2, 4)  # with another seed, other folds


def test_what_the_test_split_holds_changes_nothing(files, tmp_path):
    assert omib(*words(files, tmp_path / "before", "--trials", "4", "--again", "0")) == 0
    labels = label_frame()
    spoil(files[1], labels["id"][labels["split"] == "test"].tolist())
    labels.loc[labels["split"] == "test", "y"] = "sick"
    labels.to_csv(files[1] / "labels.csv", index=False)
    assert omib(*words(files, tmp_path / "after", "--trials", "4", "--again", "0")) == 0
    assert trials(tmp_path / "after") == trials(tmp_path / "before")
    spoil(files[1], labels["id"][labels["split"] == "train"].tolist()[::3])  # the check can fail
    assert omib(*words(files, tmp_path / "other", "--trials", "4", "--again", "0")) == 0
    assert trials(tmp_path / "other") != trials(tmp_path / "before")


def test_a_failed_trial_is_a_row_with_its_reason(tmp_path, capsys):
    tune = {"train.optimiser.lr": {"choices": [0.01, 1e30]}, "fusion.heads": {"choices": [4, 2]}}
    tune["fusion.latent"] = {"choices": [4, 8]}
    files = write_all(tmp_path, tune=tune)
    assert omib(*words(files, tmp_path / "out", "--trials", "6", "--again", "0")) == 0
    failed = [trial for trial in trials(tmp_path / "out") if trial["state"] == "failed"]
    assert failed
    assert all("diverged" in trial["reason"] for trial in failed)
    assert len(trials(tmp_path / "out")) == 6


def test_values_that_a_recipe_takes_one_by_one_and_not_together_are_a_failed_trial(tmp_path):
    tune = {"fusion.heads": {"choices": [2, 4]}, "fusion.latent": {"choices": [4, 6]}}
    with pytest.raises(AssertionError):  # 6 is no multiple of the recipe's 4 heads: refused before anything runs
        assert omib(*words(write_all(tmp_path / "a", tune=tune), tmp_path / "a" / "out", "--trials", "2")) == 0
    files = write_all(tmp_path / "b", tune=tune, fusion={"method": "omib", "latent": 4, "heads": 2})
    assert omib(*words(files, tmp_path / "out", "--trials", "12", "--again", "0")) == 0
    failed = [trial for trial in trials(tmp_path / "out") if trial["state"] == "failed"]
    assert failed
    assert all(trial["values"] == {"fusion.heads": 4, "fusion.latent": 6} for trial in failed)
    assert all("no multiple" in trial["reason"] for trial in failed)


def test_a_search_of_which_nothing_runs_says_so(files, tmp_path, capsys):
    given = words(files, tmp_path / "out", "--trials", "2", "--set", "train.optimiser.lr=1e30", "--set", "tune={}")
    assert omib(*given) == 5
    assert "none of 2 trials" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*-tuned.yaml"))


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--set", "data.split.validation=0"], 2, "no validation samples"),
        (["--folds", "21"], 3, "more folds than samples"),
        (["--set", 'tune={"objective": {"choices": ["test", "validation"]}}'], 2, "may choose nothing"),
        (["--set", 'tune={"train.bacth": {"low": 1, "high": 2}}'], 2, "did you mean 'train.batch'"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_any_trial(files, tmp_path, capsys, more, code, said):
    assert omib(*words(files, tmp_path / "out", "--trials", "2", *more)) == code
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("run.json"))


def test_folds_of_a_source_that_divides_its_data_itself_are_refused(tmp_path, capsys):
    assert omib("tune", "sim-i", "--folds", "3", "--out", str(tmp_path)) == 2
    assert "divides its data itself" in capsys.readouterr().err


def test_a_folder_with_another_search_is_refused(files, tmp_path, capsys):
    out = tmp_path / "out"
    assert omib(*words(files, out, "--trials", "1", "--again", "0")) == 0
    before = (out / "rows.json").read_text(encoding="utf-8")
    for more in (["--seed", "1"], ["--folds", "2"], ["--set", "train.batch=8"], ["--set", "tune={}"]):
        assert omib(*words(files, out, "--trials", "1", *more)) == 4
        assert "another search" in capsys.readouterr().err
    spoil(files[1], ["p00"])
    assert omib(*words(files, out, "--trials", "1")) == 4
    assert (out / "rows.json").read_text(encoding="utf-8") == before


def test_without_optuna_the_message_says_what_to_install(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    for name in ("trials", "searching", "tune"):
        monkeypatch.delitem(sys.modules, f"omib_cli.stages.{name}", raising=False)
        monkeypatch.delattr(f"omib_cli.stages.{name}", raising=False)
    assert omib(*words(files, tmp_path / "out")) == 2
    assert "omib[tune]" in capsys.readouterr().err


def search(files, out, count=3, at_once=1):
    launch = Launch(out, files[1], "cpu", until="model", apart=False)
    return Search(SearchPlan(str(files[0]), (), 0, count), launch, Job(device="cpu", threads=1), at_once)


def folder_of(cell):
    return cell.folder.parent.name


def test_processes_share_a_search_and_take_over_what_a_dead_one_began(files, tmp_path):
    first, second = search(files, tmp_path), search(files, tmp_path)
    begun = [first.take(), second.take()]
    assert [folder_of(cell) for cell in begun] == ["trial-000", "trial-001"]
    assert first.take() is None  # one at a time
    first._open[0].claim.release()  # as the system does when a process is killed
    third = search(files, tmp_path, at_once=3)
    assert [folder_of(third.take()), folder_of(third.take())] == ["trial-000", "trial-002"]
    assert third.take() is None
    assert third.ledger.count == 3


def test_what_is_proposed_depends_on_seed_number_and_ended_trials_alone(files, tmp_path):
    one, other = (search(files, tmp_path / name, count=20) for name in ("one", "other"))
    for number in range(15):
        for each in (one, other):
            each.ledger.begin(each._own)
            each.ledger.end(number, "done", {"scores": [number % 7]}, float(number % 7))
            if each is other:  # opened again after every trial
                other = search(files, tmp_path / "other", count=20)
    assert [row.values for row in one.rows()] == [row.values for row in other.rows()]
    assert len({json.dumps(row.values) for row in one.rows()}) == 15


@pytest.fixture
def ledger(tmp_path):
    """Six complete trials of ten epochs, whose accuracies end with .5 to .75."""
    made = Ledger(tmp_path / JOURNAL, "study", "accuracy", {}, [], 0, Job())
    for number in range(6):
        made.begin({})
        for epoch in range(1, 11):
            made._storage.set_trial_intermediate_value(made._identity(number), epoch, 0.05 * number + 0.05 * epoch)
        made.end(number, "done", {}, 0.5 + 0.05 * number)
    return made


def watched(ledger, tmp_path, values):
    number = ledger.begin({})
    report = Reporter(Watch(tmp_path / JOURNAL, "study", number, "accuracy", every=2, first=4), Job())
    for epoch, value in enumerate(values, start=1):
        report({"phase": "warmup", "epoch": epoch})
        report({"phase": "train", "epoch": epoch, "validation/accuracy": value})


def test_a_trial_below_the_median_is_given_up_and_one_above_it_is_not(ledger, tmp_path):
    watched(ledger, tmp_path, [0.9] * 10)
    with pytest.raises(Pruned, match="after epoch 4"):  # not before the first that counts, and every other alone
        watched(ledger, tmp_path, [0.01] * 10)


def test_reporting_an_epoch_again_after_a_kill_changes_nothing(ledger, tmp_path):
    number = ledger.begin({})
    report = Reporter(Watch(tmp_path / JOURNAL, "study", number, "accuracy", every=2, first=4), Job())
    for _ in range(2):
        report({"phase": "train", "epoch": 2, "validation/accuracy": 0.01})
    with pytest.raises(Pruned):
        report({"phase": "train", "epoch": 4, "validation/accuracy": 0.01})


def test_a_pruned_run_is_recorded_as_such(tmp_path):
    def prune(row):
        if row["phase"] == "train":
            raise Pruned("too bad")

    recipe = small_recipe()
    with pytest.raises(Pruned):
        run.run(recipe, None, tmp_path, Job(device="cpu", threads=1, after_epoch=prune), until="model")
    record = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert (record["state"], record["reason"]) == ("pruned", "too bad")


def test_a_line_of_the_journal_that_was_not_finished_is_cut_off(ledger, tmp_path):
    whole = (tmp_path / JOURNAL).read_bytes()
    (tmp_path / JOURNAL).write_bytes(whole + b'{"op_code": 4, "wor')
    again = Ledger(tmp_path / JOURNAL, "study", "accuracy", {}, [], 0, Job())
    assert again.rows() == ledger.rows()
    assert again.begin({}) == 6
    assert Ledger(tmp_path / JOURNAL, "study", "accuracy", {}, [], 0, Job()).count == 7
