import dataclasses

import pytest

from keras_xcons.evaluation import GROUPS, METRICS
from keras_xcons.evaluation.catalog import select, split_by_needs
from keras_xcons.evaluation.reading import DataFacts

FACTS = DataFacts(
    num_images=4,
    image_shape=(8, 8, 3),
    truth=None,
    multi_label=False,
    class_counts=(2, 2),
    without_object=0,
    weighted=False,
    fingerprints=(0,),
)


def names(metrics):
    return [metric.name for metric in metrics]


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_metric_says_what_it_is(metric):
    assert metric.direction in ("higher", "lower")
    assert metric.description.endswith(".") and metric.label
    # Only accuracy and its like need no source.
    assert metric.source or metric.group == "classification"
    low, high = metric.range
    assert high is None or low < high
    assert set(metric.needs) <= {
        *("truth", "masks", "one label", "several labels", "a label"),
        "more than 5 classes",
    }
    card = metric.card()
    assert card["range"] == [low, high] and "statistic" not in card


def test_metrics_and_groups_are_chosen_by_name():
    assert names(select("all")) == list(METRICS)
    assert names(select(["deletion", "accuracy"])) == ["accuracy", "deletion"]
    assert names(select("complexity")) == ["gini", "flat", "entropy"]
    chosen = names(select(["gini", "faithfulness"]))
    assert chosen == [
        *("insertion", "deletion", "average_drop", "average_increase"),
        *("fidelity_5", "fidelity_10", "fidelity_20", "gini"),
    ]
    for group in GROUPS:
        assert {metric.group for metric in select(group)} >= {group}


def test_unknown_metrics_are_refused():
    with pytest.raises(ValueError, match="Did you mean 'insertion'"):
        select(["insertio"])
    with pytest.raises(ValueError, match="at least one metric"):
        select([])
    with pytest.raises(TypeError, match="given by name.*metrics=None"):
        select(None)


def left_out(num_classes=2, **facts):
    changed = dataclasses.replace(FACTS, **facts)
    possible, missing = split_by_needs(select("all"), changed, num_classes)
    for reason, absent in missing.items():
        assert set(absent).isdisjoint(names(possible)), reason
    assert len(possible) + sum(len(absent) for absent in missing.values()) == len(
        METRICS
    )
    return missing


def test_what_the_data_do_not_allow_is_left_out_with_its_reason():
    bare = left_out()
    assert "pointing_game" in bare["the data set has neither boxes nor masks"]
    assert "pxap" in bare["the data set has no masks"]
    assert bare["the model has no more than 5 classes"] == ["top_5_accuracy"]
    assert bare["every image of this data set has one label"] == [
        "binary_accuracy",
        "mean_average_precision",
    ]
    boxed = left_out(truth="boxes", num_classes=6)
    assert set(boxed) == {
        "the data set has no masks",
        "every image of this data set has one label",
    }
    masked = left_out(truth="masks", num_classes=6)
    assert set(masked) == {"every image of this data set has one label"}
    several = left_out(truth="masks", num_classes=6, multi_label=True)
    none = left_out(multi_label=True, class_counts=(0, 0))
    assert none["no image of this data set has a label"] == ["mean_average_precision"]
    assert "bg_gap" in several["an image of this data set can be of several classes"]
