"""The report's contents: figures, differences, curves and what they rest on."""

import json

import numpy as np
import pytest
import tensorflow as tf

from keras_xcons import Report, data, evaluate, models
from keras_xcons.evaluation import METRICS, measure, summarize
from tests.evaluation.colors import (
    IMAGES,
    KNOWN,
    LABELS,
    batches,
    boxes,
    color_classifier,
    masks,
)

FAST = ["accuracy", "localisation", "consistency", "complexity"]


def contents(model, *parts, metrics=FAST, **options):
    report = evaluate(model, batches(*parts), metrics, verbose=0, **options)
    return report.to_dict()


@pytest.fixture(scope="module")
def full():
    """Two models, every metric."""
    compared = {"plain": color_classifier(), "biased": color_classifier(scale=0.1)}
    return evaluate(
        compared,
        batches(IMAGES, LABELS, masks()),
        verbose=0,
        steps=3,
        pgd_steps=2,
        class_names=["red", "green"],
    )


def test_every_metric_that_the_data_allow_is_in_the_report(full):
    found = full.to_dict()
    named = [metric["name"] for metric in found["metrics"]]
    missing = [name for entry in found["left_out"] for name in entry["metrics"]]
    assert sorted([*named, *missing]) == sorted(METRICS)
    assert {"top_5_accuracy", "mean_average_precision"} <= set(missing)
    for figures in found["figures"].values():
        assert list(figures) == named
        for name, figure in figures.items():
            low, high = METRICS[name].range
            assert figure["low"] <= figure["value"] <= figure["high"], name
            assert low <= figure["value"] <= (np.inf if high is None else high), name
            assert figure["n"] + figure["skipped"] == len(IMAGES), name


def test_report_holds_plain_values_only(full):
    found = full.to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_figures_are_those_of_the_measured_values(full):
    found = full.to_dict()["figures"]["plain"]
    values = measure(
        color_classifier(), batches(IMAGES, LABELS, masks()), "localisation"
    )
    for name, row in values.items():
        how = {"statistic": METRICS[name].statistic, "limits": METRICS[name].range}
        assert found[name] == summarize(row, **how), name
    assert found["accuracy"]["value"] == pytest.approx(KNOWN[0].mean())


def test_models_are_compared_image_by_image(full):
    found = full.to_dict()
    assert list(found["differences"]) == ["biased"]
    differences = found["differences"]["biased"]
    for name, difference in differences.items():
        plain, biased = (found["figures"][m][name] for m in ("plain", "biased"))
        if plain["n"] == biased["n"] == difference["n"]:
            expected = biased["value"] - plain["value"]
            assert difference["value"] == pytest.approx(expected, abs=1e-6), name
        assert difference["better"] in (None, "plain", "biased")
    # The same maps: nothing to choose between.
    assert differences["pointing_game"]["value"] == 0.0
    assert differences["pointing_game"]["better"] is None


@pytest.mark.parametrize("first, better", [("good", "good"), ("bad", "good")])
def test_the_better_one_is_marked_by_the_direction(first, better):
    # Red is named green by the one and red by the other.
    bad = color_classifier(scale=-1.0)
    compared = {"good": color_classifier(), "bad": bad}
    compared = {first: compared.pop(first), **compared}
    # So many, as of eight images that are alike others may still be otherwise.
    images = np.repeat(IMAGES[:1], 40, axis=0)
    labels = np.zeros(40, "int32")
    names = ["accuracy", "deletion"]
    found = contents(compared, images, labels, metrics=names)
    (differences,) = found["differences"].values()
    assert differences["accuracy"]["better"] == better
    # Deletion is better when lower: the one that never believed in red wins.
    assert differences["deletion"]["better"] == "bad"


def test_one_model_is_compared_with_none():
    assert contents(color_classifier(), IMAGES, LABELS)["differences"] == {}


def test_max_box_acc_stands_beside_its_baseline(full):
    found = full.to_dict()
    assert set(found["baselines"]) == {"max_box_acc", "max_box_acc_v2"}
    curve = found["curves"]["max_box_acc"]
    assert list(curve["y"]) == ["plain", "biased", "centre Gaussian"]
    for name, values in curve["y"].items():
        assert len(values) == len(curve["x"])
        figure = (
            found["baselines"]["max_box_acc"][name]
            if name == "centre Gaussian"
            else found["figures"][name]["max_box_acc"]
        )
        assert max(values) == pytest.approx(figure["in_sample"])
        assert figure["low"] <= figure["value"] <= figure["high"]


def test_curves_end_where_they_must(full):
    curves = full.to_dict()["curves"]
    for name in ("insertion", "deletion"):
        assert curves[name]["x"] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    # The whole image ends the one and begins the other.
    for model in ("plain", "biased"):
        ends = curves["insertion"]["y"][model][-1], curves["deletion"]["y"][model][0]
        assert ends[0] == pytest.approx(ends[1])
    figures = full.to_dict()["figures"]["plain"]
    area = np.trapezoid(curves["deletion"]["y"]["plain"], curves["deletion"]["x"])
    assert area == pytest.approx(figures["deletion"]["value"], abs=1e-6)
    # One heatmap is empty.
    assert sum(curves["consistency"]["counts"]["plain"]) == len(IMAGES) - 1


def test_gallery_shows_the_same_images_of_every_model(full):
    samples = full.samples
    assert [sample.index for sample in samples] == [0, 1, 2, 3, 4]
    third = samples[2]
    assert third.label == "red" and third.mask.sum() == 4
    np.testing.assert_array_equal(third.image, IMAGES[2])
    view = third.views["plain"]
    assert (view.predicted, view.correct) == ("green", False)
    assert 0.5 < view.confidence <= 1.0
    assert view.heatmap.max() == pytest.approx(1.0)
    change = np.abs(view.adversary.astype(int) - third.image)
    assert change.max() == 4


def test_gallery_size_is_the_callers():
    dataset = batches(IMAGES, LABELS, boxes())
    few = evaluate(color_classifier(), dataset, "accuracy", verbose=0, gallery=2)
    again = evaluate(color_classifier(), dataset, "accuracy", verbose=0, gallery=2)
    assert len(few.samples) == 2
    assert [s.index for s in few.samples] == [s.index for s in again.samples]
    assert few.samples[0].boxes.shape == (2, 4)
    none = evaluate(color_classifier(), dataset, "accuracy", verbose=0, gallery=0)
    assert list(none.samples) == []


def test_a_third_of_the_gallery_is_wrong_where_there_are_wrong_ones():
    images, labels = np.repeat(IMAGES[:1], 60, axis=0), np.zeros(60, "int32")
    labels[40:] = 1
    compared = {"first": color_classifier(), "other": color_classifier(scale=-1.0)}
    chosen = []
    for size in (7, 60):
        dataset = batches(images, labels, size=size)
        report = evaluate(compared, dataset, "accuracy", verbose=0, gallery=12)
        found = [sample.views["first"].correct for sample in report.samples]
        assert len(found) == 12 and 4 <= found.count(False) < 12
        chosen.append([sample.index for sample in report.samples])
    assert chosen[0] == chosen[1] == sorted(chosen[0])
    dataset = batches(images, np.zeros(60, "int32"))
    report = evaluate(color_classifier(), dataset, "accuracy", verbose=0, gallery=9)
    assert len(report.samples) == 9


def test_the_same_call_gives_the_same_numbers():
    names = ["robustness", "backgrounds", "consistency", "deletion"]
    found = [
        contents(color_classifier(scale=0.1), IMAGES, LABELS, masks(), metrics=names)
        for _ in range(2)
    ]
    assert found[0] == found[1]


def test_provenance_says_what_the_figures_rest_on(full):
    found = full.to_dict()["provenance"]
    assert (found["images"], found["classes"], found["seed"]) == (5, 2, 0)
    assert found["heatmaps"] == (
        "Grad-CAM++ of the label, divided by the maximum, not moved, their offsets "
        "were never measured"
    )
    assert found["options"]["steps"] == 3
    assert {"keras_xcons", "keras", "tensorflow", "numpy"} < set(found["versions"])
    assert found["image_size"] == [8, 8] and found["device"]
    other = contents(
        *(color_classifier(), IMAGES, LABELS),
        **dict(explained="predicted", explainer="layercam", normalize="minmax"),
    )
    assert other["provenance"]["heatmaps"] == (
        "layercam of the predicted class, minimum subtracted, then divided by the "
        "maximum, not moved, its offset was never measured"
    )


def test_everything_takes_the_map_that_was_asked_for():
    dim = 0.7 * IMAGES + 64.0  # So that no map is 0 anywhere.
    parts = color_classifier(scale=0.02), batches(dim, LABELS, masks())
    names = ["energy_pointing_game", "explanation_consistency", "average_drop", "gini"]
    plain = measure(*parts, names)
    scaled = measure(*parts, names, normalize="minmax")
    # What is left without the light is what the images without it have.
    known = measure(color_classifier(), batches(IMAGES, LABELS, masks()), names)
    for name in ("energy_pointing_game", "gini"):
        np.testing.assert_allclose(scaled[name], known[name], atol=1e-6)
    for name in names:
        assert not np.allclose(plain[name], scaled[name], equal_nan=True), name


def notes(*parts, **options):
    return " ".join(contents(color_classifier(), *parts, **options)["notes"])


def test_what_was_skipped_is_said():
    flat = boxes()
    flat[:2, 0, 2:] = flat[:2, 0, :2]
    found = contents(color_classifier(), IMAGES, LABELS, flat)
    assert "2 of 5 images have no box with an area" in " ".join(found["notes"])
    assert found["figures"]["colors"]["pointing_game"]["skipped"] == 2
    assert found["figures"]["colors"]["max_box_acc"]["skipped"] == 2
    empty = masks()
    empty[4] = 0.0
    assert "1 of 5 images have no object in their mask" in notes(IMAGES, LABELS, empty)
    one = notes(IMAGES, np.zeros(5, "int32"))
    assert "1 of 2 classes have no image" in one
    assert "sample weights" in notes(IMAGES, LABELS, np.ones(5, "float32"))
    assert "no image" not in notes(IMAGES, LABELS)


def test_a_figure_without_images_is_left_out_with_its_reason():
    found = contents(color_classifier(), IMAGES, LABELS, np.zeros_like(masks()))
    (entry,) = [e for e in found["left_out"] if "no image" in e["reason"]]
    assert {"pointing_game", "max_box_acc", "pxap"} <= set(entry["metrics"])
    assert found["baselines"] == {}
    assert "pointing_game" not in found["figures"]["colors"]


def test_too_few_backgrounds_are_a_reason_and_by_request_an_error():
    whole = np.ones_like(masks())
    for names in ("all", ["all"]):
        found = contents(
            color_classifier(), IMAGES, LABELS, whole, metrics=names, steps=2
        )
        (entry,) = [e for e in found["left_out"] if "bg_gap" in e["metrics"]]
        assert "at least as many usable backgrounds as classes" in entry["reason"]
    with pytest.raises(ValueError, match="as many usable backgrounds as classes"):
        contents(color_classifier(), IMAGES, LABELS, whole, metrics="backgrounds")


def test_photographs_as_backgrounds():
    photographs = tf.data.Dataset.from_tensor_slices(np.zeros((3, 8, 8, 3), "float32"))
    found = contents(
        color_classifier(),
        IMAGES,
        LABELS,
        masks(),
        metrics="backgrounds",
        backgrounds=photographs,
    )
    assert "3 photographs" in " ".join(found["notes"])
    with pytest.raises(ValueError, match="needs at least as many usable"):
        contents(
            color_classifier(),
            IMAGES,
            LABELS,
            masks(),
            metrics="backgrounds",
            backgrounds=photographs.take(1),
        )


def test_data_sets_are_loaded_by_name():
    model = models.create("small_cnn", 10, (32, 32))
    report = evaluate(
        model, "shapes", ["accuracy"], split="original[:30]", verbose=0, gallery=2
    )
    found = report.to_dict()
    assert found["provenance"]["split"] == "original[:30]"
    assert found["provenance"]["dataset"] == "shapes"
    assert found["provenance"]["images"] == 30
    assert report.samples[0].image.shape == (32, 32, 3)
    assert report.samples[0].label in data.info("shapes").class_names


def test_multi_label_data():
    labels = np.eye(2, dtype="float32")[LABELS]
    labels[2] = 1.0
    names = ["classification", "consistency", "deletion"]
    found = contents(color_classifier(), IMAGES, labels, metrics=names)
    figures = found["figures"]["colors"]
    # Of red, image 1 scores highest, then 0 (right) and 3 (wrong) alike, then 2; of
    # green, 2 and 4 alike, then 3 (right), 0 and 1 (wrong) with nothing.
    red = (1 + 2 / 3 + 3 / 4) / 3
    green = (1 + 1 + 3 / 5) / 3
    precision = figures["mean_average_precision"]["value"]
    assert precision == pytest.approx((red + green) / 2)
    assert "deletion" in figures


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"metrics": ["pointing"]}, ValueError, "Did you mean 'pointing_game'"),
        ({"sed": 1}, TypeError, "Unknown option. Did you mean 'seed'"),
        ({"split": "test"}, ValueError, "`split` is for a data set given by its name"),
        ({"image_size": 8}, ValueError, "`image_size` is for a data set given by"),
        ({"class_names": ["red"]}, ValueError, "`class_names` must be 2 names"),
        ({"class_names": "ab"}, ValueError, "`class_names` must be 2 names"),
        ({"metrics": None}, TypeError, "given by name"),
        ({"steps": 65}, ValueError, "`steps` must be at most 64"),
        ({"multi_label": True}, ValueError, r"shape \(batch, 2\).*multi_label=True"),
        (
            {"metrics": "accuracy", "backgrounds": "photos"},
            ValueError,
            "`backgrounds` are for the background challenge",
        ),
    ],
)
def test_refusals(arguments, error, message):
    dataset = batches(IMAGES, LABELS, masks())
    with pytest.raises(error, match=message):
        evaluate(color_classifier(), dataset, verbose=0, **arguments)


def test_data_that_change_from_reading_to_reading_are_refused():
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    shuffled = dataset.shuffle(5, reshuffle_each_iteration=True).batch(5)
    with pytest.raises(ValueError, match="the same images and labels in the same"):
        evaluate(color_classifier(), shuffled, "accuracy", verbose=0)
    fixed = dataset.shuffle(5, seed=1, reshuffle_each_iteration=False).batch(5)
    report = evaluate(color_classifier(), fixed, "accuracy", verbose=0)
    assert report.to_dict()["figures"]["colors"]["accuracy"]["n"] == 5


def readings(*each):
    """A data set that gives other batches each time it is read."""
    left = list(each)
    signature = tuple(tf.TensorSpec((None, *part.shape[1:])) for part in each[0][0])
    return tf.data.Dataset.from_generator(
        lambda: iter(left.pop(0) if left else []), output_signature=signature
    )


def test_labels_that_change_and_batches_that_are_missing_are_refused():
    batch = (IMAGES, LABELS.astype("float32"))
    other = (IMAGES, 1 - batch[1])
    cases = {"other batches": [[batch], [other]], "fewer": [[batch, batch], [batch]]}
    for message, each in cases.items():
        with pytest.raises(ValueError, match=f"Received: {message}"):
            evaluate(color_classifier(), readings(*each), "accuracy", verbose=0)


def test_empty_heatmaps_are_told():
    labels = np.ones(5, "int32")
    found = contents(color_classifier(), IMAGES[:4], labels[:4], metrics="consistency")
    # Of green there is some in the third image only.
    assert "3 of 4 heatmaps of colors are empty" in " ".join(found["notes"])
    figure = found["figures"]["colors"]["explanation_consistency"]
    assert (figure["n"], figure["skipped"]) == (1, 3)


def test_few_images_are_told_and_one_gives_no_verdict():
    compared = {"good": color_classifier(), "bad": color_classifier(scale=-1.0)}
    found = contents(compared, IMAGES[:1], LABELS[:1])
    assert "intervals are rough" in " ".join(found["notes"])
    assert found["differences"]["bad"]["accuracy"]["value"] == -1.0
    assert found["differences"]["bad"]["accuracy"]["better"] is None
    many = [np.repeat(part, 6, axis=0) for part in (IMAGES, LABELS)]
    assert "rough" not in " ".join(contents(compared, *many)["notes"])


def test_accuracy_alone_makes_no_heatmaps(monkeypatch):
    def refuse(*_):
        raise AssertionError("a heatmap was made")

    monkeypatch.setattr("keras_xcons.evaluation.probe.Probe.explain", refuse)
    names = ["accuracy", "top_5_accuracy"]
    found = contents(color_classifier(), IMAGES, LABELS, metrics=names, gallery=0)
    assert found["figures"]["colors"]["accuracy"]["n"] == 5


def test_multi_label_data_without_a_label():
    found = contents(
        *(color_classifier(), IMAGES, np.zeros((5, 2), "float32")),
        metrics=["classification", "deletion"],
    )
    reasons = {entry["reason"]: entry["metrics"] for entry in found["left_out"]}
    assert reasons["no image of this data set has a label"] == [
        "mean_average_precision"
    ]
    assert "deletion" in reasons["no image of this data set can take part"]


def test_ragged_boxes_are_padded():
    ragged = tf.ragged.constant(
        [[[0.0, 0.0, 0.5, 0.5]], [[0.0, 0.5, 0.5, 1.0], [0.0, 0.0, 0.1, 0.1]]],
        ragged_rank=1,
        dtype=tf.float32,
    )
    dataset = tf.data.Dataset.from_tensors((IMAGES[:2], LABELS[:2], ragged))
    report = evaluate(color_classifier(), dataset, "localisation", verbose=0)
    assert report.to_dict()["figures"]["colors"]["pointing_game"]["n"] == 2


def test_models_and_data_of_other_classes_are_refused():
    with pytest.raises(
        ValueError, match="has 2 classes, and the data set 'shapes' .*10"
    ):
        evaluate(color_classifier(), "shapes", verbose=0)
    model = models.create("small_cnn", 10, (32, 32))
    few = "original[:20]"
    with pytest.raises(FileNotFoundError, match="no/such/folder"):
        evaluate(model, "shapes", split=few, backgrounds="/no/such/folder", verbose=0)
    with pytest.raises(ValueError, match="`batch_size` must be"):
        evaluate(model, "shapes", split=few, batch_size=0, verbose=0)
    for names in ({1: color_classifier(), "1": color_classifier()},):
        with pytest.raises(ValueError, match="a name of its own.*'1' twice"):
            evaluate(names, batches(IMAGES, LABELS))
    with pytest.raises(ValueError, match="'centre Gaussian' of the baseline"):
        evaluate({"centre Gaussian": color_classifier()}, batches(IMAGES, LABELS))
    with pytest.raises((TypeError, ValueError), match="give a dict from a name"):
        evaluate([color_classifier(), color_classifier()], batches(IMAGES, LABELS))
    with pytest.raises(ValueError, match="at least one model"):
        evaluate({}, "shapes")
    with pytest.raises(ValueError, match="Did you mean 'shapes'"):
        evaluate(color_classifier(), "shape", verbose=0)


def test_it_is_a_report(full, tmp_path):
    assert isinstance(full, Report)
    full.to_html(tmp_path / "report.html")
    assert "plain" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_protocols_of_others_are_named_and_taken():
    parts = (IMAGES, LABELS, masks())
    names = ["pointing_game", "max_box_acc", "max_box_acc_v2"]
    ours = contents(color_classifier(), *parts, metrics=names, tolerance=3)
    theirs = contents(
        *(color_classifier(), *parts),
        **dict(metrics=names, tolerance=3, gallery=0),
        **dict(box_protocol="wsolevaluation", pointing_protocol="torchray"),
    )
    told = " ".join(theirs["notes"])
    assert "by the protocol of wsolevaluation" in told and "TorchRay's" in told
    assert "protocol" not in " ".join(ours["notes"])
    assert theirs["provenance"]["options"]["box_protocol"] == "wsolevaluation"
    # The last image's maximum is three rows above its object.
    found = [each["figures"]["colors"]["pointing_game"] for each in (ours, theirs)]
    assert found[0]["value"] == pytest.approx(found[1]["value"] + 0.2)
    # A box of theirs goes one pixel further.
    first, second = (each["baselines"]["max_box_acc_v2"] for each in (ours, theirs))
    assert first != second


@pytest.mark.parametrize("name", ["box_protocol", "pointing_protocol"])
def test_unknown_protocols_are_refused(name):
    with pytest.raises(ValueError, match=f"keras_xcons.*Received: {name}='other'"):
        contents(color_classifier(), IMAGES, LABELS, **{name: "other"})


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"notes": "One sentence."}, "list or tuple of sentences"),
        ({"notes": [1]}, "list or tuple of sentences"),
        ({"class_names": 3}, "`class_names` must be 2 names"),
        ({"on_bad_record": "foo"}, "on_bad_record"),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(wrong, message):
    with pytest.raises((TypeError, ValueError), match=message):
        contents(color_classifier(), IMAGES, LABELS, **wrong)


def test_numbers_of_numpy_are_numbers():
    options = {"seed": np.int64(3), "steps": np.int64(3), "epsilon": np.float32(4.0)}
    found = contents(color_classifier(), IMAGES, LABELS, notes=None, **options)
    assert found["provenance"]["options"]["steps"] == 3
