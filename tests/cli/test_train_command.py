import keras
import pytest

from keras_xcons import cli, recipes
from keras_xcons.options import fields
from keras_xcons.recipes import TrainOptions


def test_train_without_flags_has_the_documented_defaults(trained):
    assert cli.main(["train"]) == 0
    assert trained == [TrainOptions()]


def test_every_flag_of_train_reaches_the_recipe(trained):
    given = {
        "dataset": "stl10",
        "model": "mobilenet_v2",
        "pretrained": "backbone.h5",
        "output": "there",
        "epochs": 3,
        "image_size": 96,
        "batch_size": 4,
        "learning_rate": 0.5,
        "weight_decay": 0.01,
        "label_smoothing": 0.2,
        "freeze_batch_norm": False,
        "dtype": "mixed_bfloat16",
        "augment": False,
        "on_bad_record": "skip",
        "seed": 7,
    }
    of_method = {
        "schedule": "memory",
        "sample_weights": "shuffled",
        "attack": "pgd",
        "epsilon": 8.0,
        "measure": "soft_iou",
        "align": (3.0, -2.5),
        "warmup_epochs": 1,
    }
    of_shapes = {"num_samples", "correlation"}
    assert fields(TrainOptions).keys() - given.keys() == {"methods", *of_shapes}
    words = [f"--{name}={value}" for name, value in given.items()]
    for prefix in ("", "xcons."):
        named = [
            f"--{prefix}{name}={'3,-2.5' if name == 'align' else value}"
            for name, value in of_method.items()
        ]
        assert cli.main(["train", *words, *named, "--noaugment"]) == 0
        assert trained.pop() == TrainOptions(methods={"xcons": of_method}, **given)
    drawn = ["--num_samples", "5", "--correlation", "0.5"]
    assert cli.main(["train", *drawn, "--augment"]) == 0
    assert trained[0] == TrainOptions(num_samples=5, correlation=0.5, augment=True)


def test_the_word_for_no_value(trained, capsys):
    given = {"effective_share": None, "agreement": None}
    for word in ("None", "none"):
        words = [f"--effective_share={word}", f"--agreement={word}"]
        assert cli.main(["train", *words]) == 0
        assert trained.pop() == TrainOptions(methods={"xcons": given})
    assert cli.main(["train", "--effective_share=no"]) == 2
    assert "--effective_share" in capsys.readouterr().err
    assert cli.main(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "<uniform|consistency|" in shown and "<hard|soft>" in shown


def test_several_methods_with_options_of_their_own(trained):
    words = ["--method=plain, xcons", "--xcons.epsilon=8", "--xcons.seed", "3"]
    assert cli.main(["train", *words, "--seed=5"]) == 0
    methods = {"plain": {}, "xcons": {"epsilon": 8.0, "seed": 3}}
    assert trained == [TrainOptions(methods=methods, seed=5)]


@pytest.mark.parametrize(
    "words, line",
    [
        (["--method=plain,xcons", "--epsilon=8"], "is for: --xcons.epsilon"),
        (["--method=plain", "--epsilon=8"], "--method does not name"),
        (["--method=plain", "--xcons.epsilon=8"], "--method does not name"),
        (["--epsilom=8"], "Did you mean: epsilon"),
    ],
)
def test_options_of_methods_that_are_not_meant(words, line, fails):
    assert line in fails(["train", *words], 2)


@pytest.mark.parametrize(
    "flag, words",
    [
        ("--method=xcon", "Unknown method. Did you mean 'xcons'"),
        ("--measure=cosin", "Unknown measure. Did you mean 'cosine'"),
        ("--model=small_cmn", "Unknown model. Did you mean 'small_cnn'"),
        ("--epochs=0", "Received: epochs=0"),
        ("--image_size=8", "Received: image_size=8"),
        ("--epsilon=300", "Received: epsilon=300.0"),
        ("--threshold=nan", "Received: threshold=nan"),
        ("--learning_rate=0", "Received: learning_rate=0.0"),
        ("--dataset=shape", "Unknown dataset. Did you mean 'shapes'"),
        ("--dataset=./nowhere", "There is no such folder. Received: './nowhere'"),
        ("--pretrained=nowhere.h5", "Received: pretrained='nowhere.h5'"),
        ("--output=file/run", "Received: output='file/run'"),
    ],
)
def test_bad_value_is_code_1_before_any_training(
    flag, words, fails, monkeypatch, places
):
    def refuse(*_, **__):
        raise AssertionError("a model was trained")

    monkeypatch.setattr(keras.Model, "fit", refuse)
    (places / "file").touch()
    line = fails(["train", flag], 1)
    assert line.startswith("keras-xcons train: error: ") and words in line
    assert sorted(path.name for path in places.iterdir()) == ["file", "zoo"]


def raising(error):
    def raise_it(*_):
        raise error

    return raise_it


def test_interruption_is_code_130(monkeypatch, fails):
    monkeypatch.setattr(recipes, "train", raising(KeyboardInterrupt()))
    told = (
        "keras-xcons train: error: interrupted; the same command goes on where it was"
    )
    assert fails(["train"], 130) == told
    assert fails(["train", "--debug"], 130) == told


@pytest.mark.parametrize(
    "error, words",
    [
        (ValueError("\n first line \nsecond line\n"), "first line"),
        (RuntimeError(), "RuntimeError"),
        (MemoryError(" \n "), "MemoryError"),
        (PermissionError(13, "Permission denied", "x"), "Permission denied: 'x'"),
    ],
)
def test_error_is_one_line(error, words, monkeypatch, fails):
    monkeypatch.setattr(recipes, "train", raising(error))
    line = fails(["train"], 1)
    assert line.startswith("keras-xcons train: error: ") and line.endswith(words)


def test_debug_shows_the_traceback(monkeypatch):
    error = ValueError("first line\nsecond line")
    monkeypatch.setattr(recipes, "train", raising(error))
    with pytest.raises(ValueError) as caught:
        cli.main(["train", "--debug"])
    assert caught.value is error
    # It is for errors, not for what was typed.
    assert cli.main(["train", "--debug", "--nonsense"]) == 2


def test_a_damaged_image_is_told_with_the_flag_that_leaves_it_out(
    image_file, places, capsys
):
    for split in ("train", "test"):
        for name in ("a", "b"):
            (places / "set" / split / name).mkdir(parents=True)
            image_file(f"set/{split}/{name}/1.png")
    (places / "set/train/a/2.png").write_bytes(b"no image")
    code = cli.main(["train", "--dataset=set", "--image_size=16", "--output=out"])
    line = capsys.readouterr().err
    assert code == 1 and "set/train/a/2.png" in line
    assert "Mend it, or leave it out with --on_bad_record=skip. Received: " in line
