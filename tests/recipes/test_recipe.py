"""The recipe of a published model, as data."""

import json

import pytest

from keras_xcons.recipes import Recipe, TrainOptions, read_recipe
from keras_xcons.recipes.pretrain_options import PretrainOptions

CONTENT = {
    "format": 1,
    "method": "xcons",
    "options": {"dataset": "shapes", "model": "small_cnn", "epochs": 2},
    "data": "the generated shapes set",
    "pretraining": "none, random weights",
    "data_license": "none, the images are generated",
    "weights_license": "Apache-2.0",
}


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


def test_pretraining_has_options_of_its_own(write):
    content = {
        **CONTENT,
        "method": "pretraining",
        "options": {
            "dataset": "shapes",
            "model": "resnet18",
            "phases": [[32, 2], [64, 1]],
        },
    }
    options = read_recipe(write(content)).make_options()
    assert isinstance(options, PretrainOptions)
    assert options.phases == ((32, 2), (64, 1))


def test_what_is_written_is_complete_and_reads_back_as_the_same(write):
    recipe = read_recipe(write(CONTENT))
    written = recipe.to_dict()
    # Defaults too: those of a later version may be others.
    assert written["options"]["learning_rate"] is None
    assert written["options"]["epsilon"] == 4.0
    assert "output" not in written["options"]
    again = read_recipe(write(written))
    assert again.make_options() == recipe.make_options()
    assert again.to_dict() == written


def test_a_recipe_for_another_data_set_says_so(write, pictures):
    recipe = read_recipe(write(CONTENT)).on_dataset(pictures)
    assert recipe.data == f"{pictures.name}: 24 training images of 2 classes"
    assert recipe.data_license == f"that of {pictures.name}"
    assert recipe.options["dataset"] == pictures.name
    assert recipe.options["epochs"] == 2
    # Which only the generated set takes.
    sized = {**CONTENT, "options": {**CONTENT["options"], "num_samples": 48}}
    assert "num_samples" not in read_recipe(write(sized)).on_dataset(pictures).options
    same = read_recipe(write(sized)).on_dataset("shapes")
    assert same.options["num_samples"] == 48


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 2}, "Unknown field.*Received: field='epoch'"),
        ({"method": "xcon"}, "Unknown method.*Received: method='xcon'"),
        ({"format": 2}, r"reads recipes of format 1. Received: format=2"),
        ({"format": "1"}, "Received: format='1'"),
        ({"data": " "}, "`data` of a recipe must be a non-empty string"),
        ({"weights_license": None}, "Received: weights_license=None"),
        ({"options": [1]}, "`options` of a recipe must be an object"),
        (
            {"options": {**CONTENT["options"], "epoch": 2}},
            "Unknown option.*'epochs'.*Received: option='epoch'",
        ),
        (
            {"options": {**CONTENT["options"], "output": "x"}},
            "Received: option='output'",
        ),
        ({"options": {"dataset": "shapes"}}, "must name the model"),
        ({"options": {"model": "small_cnn"}}, "must name the dataset"),
        (
            {"options": {**CONTENT["options"], "model": "small_cn"}},
            "Received: model='small_cn'",
        ),
        ({"options": {**CONTENT["options"], "epochs": 0}}, "epochs=0"),
        ({"architecture": {"weight": 3}}, "Received: argument='weight'"),
        ({"metrics": ["acuracy"]}, "Received: metric='acuracy'"),
        ({"format": True}, "Received: format=True"),
        ({"method": ["plain"]}, r"Unknown method.*Received: method=\['plain'\]"),
        ({"metrics": 3}, "`metrics` of a recipe must be a list.*metrics=3"),
        ({"metrics": "accuracy"}, "must be a list of names.*metrics='accuracy'"),
        ({"metrics": []}, r"at least one. Received: metrics=\[\]"),
        ({"metrics": [1]}, r"Received: metrics=\[1\]"),
        ({"architecture": ["a"]}, r"must be an object. Received: architecture=\['a'\]"),
        ({"stages": None}, "`stages` of a recipe must be an object.*stages=None"),
        *(
            (
                {"options": {**CONTENT["options"], name: value}},
                f"`{name}` must be {accepted}. Received: {name}={value!r}",
            )
            for name, value, accepted in (
                ("dataset", 3, "a string"),
                ("pretrained", 5, "a string or null"),
                ("epochs", "2", "an integer"),
                ("epochs", 2.0, "an integer"),
                ("seed", True, "an integer"),
                ("epsilon", "4", "a number"),
                ("augment", 1, "true or false or null"),
                ("control", 2, "a string or null"),
            )
        ),
        (
            {"method": "pretraining", "architecture": {"dropout_rate": 0.5}},
            "Did you mean 'dropout'.*Received: argument='dropout_rate'",
        ),
        (
            {
                "method": "pretraining",
                "options": {"dataset": "shapes", "model": "protopnet"},
            },
            "pretrain its backbone. Received: model='protopnet'",
        ),
    ],
)
def test_a_wrong_recipe_is_refused(write, change, message):
    if change.get("method") == "pretraining":
        change = {"options": {"dataset": "shapes", "model": "small_cnn"}, **change}
    path = write({**CONTENT, **change})
    with pytest.raises(ValueError, match=message) as refused:
        read_recipe(path)
    assert str(path) in str(refused.value)


def test_a_recipe_lacks_nothing(write):
    for name in CONTENT:
        content = {key: value for key, value in CONTENT.items() if key != name}
        with pytest.raises(ValueError, match=rf"lacks the fields \['{name}'\]"):
            read_recipe(write(content))


def test_a_recipe_is_a_json_object(write, tmp_path):
    whole = json.dumps(CONTENT)
    twice = whole.replace('"method"', '"method": "plain", "method"')
    endless = json.dumps(CONTENT).replace('"epochs": 2', '"epsilon": Infinity')
    for text in ("{", "[1]", twice, endless):
        with pytest.raises(ValueError, match="cannot be used"):
            read_recipe(write(text))
    with pytest.raises(FileNotFoundError, match="no such recipe"):
        read_recipe(tmp_path / "none.json")


def test_a_recipe_is_checked_however_it_is_made():
    with pytest.raises(ValueError, match="Unknown method"):
        Recipe(**{**CONTENT, "method": "magic"})


PROTOPNET = {
    **CONTENT,
    "options": {"dataset": "shapes", "model": "protopnet", "epochs": 7},
    "architecture": {"backbone": "small_cnn"},
    "stages": {"warm_epochs": 1, "push_start": 2, "push_every": 2, "last_epochs": 1},
}


def test_a_protopnet_ends_with_the_last_layer_of_a_push(write):
    for epochs in (3, 6, 9):
        options = {**PROTOPNET["options"], "epochs": epochs}
        recipe = read_recipe(write({**PROTOPNET, "options": options}))
        assert recipe.make_options().epochs == epochs
    with pytest.raises(ValueError, match=r"as after 3, 6, 9 epochs.*epochs=7"):
        read_recipe(write(PROTOPNET))


def test_stages_are_those_of_a_protopnet(write):
    with pytest.raises(ValueError, match="`stages` are for a ProtoPNet"):
        read_recipe(write({**CONTENT, "stages": PROTOPNET["stages"]}))
    with pytest.raises(ValueError, match="Did you mean .*stage_option='push_begin'"):
        read_recipe(write({**PROTOPNET, "stages": {"push_begin": 2}}))


def test_heatmaps_are_of_an_explainer_for_the_model(write):
    with pytest.raises(ValueError, match="Did you mean 'prototypes'"):
        read_recipe(write({**CONTENT, "heatmaps": "prototype"}))
    with pytest.raises(ValueError, match="for a ProtoPNet.*model='small_cnn'"):
        read_recipe(write({**CONTENT, "heatmaps": "prototypes"}))
    options = {**PROTOPNET["options"], "epochs": 3}
    content = {**PROTOPNET, "options": options, "heatmaps": "prototypes"}
    assert read_recipe(write(content)).to_dict()["heatmaps"] == "prototypes"
