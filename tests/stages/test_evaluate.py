"""``omib evaluate``: report.json, the folder whole or not at all, inputs that do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from embeddings import make_embedding

from omib_cli.artifacts.catalogue import describe, verify
from omib_cli.cli import app
from omib_cli.errors import DataError, MismatchError, StaleError, UsageError
from omib_cli.runtime.job import Job
from omib_cli.stages import evaluate


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def read(folder):
    return json.loads((folder / "report.json").read_text(), parse_constant=refuse)


@pytest.fixture
def undrawn(monkeypatch):
    """Reports without figures, where they are not the point: they take most of the time."""
    monkeypatch.setattr(evaluate, "draw_run", lambda *_: [])


def test_a_report_has_its_numbers_page_and_figures(tmp_path, job):
    embedding = make_embedding(tmp_path / "e.h5ad")
    result = evaluate.run([embedding], tmp_path / "report", job, 40)
    content = read(result.out)
    (run,) = content["runs"]
    assert run["embedding"] == describe(embedding).hash
    assert (run["name"], run["seed"], run["headline"]) == ("small", 0, "test")
    fused = run["metrics"]["test"]["fused"]["accuracy"]
    assert fused["low"] <= fused["value"] <= fused["high"]
    assert set(run["metrics"]["test"]) == {"fused", "x1", "x2"}
    assert content["across"][0]["metrics"]["accuracy"] == {"mean": fused["value"], "sd": None, "n": 1}
    assert (result.out / "report.html").read_text().startswith("<!doctype html>")
    pictures = {path.name for path in (result.out / "figures").iterdir()}
    assert {"losses.png", "relative-weights.png", "beta.png", "confusion.png", "map.png", "comparison.svg"} <= pictures
    assert all(path.stat().st_size > 1000 for path in (result.out / "figures").iterdir())
    assert result.figures["test/accuracy"] == fused["value"]
    assert result.figures["report"].endswith("report.html")


@pytest.mark.usefixtures("undrawn")
def test_undefined_metrics_are_null(tmp_path, job):
    embedding = make_embedding(tmp_path / "e.h5ad", classes=["a", "b", "never"], sizes={"train": 20, "test": 2})
    run = read(evaluate.run([embedding], tmp_path / "report", job, 20).out)["runs"][0]
    assert run["metrics"]["test"]["fused"]["auc"]["value"] is None


@pytest.mark.usefixtures("undrawn")
def test_the_report_describes_and_verifies_itself(tmp_path, job):
    embedding = make_embedding(tmp_path / "e.h5ad", "regression", sentiment=True)
    result = evaluate.run([embedding], tmp_path / "report", job, 20)
    found = verify(result.out)
    assert (found.kind, found.hash) == ("report", result.hash)
    assert found.parents == {"embedding": describe(embedding).hash}
    assert found.recipe["evaluate"]["bootstrap"] == 20


@pytest.mark.usefixtures("undrawn")
def test_a_number_changed_in_the_report_is_noticed(tmp_path, job):
    out = evaluate.run([make_embedding(tmp_path / "e.h5ad")], tmp_path / "report", job, 0).out
    content = read(out)
    content["runs"][0]["metrics"]["test"]["fused"]["accuracy"]["value"] = 1.0
    (out / "report.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="has changed"):
        verify(out)


@pytest.mark.usefixtures("undrawn")
def test_equal_inputs_give_equal_hashes(tmp_path):
    embedding = make_embedding(tmp_path / "e.h5ad")
    hashes = [
        evaluate.run([embedding], tmp_path / name, Job(threads=1, command=name), 30).hash for name in ("one", "two")
    ]
    assert hashes[0] == hashes[1]
    assert evaluate.run([embedding], tmp_path / "three", Job(threads=1), 31).hash != hashes[0]


@pytest.mark.usefixtures("undrawn")
def test_the_same_command_again_is_done_and_another_is_stale(tmp_path, job):
    embedding = make_embedding(tmp_path / "e.h5ad")
    first = evaluate.run([embedding], tmp_path / "report", job, 20)
    again = evaluate.run([embedding], tmp_path / "report", job, 20)
    assert again.already_there
    assert again.figures == first.figures
    with pytest.raises(StaleError, match="made otherwise"):
        evaluate.run([embedding], tmp_path / "report", job, 21)


@pytest.mark.usefixtures("undrawn")
def test_fresh_replaces_the_folder_as_a_whole(tmp_path):
    embedding = make_embedding(tmp_path / "e.h5ad")
    out = tmp_path / "report"
    evaluate.run([embedding], out, Job(threads=1), 20)
    (out / "figures" / "old.png").write_text("of another time")
    evaluate.run([embedding], out, Job(threads=1, fresh=True), 21)
    assert not (out / "figures" / "old.png").exists()
    assert read(out)["runs"][0]["bootstrap"]["resamples"] == 21
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.h5ad", "report"]


@pytest.mark.usefixtures("undrawn")
def test_what_a_killed_evaluation_left_is_removed_by_the_next(tmp_path, job):
    embedding = make_embedding(tmp_path / "e.h5ad")
    for name in (".report.tmp-1234", ".report.old-1234"):
        (tmp_path / name / "figures").mkdir(parents=True)
    out = evaluate.run([embedding], tmp_path / "report", job, 0).out
    assert sorted(tmp_path.iterdir()) == [embedding, out]


@pytest.mark.usefixtures("undrawn")
def test_a_failure_leaves_the_old_report(tmp_path, monkeypatch):
    embedding = make_embedding(tmp_path / "e.h5ad")
    out = tmp_path / "report"
    before = evaluate.run([embedding], out, Job(threads=1), 20)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(evaluate, "write_report", full)
    with pytest.raises(DataError, match="report could not be written"):
        evaluate.run([embedding], out, Job(threads=1, fresh=True), 20)
    assert describe(out).hash == before.hash
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.h5ad", "report"]


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.usefixtures("undrawn")
def test_a_folder_that_is_no_report_is_never_replaced(tmp_path, fresh):
    embedding = make_embedding(tmp_path / "e.h5ad")
    with pytest.raises(UsageError, match="not a report"):
        evaluate.run([embedding], tmp_path, Job(threads=1, fresh=fresh), 20)
    assert embedding.exists()


@pytest.mark.usefixtures("undrawn")
def test_several_runs_are_summed_up(tmp_path, job):
    paths = [make_embedding(tmp_path / f"{seed}.h5ad", seed=seed) for seed in range(3)]
    result = evaluate.run(paths, tmp_path / "report", job, 20)
    content = read(result.out)
    values = [run["metrics"]["test"]["fused"]["accuracy"]["value"] for run in content["runs"]]
    (row,) = content["across"]
    assert (row["name"], row["seeds"], row["split"]) == ("small, omib", [0, 1, 2], "test")
    assert row["metrics"]["accuracy"]["mean"] == pytest.approx(sum(values) / 3)
    assert row["metrics"]["accuracy"]["n"] == 3
    assert [run["seed"] for run in content["runs"]] == [0, 1, 2]
    assert list(describe(result.out).parents) == ["embedding-1", "embedding-2", "embedding-3"]
    assert (result.out / "figures" / "run-3").is_dir()
    assert result.figures["test/accuracy"] == row["metrics"]["accuracy"]["mean"]


@pytest.mark.usefixtures("undrawn")
def test_one_run_and_several_have_the_same_keys(tmp_path, job):
    paths = [make_embedding(tmp_path / f"{seed}.h5ad", seed=seed) for seed in range(2)]
    one, two = (evaluate.run(paths[:count], tmp_path / f"report-{count}", job, 20) for count in (1, 2))
    assert one.figures.keys() == two.figures.keys()
    assert (one.figures["test/accuracy_sd"], one.figures["runs"], two.figures["runs"]) == (None, 1, 2)
    assert read(one.out).keys() == read(two.out).keys()
    assert read(one.out)["across"][0].keys() == read(two.out)["across"][0].keys()


OTHERS = {
    "of another recipe": ({"name": "other"}, {}, "other, omib"),
    "of another method": ({"fusion": {"method": "concat"}}, {}, "small, concat"),
    "with another setting": ({"head": {"hidden": 3}}, {}, "small, omib, head.hidden 3"),
    "on other data": ({}, {"data": "b" * 64}, "small, omib, data bbbbbbbb"),
    "without a test split": ({"sizes": {"train": 50, "validation": 40}}, {}, "small, omib, validation split"),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.usefixtures("undrawn")
def test_what_is_not_comparable_is_not_averaged_and_has_a_name(tmp_path, job, other):
    """Two seeds of a recipe, and a run of something else."""
    how, facts, name = OTHERS[other]
    paths = [make_embedding(tmp_path / f"{seed}.h5ad", seed=seed) for seed in range(2)]
    paths.append(make_embedding(tmp_path / "other.h5ad", seed=2, facts=facts, **how))
    result = evaluate.run(paths, tmp_path / "report", job, 20)
    rows = read(result.out)["across"]
    assert [row["metrics"]["accuracy"]["n"] for row in rows] == [2, 1]
    assert [row["seeds"] for row in rows] == [[0, 1], [2]]
    assert rows[1]["name"] == name != rows[0]["name"]
    assert rows[0]["name"].startswith("small, omib")
    text = (result.out / "report.html").read_text()
    assert all(f"{row['name']}<small>" in text for row in rows)
    assert {key.partition(": ")[0] for key in result.figures if ": " in key} == {row["name"] for row in rows}


@pytest.mark.usefixtures("undrawn")
def test_two_runs_of_one_seed_are_no_two_seeds(tmp_path, job):
    paths = [make_embedding(tmp_path / f"{noise}.h5ad", noise=noise) for noise in (0.8, 0.9)]
    with pytest.raises(UsageError, match="same recipe, data and seed"):
        evaluate.run(paths, tmp_path / "report", job)


@pytest.mark.usefixtures("undrawn")
def test_several_embeddings_have_a_report_of_their_own_by_default(tmp_path, monkeypatch, capsys):
    """Each run's folder holds its own report already, as omib run leaves it."""
    monkeypatch.chdir(tmp_path)
    names = [f"run-{seed}/embedding.h5ad" for seed in range(3)]
    for seed, name in enumerate(names):
        evaluate.run(
            [make_embedding(tmp_path / name, seed=seed)], (tmp_path / name).with_name("report"), Job(threads=1)
        )

    def written(*words):
        with pytest.raises(SystemExit) as end:
            app.main(["evaluate", *words, "--bootstrap", "5", "--json"])
        assert end.value.code == 0
        return Path(json.loads(capsys.readouterr().out)["out"])

    outs = [written(*names), written(*names[:2]), written(*names[1:])]
    assert len(set(outs)) == 3
    assert {out.resolve().parent for out in outs} == {tmp_path}
    assert written(*names) == outs[0]
    assert read(outs[0])["across"][0]["seeds"] == [0, 1, 2]


@pytest.mark.usefixtures("undrawn")
def test_an_embedding_without_test_split_is_reported_on_validation(tmp_path, job):
    embedding = make_embedding(tmp_path / "e.h5ad", sizes={"train": 50, "validation": 40})
    result = evaluate.run([embedding], tmp_path / "report", job, 20)
    assert "validation/accuracy" in result.figures
    assert "no test split" in (result.out / "report.html").read_text()


@pytest.mark.parametrize(
    ("other", "what"), [({"task": "regression"}, "tasks"), ({"classes": ["no", "perhaps"]}, "classes")]
)
@pytest.mark.usefixtures("undrawn")
def test_embeddings_that_do_not_fit_are_refused_by_name(tmp_path, job, other, what):
    paths = [make_embedding(tmp_path / "first.h5ad"), make_embedding(tmp_path / "second.h5ad", seed=1, **other)]
    with pytest.raises(MismatchError, match=what) as caught:
        evaluate.run(paths, tmp_path / "report", job)
    assert caught.value.exit_code == 4
    assert "first.h5ad" in str(caught.value)
    assert "second.h5ad" in str(caught.value)
    assert not (tmp_path / "report").exists()


@pytest.mark.usefixtures("undrawn")
def test_the_same_embedding_twice_is_refused(tmp_path, job):
    embedding = make_embedding(tmp_path / "e.h5ad")
    with pytest.raises(UsageError, match="twice"):
        evaluate.run([embedding, embedding], tmp_path / "report", job)


@pytest.mark.usefixtures("undrawn")
def test_no_embedding_and_damaged_embeddings_are_refused(tmp_path, job):
    with pytest.raises(UsageError, match="no embedding"):
        evaluate.run([], tmp_path / "report", job)
    with pytest.raises(DataError, match="no such embedding"):
        evaluate.run([tmp_path / "nowhere.h5ad"], tmp_path / "report", job)
    (tmp_path / "text.h5ad").write_text("not HDF5")
    with pytest.raises(DataError, match="not a readable embedding"):
        evaluate.run([tmp_path / "text.h5ad"], tmp_path / "report", job)
