"""The recipe of a published model, as data."""

import json

import pytest

from keras_xcons.recipes import Recipe, TrainOptions, read_recipe
from keras_xcons.recipes.pretrain_options import PretrainOptions

CARD = {
    "data": "the generated shapes set",
    "pretraining": "none, random weights",
    "data_license": "none, the images are generated",
    "weights_license": "Apache-2.0",
}
CONTENT = {
    "format": 2,
    "model": {"architecture": "small_cnn"},
    "method": {"name": "xcons"},
    "training": {"dataset": "shapes", "epochs": 2},
    "card": CARD,
}


def changed(part, **values):
    """The content with other values in one of its parts."""
    return {part: {**CONTENT.get(part, {}), **values}}


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "recipe.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_a_recipe_gives_the_options_of_a_run(write):
    recipe = read_recipe(write(CONTENT))
    options = recipe.make_options(output="here", epochs=3)
    assert options == TrainOptions(
        dataset="shapes", model="small_cnn", epochs=3, output="here"
    )
    assert recipe.make_options().epochs == 2


def test_options_of_the_method_reach_the_run(write):
    given = {"epsilon": 8, "schedule": "memory"}
    recipe = read_recipe(write({**CONTENT, **changed("method", options=given)}))
    assert recipe.make_options().methods == {"xcons": given}


PRETRAINING = {
    "model": {"architecture": "resnet18"},
    "method": {"name": "pretraining"},
    "training": {"dataset": "shapes", "phases": [[32, 2], [64, 1]]},
}


def test_pretraining_has_options_of_its_own(write):
    options = read_recipe(write({**CONTENT, **PRETRAINING})).make_options()
    assert isinstance(options, PretrainOptions)
    assert options.phases == ((32, 2), (64, 1))


@pytest.mark.parametrize("change", [{}, PRETRAINING, {"method": {"name": "plain"}}])
def test_what_is_written_is_complete_and_reads_back_as_the_same(write, change):
    recipe = read_recipe(write({**CONTENT, **change}))
    written = recipe.to_dict()
    # Defaults too: those of a later version may be others.
    assert written["training"]["learning_rate"] == (
        1e-1 if change is PRETRAINING else None
    )
    options = written["method"]["options"]
    assert options.get("epsilon") == (None if change else 4.0)
    # What follows from the data, and what another method takes, is no part of it.
    assert not {"num_samples", "multi_label"} & options.keys()
    assert "output" not in written["training"] and "methods" not in written["training"]
    again = read_recipe(write(written))
    assert again.to_dict() == written


OLD = {
    "format": 1,
    "method": "xcons",
    "options": {"dataset": "shapes", "model": "small_cnn", "epochs": 2, "epsilon": 8.0},
    **CARD,
    "architecture": {"width": 8},
    "metrics": ["accuracy"],
    "heatmaps": "gradcam",
}


def test_format_1_is_still_read(write):
    expected = {
        "model": {"architecture": "small_cnn", "arguments": {"width": 8}},
        # What that format meant where it said nothing.
        "method": {"name": "xcons", "options": {"preset": "paper", "epsilon": 8.0}},
        "training": {
            **{"dataset": "shapes", "epochs": 2},
            **{"label_smoothing": 0.0, "correlation": 0.95},
        },
        "evaluation": {"metrics": ["accuracy"], "explainer": "gradcam"},
        "card": CARD,
    }
    recipe = read_recipe(write(OLD))
    assert recipe == Recipe(**expected)
    assert read_recipe(write(recipe.to_dict())).to_dict() == recipe.to_dict()
    for control, options in (
        (None, {}),
        ("loss", {"sample_weights": "loss"}),
        ("whole_image", {"region": "whole_image"}),
    ):
        old = {**OLD, "options": {**OLD["options"], "control": control}}
        recipe = read_recipe(write(old))
        assert recipe.method["options"].items() >= options.items()
        assert "control" not in recipe.method["options"]
    # It held the options of XCons where they were not used.
    plain = read_recipe(write({**OLD, "method": "plain"}))
    assert plain.method == {"name": "plain", "options": {}}
    for change, message in (
        ({"options": {**OLD["options"], "epoch": 1}}, "Did you mean 'epochs'"),
        ({"options": {"control": "losses"}}, "Unknown control. Did you mean 'loss'"),
        ({"stages": {"last_epochs": 1}}, "`stages` are for a classifier that is"),
        ({"method": "xcon"}, "Unknown method. Did you mean 'xcons'"),
        ({"epochs": 1}, "Unknown field.*Received: field='epochs'"),
    ):
        with pytest.raises(ValueError, match=message):
            read_recipe(write({**OLD, **change}))


def test_a_recipe_for_another_data_set_says_so(write, pictures):
    recipe = read_recipe(write(CONTENT)).on_dataset(pictures)
    assert recipe.card["data"] == f"{pictures.name}: 24 training images of 2 classes"
    assert recipe.card["data_license"] == f"that of {pictures.name}"
    assert recipe.dataset == pictures.name
    assert recipe.training["epochs"] == 2
    # Which only the generated set takes.
    sized = write({**CONTENT, **changed("training", num_samples=48, correlation=0.7)})
    moved = read_recipe(sized).on_dataset(pictures).training
    assert not {"num_samples", "correlation"} & moved.keys()
    assert read_recipe(sized).on_dataset("shapes").training["num_samples"] == 48


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 2}, "Unknown field.*Received: field='epoch'"),
        ({"format": 3}, r"recipes of format 1 to 2. Received: format=3"),
        ({"format": "2"}, "Received: format='2'"),
        ({"format": True}, "Received: format=True"),
        ({"method": {"name": "xcon"}}, "Unknown method. Did you mean 'xcons'"),
        ({"method": {"name": ["plain"]}}, r"Unknown method.*method=\['plain'\]"),
        ({"method": "plain"}, "Unknown method.*Received: method=None"),
        (changed("method", options=[1]), "`options` of a recipe must be an object"),
        (changed("method", options={"epsilom": 1}), "Did you mean 'epsilon'"),
        (changed("method", option={}), "Unknown key of `method`.*'options'"),
        (
            {"method": {"name": "plain", "options": {"epsilon": 1}}},
            "`epsilon` is an option of the method .*'xcons'",
        ),
        (changed("method", options={"epsilon": "4"}), "`epsilon` must be a number"),
        (changed("method", options={"region": "all"}), "Unknown region"),
        (changed("card", data=" "), "`data` of a recipe must be a non-empty string"),
        (changed("card", weights_license=None), "Received: weights_license=None"),
        ({"card": {"data": "some"}}, "`card` of a recipe must name the pretraining"),
        (changed("training", epoch=2), "Unknown key of `training`.*'epochs'"),
        (changed("training", output="x"), "Unknown key of `training`"),
        ({"training": {"epochs": 1}}, "must name the dataset"),
        (changed("training", epochs=0), "epochs=0"),
        (changed("training", epochs="2"), "`epochs` must be a number"),
        (changed("training", epochs=2.0), "`epochs` must be an int"),
        (changed("training", seed=True), "`seed` must be an int"),
        (changed("training", augment=1), "`augment` must be True or False"),
        (changed("training", dataset=3), "`dataset` must be a path"),
        (changed("training", pretrained=5), "`pretrained` must be a path"),
        ({"model": {}}, "must name the architecture"),
        ({"model": ["small_cnn"]}, "`model` of a recipe must be an object"),
        (changed("model", architecture="small_cn"), "architecture='small_cn'"),
        (changed("model", arguments={"weight": 3}), "Received: argument='weight'"),
        (changed("model", arguments=["a"]), "`arguments` of a recipe must be an ob"),
        (changed("model", stages=None), "`stages` of a recipe must be an object"),
        (changed("model", stages={"last_epochs": 1}), "`stages` are for a classifier"),
        (changed("model", objective={"cluster": 1}), "`objective` holds options of"),
        (changed("training", dataset=None), "`dataset` must be a path"),
        (changed("method", options={"multi_label": True}), "follows from the data"),
        ({"evaluation": {"metrics": ["acuracy"]}}, "Received: metric='acuracy'"),
        ({"evaluation": {"metrics": 3}}, "`metrics` of a recipe must be a list"),
        ({"evaluation": {"metrics": "accuracy"}}, "must be a list of names"),
        ({"evaluation": {"metrics": []}}, r"at least one. Received: metrics=\[\]"),
        ({"evaluation": {"metrics": [1]}}, r"Received: metrics=\[1\]"),
        ({"evaluation": {"explainer": "gradcm"}}, "Unknown explainer. Did you mean"),
        (
            {
                **PRETRAINING,
                "model": {"architecture": "resnet18", "arguments": {"drop": 0.5}},
            },
            "Did you mean 'dropout'.*Received: argument='drop'",
        ),
        (
            {**PRETRAINING, "training": {"dataset": "shapes", "seed": 1.5}},
            "The option `seed` must be an integer",
        ),
        (
            {**PRETRAINING, "model": {"architecture": "protopnet"}},
            "pretrain its backbone. Received: architecture='protopnet'",
        ),
    ],
)
def test_a_wrong_recipe_is_refused(write, change, message):
    path = write({**CONTENT, **change})
    with pytest.raises(ValueError, match=message) as refused:
        read_recipe(path)
    assert str(path) in str(refused.value)


def test_a_recipe_lacks_nothing(write):
    for name in ("model", "method", "training", "card"):
        content = {key: value for key, value in CONTENT.items() if key != name}
        with pytest.raises(ValueError, match=rf"lacks the fields \['{name}'\]"):
            read_recipe(write(content))


def test_a_recipe_is_a_json_object(write, tmp_path):
    whole = json.dumps(CONTENT)
    twice = whole.replace('"method"', '"method": {"name": "plain"}, "method"', 1)
    endless = json.dumps(CONTENT).replace('"epochs": 2', '"weight_decay": Infinity')
    for text in ("{", "[1]", twice, endless):
        with pytest.raises(ValueError, match="cannot be used"):
            read_recipe(write(text))
    with pytest.raises(FileNotFoundError, match="no such recipe"):
        read_recipe(tmp_path / "none.json")


def test_a_recipe_is_checked_however_it_is_made():
    parts = {key: value for key, value in CONTENT.items() if key != "format"}
    with pytest.raises(ValueError, match="Unknown method"):
        Recipe(**{**parts, "method": {"name": "magic"}})


STAGES = {"warm_epochs": 1, "push_start": 2, "push_every": 2, "last_epochs": 1}
PROTOPNET = {
    **CONTENT,
    "model": {
        "architecture": "protopnet",
        "arguments": {"backbone": "small_cnn"},
        "stages": STAGES,
    },
    "training": {"dataset": "shapes", "epochs": 7},
}


def test_a_protopnet_ends_with_the_last_layer_of_a_push(write):
    for epochs in (3, 6, 9):
        training = {"dataset": "shapes", "epochs": epochs}
        recipe = read_recipe(write({**PROTOPNET, "training": training}))
        assert recipe.make_options().epochs == epochs
    with pytest.raises(ValueError, match=r"as after 3, 6, 9 epochs.*epochs=7"):
        read_recipe(write(PROTOPNET))


def test_stages_are_those_of_a_protopnet(write):
    model = {**PROTOPNET["model"], "stages": {"push_begin": 2}}
    with pytest.raises(ValueError, match="Did you mean .*stage_option='push_begin'"):
        read_recipe(write({**PROTOPNET, "model": model}))
