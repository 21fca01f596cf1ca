import json
import pathlib

import keras
import numpy as np
import pytest
from PIL import Image

from keras_xcons import models, zoo
from keras_xcons.recipes import explain_files, open_model

SIDE = 32
CLASSES = ["disc", "ring", "star"]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """A classifier of red, green and blue, whose maps are where the colour is."""
    images = keras.Input((SIDE, SIDE, 3))
    color = keras.layers.Conv2D(3, 1, use_bias=False)
    score = keras.layers.Dense(3, use_bias=False)
    x = keras.layers.GlobalAveragePooling2D()(color(images))
    model = keras.Model(images, score(x))
    color.set_weights([np.eye(3, dtype="float32")[None, None]])
    score.set_weights([np.eye(3, dtype="float32") / 100.0])
    path = tmp_path_factory.mktemp("model") / "colors.keras"
    model.save(path)
    return path


@pytest.fixture
def image_file(tmp_path):
    """`image_file(name)`: grey, with more red on the left and less green right."""

    def write(name, size=(SIDE, SIDE), mode="RGB"):
        pixels = np.full((SIDE, SIDE, 3), 0, "uint8")
        pixels[8:24, 2:14, 0] = 255
        pixels[8:16, 18:30, 1] = 255
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)
        picture.convert(mode).save(path)
        return str(path)

    return write


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "heatmaps").mkdir()
    return tmp_path / "heatmaps"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A published model of three classes, found through KERAS_XCONS_ZOO."""
    monkeypatch.setenv("KERAS_XCONS_ZOO", str(tmp_path / "zoo"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    keras.utils.set_random_seed(0)
    return zoo.publish(
        models.create("small_cnn", 3, 16, width=4),
        "small_cnn_figures",
        tmp_path / "zoo",
        architecture="small_cnn",
        arguments={"width": 4},
        class_names=CLASSES,
        method="xcons",
        recipe={"epochs": 2},
        metrics={"accuracy": 0.5},
        data_license="CC0-1.0",
        weights_license="Apache-2.0",
        dataset="figures",
        data="drawn figures",
        pretraining="none",
    )


def pixels(path):
    with Image.open(path) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        return np.asarray(picture).astype(int)


def colored(area):
    """Whether an area has colour; a darkened image under no heat is grey."""
    return np.ptp(area, axis=-1).max() > 20


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_overlay_shows_the_heatmap_of_the_predicted_class(
    model_file, image_file, folder
):
    lines = []
    path = image_file("photo.bmp", size=(80, 50))
    assert (
        explain_files(model_file, [path], folder, "gradcam++", None, lines.append) == []
    )
    assert names(folder) == ["photo.png"]
    found = pixels(folder / "photo.png")
    assert found.shape == (SIDE, SIDE, 3)
    assert colored(found[10:22, 4:12]) and not colored(found[8:16, 20:28])
    # More than half of what is at the maximum is the brightest colour, a yellow.
    red, green, blue = found[10:22, 4:12].mean(axis=(0, 1))
    assert red > 180 and green > 180 and blue < 160
    assert found[:4].max() < 40
    assert len(lines) == 1
    assert lines[0].startswith(f"{path}: class 0 (")
    assert lines[0].endswith(f" %) -> {folder / 'photo.png'}")
    # Softmax of the means: 47.8 and 23.9 out of 100.
    share = float(lines[0].split("(")[1].split()[0])
    assert share == pytest.approx(100 * np.exp([0.478, 0.239, 0.0])[0] / 3.89, abs=1)


@pytest.mark.parametrize("label", ["1", 1])
def test_label_by_index(label, model_file, image_file, folder):
    lines = []
    paths = [image_file("photo.png")]
    assert not explain_files(
        model_file, paths, folder, "gradcam++", label, lines.append
    )
    found = pixels(folder / "photo.png")
    assert colored(found[8:16, 20:28]) and not colored(found[10:22, 4:12])
    # What is said is what is predicted, whatever is explained.
    assert ": class 0 (" in lines[0]


@pytest.mark.parametrize("label", ["3", "-1", "1.0", "red", "", "²"])
def test_label_out_of_range_is_refused(label, model_file, image_file, folder):
    message = f"given as 0..2. Received: label='{label}'"
    with pytest.raises(ValueError, match=message):
        explain_files(model_file, [image_file("a.png")], folder, "gradcam++", label)
    assert names(folder) == []


def test_label_by_class_name(published, image_file, folder):
    lines = []
    paths = [image_file("photo.png")]
    for label in ("ring", "1"):
        target = folder / label
        target.mkdir()
        assert not explain_files(
            "small_cnn_figures", paths, target, "gradcam++", label, lines.append
        )
    one, other = (pixels(folder / name / "photo.png") for name in ("ring", "1"))
    assert one.shape == (16, 16, 3)
    np.testing.assert_array_equal(one, other)
    assert lines[0].split(": ")[1].split(" (")[0] in CLASSES
    message = "0..2 or one of disc, ring, star. Received: label='rings'"
    with pytest.raises(ValueError, match=message):
        explain_files("small_cnn_figures", paths, folder, "gradcam++", "rings")


def test_folder_with_a_card_is_a_model(published, image_file, folder):
    paths = [image_file("photo.png")]
    assert explain_files(str(published), paths, folder, "gradcam++") == []


def damaged(folder, good):
    """Writes images that are damaged in ways that Pillow meets each in its own."""
    png, bmp = good.read_bytes(), good.with_name("last.bmp").read_bytes()
    huge, chunk = bytearray(bmp), bytearray(png)
    # A header that promises 60,000 by 60,000 pixels.
    huge[18:26] = (60_000).to_bytes(4, "little") * 2
    chunk[chunk.index(b"IDAT") + 8] ^= 255
    contents = {
        "text.png": b"not an image",
        "empty.png": b"",
        "cut.png": png[:60],
        "chunk.png": bytes(chunk),
        "frames.webp": b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0" + bytes(24),
        "huge.bmp": bytes(huge),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [str(folder / name) for name in (*contents, "missing.png")]


def test_damaged_images_are_named_and_the_others_explained(
    model_file, image_file, folder, tmp_path
):
    good, last = image_file("good.png"), image_file("last.bmp", mode="L")
    bad = damaged(tmp_path, pathlib.Path(good))
    paths = [*bad[:2], good, *bad[2:], str(folder), last]
    failed = explain_files(model_file, paths, folder, "gradcam++")
    assert names(folder) == ["good.png", "last.png"]
    reasons = {pathlib.Path(path).name: reason for path, reason in failed}
    assert list(reasons) == ["heatmaps", *(pathlib.Path(path).name for path in bad)]
    unknown = "is not an image, or of an unknown kind"
    assert reasons["text.png"] == reasons["empty.png"] == unknown
    assert "truncated" in reasons["cut.png"]
    assert "3600000000 pixels" in reasons["huge.bmp"]
    assert reasons["missing.png"] == "No such file or directory"
    assert "holds no image file ending in .apng" in reasons["heatmaps"]
    assert all(reasons.values()) and "\n" not in "".join(reasons.values())


def test_one_image_that_the_model_or_the_folder_refuses_ends_nothing(
    image_file, folder, tmp_path
):
    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(3, 5)(images)  # of one pixel it leaves none
    x = keras.layers.GlobalAveragePooling2D()(x)
    path = tmp_path / "any_size.keras"
    keras.Model(images, keras.layers.Dense(3)(x)).save(path)
    paths = [image_file("one.png", size=(1, 1))]
    paths += [image_file(f"{'n' * 250}.png"), image_file(f"deep/{'n' * 250}.png")]
    ((name, reason),) = explain_files(path, paths, folder, "gradcam++")
    assert name.endswith("/one.png") and reason
    long = "n" * 240
    assert names(folder) == [f"{long}.png", f"{long}_2.png"]
    failed = explain_files(path, paths[1:], folder / "gone", "gradcam++")
    assert [reason for _, reason in failed] == ["No such file or directory"] * 2


def test_all_images_of_a_folder(model_file, image_file, folder, tmp_path):
    for name in ("a.PNG", "deep/b.webp", "deep/c.tif", ".hidden.png"):
        image_file(f"photographs/{name}")
    (tmp_path / "photographs" / "notes.txt").write_text("")
    source, lines = tmp_path / "photographs", []
    output = source / "heatmaps"
    output.mkdir()
    for _ in range(2):  # what was written is no image to explain the second time
        assert not explain_files(
            model_file, [source], output, "gradcam++", None, lines.append
        )
    assert names(output) == ["a.png", "b.png", "c.png"]
    note = f"{source}: 1 file not named as an image (.txt), as {source / 'notes.txt'}"
    assert lines.count(note) == 2


def test_a_folder_is_explained_into_itself(model_file, image_file, tmp_path):
    image_file("photo.png")
    for _ in range(2):  # of its own pictures it makes none
        assert explain_files(model_file, [str(tmp_path)], tmp_path, "gradcam++") == []
    assert [n for n in names(tmp_path) if n.endswith(".png")] == [
        "photo.png",
        "photo_2.png",
    ]


def test_images_of_the_same_name_have_a_file_each(model_file, image_file, folder):
    names_in = ["x.png", "x.jpg", "x_2.png", "deep/x.png"]
    paths = [image_file(name) for name in names_in]
    lines = []
    assert not explain_files(model_file, paths, folder, "gradcam++", None, lines.append)
    assert names(folder) == ["x.png", "x_2.png", "x_2_2.png", "x_3.png"]
    targets = [line.rpartition("/")[2] for line in lines]
    assert targets == ["x.png", "x_2.png", "x_2_2.png", "x_3.png"]


def test_a_users_own_file_is_not_replaced_and_an_older_picture_is(
    model_file, image_file, folder
):
    (folder / "a.png").write_bytes(pathlib.Path(image_file("b.png")).read_bytes())
    (folder / "a_2.png").symlink_to(folder / "nowhere")
    mine = (folder / "a.png").read_bytes()
    image = image_file("a.png")
    for _ in range(2):
        assert explain_files(str(model_file), [image], folder, "gradcam++") == []
        assert names(folder) == ["a.png", "a_2.png", "a_3.png"]
    assert (folder / "a.png").read_bytes() == mine


def test_images_in_the_output_folder_are_not_replaced(model_file, image_file, tmp_path):
    paths = [image_file(name) for name in ("a.png", "b.jpg", "a_2.png")]
    before = [pathlib.Path(path).read_bytes() for path in paths]
    assert explain_files(model_file, paths, tmp_path, "gradcam++") == []
    assert [pathlib.Path(path).read_bytes() for path in paths] == before
    assert names(tmp_path) == [
        "a.png",
        "a_2.png",
        "a_2_2.png",
        "a_3.png",
        "b.jpg",
        "b.png",
    ]


@pytest.mark.parametrize("explainer", ["gradcam", "saliency"])
def test_other_explainers(explainer, model_file, image_file, folder):
    assert explain_files(model_file, [image_file("a.png")], folder, explainer) == []
    assert names(folder) == ["a.png"]


def test_unknown_explainer_is_refused(model_file, image_file, folder):
    with pytest.raises(ValueError, match="Unknown explainer. Did you mean 'gradcam"):
        explain_files(model_file, [image_file("a.png")], folder, "grad-cam")


def test_unknown_model_is_refused(published, tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'small_cnn_figures'"):
        open_model("small_cnn_figure")
    with pytest.raises(FileNotFoundError, match="no such model file.*'nowhere.keras'"):
        open_model("nowhere.keras")
    for name, content in (("text.keras", b"no model"), ("empty.keras", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"holds no Keras model.*{name}"):
            open_model(tmp_path / name)


def test_model_comes_with_its_class_names(published, model_file):
    assert open_model(model_file)[1] is None
    model, class_names = open_model("small_cnn_figures")
    assert class_names == CLASSES and model.output_shape == (None, 3)


def test_answers_that_are_not_finite_are_failures(image_file, folder, tmp_path):
    images = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(2, 1, kernel_initializer="ones")(images)
    x = keras.layers.GlobalAveragePooling2D()(x)
    # Finite weights, and a sum that is not.
    huge = keras.initializers.Constant(3e38)
    model = keras.Model(images, keras.layers.Dense(2, kernel_initializer=huge)(x))
    model.save(tmp_path / "huge.keras")
    paths, lines = [image_file("a.png")], []
    failed = explain_files(
        tmp_path / "huge.keras", paths, folder, "gradcam++", report=lines.append
    )
    assert failed == [(paths[0], "the model answers with NaN or infinity")]
    assert lines == [] and names(folder) == []


def test_class_names_do_not_act_on_the_terminal(published, image_file, folder):
    card = json.loads((published / "card.json").read_text())
    card["class_names"] = ["\x1b[2J a", "\x1b[2J b", "\x1b[2J c"]
    (published / "card.json").write_text(json.dumps(card))
    lines = []
    assert not explain_files(
        published, [image_file("a.png")], folder, "gradcam++", report=lines.append
    )
    assert lines[0].isprintable() and r"\x1b[2J" in lines[0]
