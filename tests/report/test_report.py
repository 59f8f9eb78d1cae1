"""The page and its figures: self-contained, well-formed, safe with any name, whatever the run lacks."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import types
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from embeddings import BETA, make_embedding

from omib_cli.artifacts.provenance import Provenance
from omib_cli.evaluation.conventions import CONVENTIONS, shown
from omib_cli.evaluation.metrics import Measurement, score_run
from omib_cli.evaluation.runs import read_run
from omib_cli.evaluation.shares import recall_by_class
from omib_cli.evaluation.subvectors import Subvector
from omib_cli.recipe.tasks import AnomalyOptions
from omib_cli.report import figures, maps
from omib_cli.report.blocks import interval_text
from omib_cli.report.curves import loss_figure
from omib_cli.report.drawing import colours, inline, short
from omib_cli.report.figures import draw_run
from omib_cli.report.maps import lay_out, map_figure
from omib_cli.report.page import Chapter, page
from omib_cli.report.predictions import confusion
from omib_cli.report.probabilities import rankings
from omib_cli.report.style import CSS
from omib_cli.report.tissue import left_out, tissue_figure
from omib_cli.runtime.progress import Progress
from omib_cli.tasks.anomaly import Anomaly

VOID = {"meta", "br", "img", "hr"}


class Checker(HTMLParser):
    """Counts what is open, and collects text, ids and whatever would be loaded."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.ids, self.loads = [], [], [], []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.loads += [values[key] for key in ("src", "href", "xlink:href", "data") if key in values]
        if tag in ("script", "link", "iframe", "object"):
            self.loads.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def chapter(path, bootstrap=30, **how):
    run = read_run(make_embedding(path, **how))
    scores = score_run(run, bootstrap, Progress())
    return Chapter(run, scores, draw_run(run, scores))


def checked(*chapters):
    text = page(chapters, Provenance("report", {}, "r", command="omib evaluate <x>", hash="f" * 64))
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    return text, checker


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory):
    return chapter(tmp_path_factory.mktemp("ordinary") / "e.h5ad")


def test_the_page_loads_nothing(ordinary):
    text, checker = checked(ordinary)
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in checker.loads)
    assert not re.search(r"https?://|<script|@import|url\((?!#)", text)


def test_ids_are_unique_and_references_hit(ordinary):
    text, checker = checked(ordinary, ordinary)
    assert len(set(checker.ids)) == len(checker.ids)
    wanted = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text)
    assert {a or b for a, b in wanted} <= set(checker.ids)


def test_the_page_says_what_it_must(ordinary):
    _, checker = checked(ordinary)
    text = "".join(checker.text)
    for words in (
        "Confusion matrix",
        "Map of the embedding",
        "Loss terms over epochs",
        "Relative weight r",
        "docs/information.md",
        "1/(2M\u00a0−\u00a01)",
        "relative mutual information",
        "95 % intervals",
        CONVENTIONS["auc"].words,
        ordinary.run.provenance.hash,
        "240 train, 60 validation, 100 test",
    ):
        assert words in text, words


def test_names_with_markup_are_only_names(tmp_path):
    names = ["<script>alert(1)</script>", '"quoted" & $dollar$', "x" * 90, "tab\tand\x07bell"]
    found = chapter(tmp_path / "odd.h5ad", classes=names)
    text, checker = checked(found)
    assert "<script" not in text
    assert any("<script>alert" in piece for piece in checker.text)
    for picture in found.pictures:
        ElementTree.fromstring(picture.svg)


def test_regression_shows_a_scatter(tmp_path):
    found = chapter(tmp_path / "r.h5ad", task="regression", modalities=3)
    assert "predicted" in [picture.name for picture in found.pictures]
    assert "MAE" in "".join(checked(found)[1].text)


@pytest.mark.parametrize(("classes", "curves"), [(["a", "b"], 3), (["a", "b", "c", "d"], 4)])
def test_reliability_and_thresholds_are_drawn_of_the_headline_split(tmp_path, classes, curves):
    found = chapter(tmp_path / "c.h5ad", classes=classes)
    pictures = {picture.name: picture for picture in found.pictures}
    assert "100 test samples in 5 bins" in pictures["reliability"].caption
    svg = pictures["thresholds"].svg
    areas = re.findall(r"area (0\.\d+)<", svg)
    assert len(areas) == 2 * curves
    if curves == 3:
        auc = found.scores.splits["test"]["fused"].metrics["auc"].value
        assert float(areas[0]) == pytest.approx(auc, abs=6e-4)


def test_a_class_without_a_sample_has_no_curve_and_no_recall(tmp_path):
    found = chapter(tmp_path / "c.h5ad", classes=["a", "b", "c"])
    run = replace(found.run, labels=np.where(found.run.labels == 2, 0.0, found.run.labels))
    assert [each.label for each in rankings(run)] == ["a", "b"]
    assert list(recall_by_class(run, 30)) == ["a", "b"]
    text = "".join(checked(replace(found, run=run, recalls=recall_by_class(run, 30)))[1].text)
    assert "Test, by class" in text


@pytest.mark.parametrize("classes", [5, 11, 45])
def test_any_number_of_classes_is_drawn(tmp_path, classes):
    names = [f"a class of long name number {i}" for i in range(classes)]
    found = chapter(tmp_path / "c.h5ad", classes=names, sizes={"train": 200, "test": 150})
    assert {"confusion", "map"} <= {picture.name for picture in found.pictures}
    checked(found)


def test_a_run_without_history_beta_or_information_still_has_a_report(tmp_path):
    bare = {"history": [], "beta": None, "information": None}
    found = chapter(tmp_path / "bare.h5ad", beta=None, notes=bare, sizes={"test": 30}, width=1, bootstrap=0)
    expected = ["comparison", "confusion", "reliability", "thresholds", "map"]
    assert [picture.name for picture in found.pictures] == expected
    checked(found)


def test_beta_without_bounds_says_that_they_are_unknown(tmp_path):
    given = {"policy": "value", "value": 0.5, "lower": None, "upper": None, "objective": 1 / 3, "above": False}
    text, _ = checked(chapter(tmp_path / "v.h5ad", beta=given))
    assert "bounds are not known for this run" in text


def test_beta_above_its_bound_is_said_first(tmp_path):
    text, _ = checked(chapter(tmp_path / "a.h5ad", beta={**BETA, "value": 0.6, "above": True}))
    assert text.index("above the paper&#x27;s upper bound") < text.index("<h2>")


def test_several_runs_begin_with_means(tmp_path):
    chapters = [chapter(tmp_path / f"{seed}.h5ad", seed=seed) for seed in range(2)]
    text, checker = checked(*chapters)
    assert text.index("Across runs") < text.index("Run 1: small, omib, seed 0") < text.index("All metrics")
    assert {"run-1", "run-2"} <= set(checker.ids)


def test_each_chapter_has_the_sub_vectors_of_its_own_data_and_others_none(ordinary):
    simulated = [
        replace(ordinary, subvectors={name: Subvector(1200, bayes, Measurement(0.612, 0.58, 0.64))})
        for name, bayes in (("a0", 0.667), ("a0 <&> a1", 0.5))
    ]
    text, checker = checked(*simulated, ordinary)
    assert text.count("accuracy at best") == text.count("fused prediction</th>") == 2
    for row in (["a0", "1,200", "0.667", "0.612", "0.580 to 0.640"], ["a0 <&> a1", "1,200", "0.500", "0.612"]):
        assert "|".join(row) in "|".join(checker.text)


def test_figures_are_the_same_twice(ordinary):
    again = draw_run(ordinary.run, ordinary.scores)
    assert [picture.svg for picture in again] == [picture.svg for picture in ordinary.pictures]


def test_umap_is_asked_for_with_seeds(monkeypatch):
    seen = []

    def neighbors(data, random_state, **options):
        seen.append((random_state, options["n_neighbors"]))

    def umap(data, random_state):
        seen.append(random_state)
        data.obsm["X_umap"] = data.X[:, :2]

    pp, tl = types.SimpleNamespace(neighbors=neighbors), types.SimpleNamespace(umap=umap)  # the real one compiles long
    monkeypatch.setitem(sys.modules, "scanpy", types.SimpleNamespace(pp=pp, tl=tl))
    values = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    layouts = [lay_out(values, "umap", seed) for seed in (1, 1, 2)]
    assert seen[0][1] == 11
    assert seen[:2] == seen[2:4] != seen[4:]
    assert layouts[0].positions == pytest.approx(values[:, :2])


def test_pca_finds_the_widest_directions():
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(500, 3)) * [1.0, 5.0, 3.0]).astype(np.float32)
    positions = lay_out(values, "pca", 0).positions
    assert abs(np.corrcoef(positions[:, 0], values[:, 1])[0, 1]) > 0.99
    assert abs(np.corrcoef(positions[:, 1], values[:, 2])[0, 1]) > 0.99


def test_a_class_that_no_sample_has_is_not_in_the_legend_of_the_map():
    layout = lay_out(np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32), "pca", 0)
    figure = map_figure(layout, np.ones(20), np.ones(20, dtype=bool), ["normal", "anomalous", "no label"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["anomalous"]


def test_tissue_without_labels_shows_the_scores_alone():
    positions, nothing = np.random.default_rng(0).random((9, 2)), np.full(9, np.nan)
    for labels, count in ((nothing, 1), (np.zeros(9), 2)):
        figure = tissue_figure(positions, np.arange(9.0), labels, np.full(9, "A"))
        panels = [axes for axes in figure.axes if axes.get_title() and axes.get_visible()]
        assert (len(panels), len(figure.legends)) == (count, count - 1)


def test_confusion_has_truth_in_rows():
    counts = confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_modalities_keep_their_colours_whatever_else_is_there():
    assert colours(["a", "b"])["b"] == colours(["a", "b", "c"])["b"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.8491, "0.849"), (-0.25, "−0.250"), (None, "–"), (float("nan"), "–"), (1234.5, "1,234.5"), (2.5e6, "2.5e+06")],
)
def test_numbers_are_shown_for_readers(value, text):
    assert shown(value) == text


def test_long_names_are_cut_in_the_middle():
    assert short("Invasive ductal carcinoma 12", 14) == "Invasive…a 12"
    assert short("\n") == "(empty)"


def test_inlined_figures_do_not_share_ids():
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><path id="a"/><use xlink:href="#a" clip-path="url(#b)"/></svg>'
    assert inline(svg, "f") == '<svg><path id="f-a"/><use xlink:href="#f-a" clip-path="url(#f-b)"/></svg>'


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.814, 0.8612, "0.814 to 0.861"),
        (1148.62, 1151.81, "1,148.6 to 1,151.8"),
        (1150.011, 1150.024, "1,150.011 to 1,150.024"),
        (-0.00012, 0.00031, "−0.00012 to 0.00031"),
        (1.0, 1.0, "1.000 to 1.000"),
        (3e7, 3.001e7, "3e+07 to 3.001e+07"),
        (float("nan"), float("nan"), ""),
    ],
)
def test_the_ends_of_an_interval_are_told_apart(low, high, text):
    assert interval_text(Measurement(0.0, low, high)) == text


def words(checker):
    return re.sub(r"\s+", " ", " ".join(checker.text))


@pytest.mark.parametrize(
    ("groups", "how"), [(6, "6 in the test split, too few to be resampled whole"), (12, "each resampled whole")]
)
def test_what_is_said_of_groups_is_what_was_done(tmp_path, groups, how):
    text = words(checked(chapter(tmp_path / "g.h5ad", groups=groups))[1])
    assert how in text
    assert "never divided" not in text
    assert ("too few to resample; intervals treat samples as independent" in text) == (groups < 10)
    assert ("groups, each taken whole" in text) == (groups >= 10)


def of_sections(found, labels):
    """The same run as anomaly detection in three sections."""
    task = Anomaly(AnomalyOptions(), ["normal", "anomalous"])
    recipe = found.run.recipe.model_copy(update={"task": AnomalyOptions()})
    predictors = [replace(each, scores=each.scores[:, :1]) for each in found.run.predictors]
    groups = np.array([f"section {i % 3}" for i in range(len(labels))])
    run = replace(found.run, task=task, recipe=recipe, predictors=predictors, groups=groups, labels=labels)
    scores = score_run(run, 30, Progress())
    return Chapter(run, scores, draw_run(run, scores))


def test_an_anomaly_headline_says_that_it_is_a_mean_over_sections(ordinary):
    labels = ordinary.run.labels.copy()
    labels[-10:] = np.nan
    text = words(checked(of_sections(ordinary, labels))[1])
    assert "the 90 of 100 test samples that have a label: each number is the mean over 3 sections" in text
    assert "resamples of the samples of each section" in text
    assert "3 in the test split, each judged by itself, its samples resampled" in text
    assert "too few" not in text
    assert "of an accuracy" not in text


def test_without_labels_there_are_words_in_place_of_dashes(ordinary):
    text, checker = checked(of_sections(ordinary, np.full(len(ordinary.run.labels), np.nan)))
    assert "No metric is defined on the 100 test samples: none of them has a label" in words(checker)
    assert "All metrics" not in text
    assert "<td>–</td>" not in text


def test_every_text_may_be_broken_on_a_narrow_screen_and_figures_fit_on_a_printed_page():
    """A hash or a path is one word; a figure of eight sections is longer than a page."""
    rules = dict(re.findall(r"([^{}]+){([^{}]*)}", CSS.replace("\n", "")))
    breakable = next(names for names, rule in rules.items() if rule == "overflow-wrap:anywhere").split(",")
    assert {"p", "li", "code", "figcaption"} <= set(breakable)
    assert re.search(r"@media print.*figure svg{max-height:\d+cm;max-width:100%}", CSS, re.DOTALL)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_the_page_is_no_wider_than_a_telephone(tmp_path, ordinary):
    """The widest thing is the command, which has the longest words."""
    long = Provenance("report", {}, "r", command="omib evaluate " + "/a/long/folder" * 20, hash="f" * 64)
    (tmp_path / "report.html").write_text(page([ordinary], long), encoding="utf-8")
    (tmp_path / "probe.html").write_text(
        '<body><iframe src="report.html" style="width:400px;height:800px" frameborder="0" id="f"></iframe><script>'
        "f.onload=()=>{document.body.innerText='width '+f.contentDocument.documentElement.scrollWidth}</script>"
    )
    words = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    words += [f"--user-data-dir={tmp_path / 'profile'}", "--allow-file-access-from-files"]
    words += ["--virtual-time-budget=5000", "--dump-dom", (tmp_path / "probe.html").as_uri()]
    found = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True).stdout
    assert int(re.search(r"width (\d+)", found)[1]) <= 400


def test_equal_scores_have_equal_ranks_and_sections_left_out_are_said():
    positions = np.random.default_rng(0).random((4, 2))
    figure = tissue_figure(positions, np.array([1.0, 5.0, 5.0, 9.0]), np.full(4, np.nan), np.full(4, "A"))
    np.testing.assert_allclose(figure.axes[0].collections[0].get_array(), [0.0, 0.5, 0.5, 1.0])
    assert (
        left_out(np.array([f"s{i}" for i in range(11)])) == " The first 8 of 11 sections, by name; the table has all."
    )
    assert left_out(np.array(["a", "b"])) == left_out(None) == ""


def test_the_curve_of_a_kl_names_its_unit(ordinary):
    figure = loss_figure(ordinary.run.history, ordinary.run.modalities, "nats", "nats per dimension")
    assert figure.axes[1].get_ylabel() == "KL to the prior (nats per dimension)"


def test_captions_speak_of_what_is_drawn(ordinary):
    rows = [{"phase": "train", "epoch": i, "task": 1.0 / i, "kl": 2.0} for i in (1, 2, 3)]
    notes = {**ordinary.run.provenance.notes, "history": rows}
    bare = replace(ordinary.run, provenance=replace(ordinary.run.provenance, notes=notes))
    (losses,) = (each for each in draw_run(bare, ordinary.scores) if each.name == "losses")
    assert losses.caption == "Loss of the fused head."


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_of_many_samples_some_are_drawn_and_the_caption_says_so(tmp_path, monkeypatch, task):
    everything = {picture.name: picture for picture in chapter(tmp_path / "all.h5ad", task=task).pictures}
    for module in (maps, figures):
        monkeypatch.setattr(module, "MOST_POINTS", 40)
    some = {picture.name: picture for picture in chapter(tmp_path / "some.h5ad", task=task).pictures}
    assert "At most 40 of them are drawn." in some["map"].caption
    assert len(some["map"].svg) < len(everything["map"].svg)
    if task == "regression":
        assert "34 of them are drawn." in some["predicted"].caption
    assert not any("of them are drawn" in picture.caption for picture in everything.values())


def test_a_map_made_piece_by_piece_is_the_map(monkeypatch):
    values = np.random.default_rng(0).normal(size=(90, 5)).astype(np.float32)
    whole = lay_out(values, "pca", 0).positions
    monkeypatch.setattr(maps, "PIECE", 13)
    np.testing.assert_allclose(lay_out(values, "pca", 0).positions, whole, atol=1e-9)
