import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.explainers import explain
from keras_xcons.models import create, split
from keras_xcons.models.offset import Offset, remember_offset
from keras_xcons.models.view_cache import cache_of
from keras_xcons.protopnet.patches import (
    activated_boxes,
    prototype_maps,
    prototype_similarities,
)
from keras_xcons.protopnet.view import prototype_view


@pytest.fixture(scope="module")
def model():
    return create(
        "protopnet",
        3,
        32,
        backbone="small_cnn",
        prototypes=2,
        channels=8,
        backbone_arguments={"width": 4},
    )


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    return random.integers(0, 256, (5, 32, 32, 3)).astype("uint8")


def test_maps_are_the_scaled_similarities_of_each_location(model, images):
    view = prototype_view(model)
    patches = view.space(images).numpy()
    wanted = [0, 5, 2, 2, 1]
    prototypes = view.layer.prototypes.numpy()[wanted]
    distances = ((patches - prototypes[:, None]) ** 2).sum(-1).reshape(5, 4, 4)
    expected = np.log((distances + 1) / (distances + 1e-4))
    expected -= expected.min((1, 2), keepdims=True)
    expected /= expected.max((1, 2), keepdims=True)
    cells = prototype_maps(model, images, wanted, batch_size=2, resize=False)
    np.testing.assert_allclose(cells, expected, atol=1e-3)
    maps = prototype_maps(model, images, wanted)
    assert maps.shape == (5, 32, 32)
    assert maps.dtype == np.float32
    resized = tf.image.resize(cells[..., None], (32, 32)).numpy()[..., 0]
    np.testing.assert_allclose(maps, resized, atol=1e-5)


@pytest.mark.parametrize("align", [(33, 0), "middle", (1, 2, 3)])
def test_maps_are_moved_by_no_more_than_a_side(model, images, align):
    with pytest.raises(ValueError, match="`align` must"):
        prototype_maps(model, images, 1, align=align)


def test_maps_lie_where_those_of_explain_lie(model, images):
    still = prototype_maps(model, images, 1)
    moved = prototype_maps(model, images, 1, align=(8, -4))
    rows = np.clip(np.arange(32) - 8, 0, None)
    columns = np.clip(np.arange(32) + 4, None, 31)
    np.testing.assert_allclose(moved, still[:, rows][:, :, columns], atol=1e-6)
    view = split(model, align=(8, -4))
    np.testing.assert_array_equal(prototype_maps(view, images, 1), moved)
    np.testing.assert_array_equal(prototype_maps(view, images, 1, align=False), still)
    parts = prototype_view(view)  # keeps it
    np.testing.assert_array_equal(prototype_maps(parts, images, 1), moved)
    evidence = explain(view, images, explainer="prototypes")
    # In shares of a cell of 8 px: a cell of the map, not one of all in a line.
    remember_offset(model, "features", Offset(1.0, -0.5))
    try:
        np.testing.assert_allclose(prototype_maps(model, images, 1), moved, atol=1e-6)
        found = explain(model, images, explainer="prototypes")
        np.testing.assert_allclose(found, evidence, atol=1e-6)
    finally:
        cache_of(model).offsets.clear()


def test_one_prototype_for_all_images(model, images):
    np.testing.assert_array_equal(
        prototype_maps(model, images, 3), prototype_maps(model, images, [3] * 5)
    )


def test_a_flat_map_is_all_zeros(model, images):
    assert prototype_maps(model, np.zeros((1, 32, 32, 3)), 0).shape == (1, 32, 32)
    view = prototype_view(model)
    kernel = view.add_on[0].kernel.numpy()
    view.add_on[0].kernel.assign(np.zeros_like(kernel))
    try:
        maps = prototype_maps(model, images, 0)
    finally:
        view.add_on[0].kernel.assign(kernel)
    assert np.all(maps == 0.0)


def test_similarities_make_the_logits(model, images):
    similarities = prototype_similarities(model, images, batch_size=2)
    assert similarities.shape == (5, 6)
    logits = similarities @ model.get_layer("logits").kernel.numpy()
    np.testing.assert_allclose(logits, model(images), rtol=1e-5, atol=1e-5)


def test_boxes_are_around_the_region_of_the_maximum():
    heatmaps = np.zeros((3, 4, 10))
    # Two pixels that touch by a corner, and a lower one far from them.
    heatmaps[0, 1, 2] = heatmaps[0, 2, 3] = 2.0
    heatmaps[0, 0, 9] = 1.0
    # The same place of the next map, which is another map.
    heatmaps[1, 0, 8] = 3.0
    heatmaps[2, 3, 0] = heatmaps[2, 3, 1] = heatmaps[2, 3, 2] = 1.0
    # 92.5 % of 40 pixels are 37: three are above.
    expected = [[0.25, 0.2, 0.75, 0.4], [0, 0.8, 0.25, 0.9], [0.75, 0, 1, 0.3]]
    boxes = activated_boxes(heatmaps + np.eye(4, 10) * 1e-3, 97)
    np.testing.assert_allclose(boxes[:2], expected[:2])
    np.testing.assert_allclose(
        activated_boxes(heatmaps, 94), [*expected[:1]] + [[0, 0, 1, 1], expected[2]]
    )
    assert activated_boxes(heatmaps, 0).tolist() == [[0, 0, 1, 1]] * 3


@pytest.mark.parametrize("prototypes", [6, -1, [0, 1], 0.5])
def test_unknown_prototypes_are_refused(model, images, prototypes):
    with pytest.raises(ValueError, match="`prototypes` must be"):
        prototype_maps(model, images, prototypes)


def test_other_bad_input_is_refused(model, images):
    with pytest.raises(ValueError, match="as the model takes them"):
        prototype_maps(model, images[:, :16], 0)
    with pytest.raises(ValueError, match="`batch_size` must be within"):
        prototype_similarities(model, images, batch_size=0)
    with pytest.raises(TypeError, match="`batch_size` must be an int"):
        prototype_maps(model, images, 0, batch_size=1.5)
    with pytest.raises(ValueError, match=r"heatmaps of shape \(4, 4\)"):
        activated_boxes(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="`percentile` must be within"):
        activated_boxes(np.zeros((1, 4, 4)), 101)


def test_a_loop_compiles_once(model, images):
    prototype_maps(model, images, 1)
    view = prototype_view(model)
    ready = view.compiled["maps"]
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    for number in range(3):
        prototype_maps(model, images[: number + 1], number)
        prototype_similarities(model, images)
    assert prototype_view(model) is view
    assert view.compiled["maps"] is ready
    assert [len(layer._inbound_nodes) for layer in model.layers] == nodes
