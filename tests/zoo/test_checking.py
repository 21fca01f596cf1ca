import hashlib
import pathlib

import keras
import numpy as np
import pytest

from keras_xcons import explain, zoo
from keras_xcons.files import read_json
from keras_xcons.zoo import card as cards
from keras_xcons.zoo import checking
from keras_xcons.zoo.places import Folder
from tests.zoo.published import (
    NAME,
    card_of,
    change_card,
    publish,
    trained,
    write_card,
)

PUBLISHED = pathlib.Path(__file__).parents[2] / "zoo"
DIGEST = "0c7b6cdf2bdb46d3f352c4c0875f28618d2fbe7cbd1a2e9ebd8af00989e740f1"
NAMES = sorted(path.parent.name for path in PUBLISHED.glob(f"*/{cards.CARD_FILE}"))


def test_check_image_by_hand():
    image = zoo.check_image((64, 48))
    assert image.shape == (64, 48, 3) and image.dtype == np.uint8
    # y = 40, x = 20: rings (1600 + 400) * (c + 1) / 16, stripes 60 + 280 + 85 c.
    assert list(image[40, 20]) == [
        (125 + 340) % 256,
        (250 + 425) % 256,
        (375 + 510) % 256,
    ]


def test_check_image_stays_as_it_is():
    # Every published model carries its logits on this image.
    digest = hashlib.sha256(zoo.check_image(224).tobytes()).hexdigest()
    assert digest == DIGEST


def test_check_image_has_texture_of_every_scale():
    image = zoo.check_image(224).astype(float)
    assert len(np.unique(image)) == 256
    # The share of what neighbours differ by grows away from the corner.
    rough = [
        np.abs(np.diff(part, axis=1)).mean() for part in (image[:32, :32], image[-32:])
    ]
    assert rough[0] < 20 < 40 < rough[1]
    assert abs(np.corrcoef(image[..., 0].ravel(), image[..., 1].ravel())[0, 1]) < 0.3


@pytest.mark.parametrize("size", [0, (3,), "x", 2.5])
def test_check_image_of_no_size_is_refused(size):
    with pytest.raises(ValueError, match="`input_size` must be a positive int"):
        zoo.check_image(size)


def test_difference_is_a_share_of_the_largest():
    assert checking.difference([1.0, -4.0], [1.5, -4.0]) == pytest.approx(0.125)
    assert checking.difference([0.0], [0.0]) == 0.0
    assert np.isnan(checking.difference([1.0], [np.nan]))


def test_card_holds_the_logits_of_the_published_weights(folder):
    model = trained()
    for weight in model.weights:
        weight.assign(weight.numpy().astype("float16").astype("float32"))
    expected = model(zoo.check_image(16)[None]).numpy()[0]
    told = card_of(folder)["check"]["logits"]
    np.testing.assert_allclose(told, expected, rtol=1e-5)
    assert all(len(f"{logit:.10g}".strip("-").replace(".", "")) <= 8 for logit in told)
    assert zoo.verify(NAME) < 1e-5


def test_models_differ_on_the_check_image(zoo_folder):
    keras.utils.set_random_seed(1)
    first = card_of(publish(zoo_folder))["check"]["logits"]
    model = trained()
    kernel = model.get_layer("block1_conv").kernel
    kernel.assign(kernel.numpy()[:, :, ::-1])  # as if the channels were swapped
    second = model(zoo.check_image(16)[None]).numpy()[0]
    assert checking.difference(first, second) > 0.05


def test_logits_of_another_model_are_refused(folder):
    logits = card_of(folder)["check"]["logits"]
    largest = max(map(abs, logits))
    shifted = [logits[0] + 0.02 * largest, *logits[1:]]
    change_card(folder, check={**card_of(folder)["check"], "logits": shifted})
    with pytest.raises(ValueError, match="logits of .* is 0.0.* where 0.01 is allowed"):
        zoo.verify(NAME)
    assert 0.01 < zoo.verify(NAME, tolerance=0.1) < 0.1


def test_card_holds_the_heatmap_of_the_published_weights(folder):
    model = zoo.load(NAME)
    whole = explain(model, zoo.check_image(16)[None], align=False)[0]
    # 16 x 16 pixels in parts of 2 x 2.
    expected = whole.reshape(8, 2, 8, 2).mean(axis=(1, 3))
    told = card_of(folder)
    assert told["explainer"] == "gradcam++" and expected.max() > 0.5
    np.testing.assert_allclose(told["check"]["heatmap"], expected, atol=6e-5)


def test_heatmap_of_another_model_is_refused(folder):
    check = card_of(folder)["check"]
    turned = np.rot90(check["heatmap"], 2).tolist()
    change_card(folder, check={**check, "heatmap": turned})
    with pytest.raises(ValueError, match="The heatmap of .* must be as its card says"):
        zoo.verify(NAME)


def test_heatmap_by_another_explainer_is_refused(folder):
    change_card(folder, explainer="gradcam")
    with pytest.raises(ValueError, match="The heatmap of .* must be as its card says"):
        zoo.verify(NAME)
    change_card(folder, explainer="gradcam+")
    with pytest.raises(ValueError, match="Did you mean 'gradcam"):
        zoo.verify(NAME)
    assert zoo.load(NAME) is not None


def test_card_of_format_1_is_read(folder):
    card = card_of(folder)
    logits = card.pop("check")["logits"]
    del card["explainer"]
    write_card(folder, {**card, "format": 1, "logits_check": {"logits": logits}})
    told = zoo.info(NAME)
    assert told["format"] == 2 and told["explainer"] == "gradcam++"
    assert told["check"] == {"logits": logits, "heatmap": None}
    assert zoo.verify(NAME) < 1e-5
    write_card(folder, {**card, "format": 1, "logits_check": logits})
    with pytest.raises(ValueError, match="the field 'check' must be an object"):
        zoo.load(NAME)


@pytest.mark.parametrize(
    "tolerance, error", [(-1, ValueError), ("x", TypeError), (float("nan"), ValueError)]
)
def test_tolerance_is_checked(tolerance, error, folder):
    with pytest.raises(error, match="`tolerance` must be"):
        zoo.verify(NAME, tolerance)


def test_index_of_the_zoo_tells_of_every_model():
    index = (PUBLISHED / "index.json").read_text("utf-8")
    assert read_json(index, "The index") == Folder(PUBLISHED).summaries()
    assert NAMES and list(Folder(PUBLISHED).summaries()) == NAMES


def test_zoo_of_the_checkout_stays_small():
    sizes = {path: path.stat().st_size for path in PUBLISHED.rglob("*")}
    assert {str(path): size for path, size in sizes.items() if size > 50e6} == {}
    assert 0 < sum(sizes.values()) < 250e6


def test_no_promised_model_is_missing():
    assert set(NAMES) >= {
        *("mobilenet_v2_cub", "mobilenet_v2_cub_plain", "mobilenet_v2_pets"),
        *("protopnet_mobilenet_v2_cub", "protopnet_resnet18_cub", "resnet50_cub"),
        *("resnet18_cub", "resnet18_cub_plain", "resnet18_tiny_imagenet"),
        *("shapes_cnn", "shapes_cnn_plain", "vgg16_cub"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_published_model_answers_as_its_card_says(name):
    folder = PUBLISHED / name
    card = card_of(folder)
    assert card["format"] == 2 and card["check"]["heatmap"] is not None
    assert zoo.verify(folder) < 0.01
