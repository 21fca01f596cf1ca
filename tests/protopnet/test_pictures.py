import numpy as np
import pytest

from keras_xcons import plotting
from keras_xcons.models import split
from keras_xcons.models.offset import Offset, remember_offset
from keras_xcons.models.view_cache import cache_of
from keras_xcons.protopnet.patches import (
    activated_boxes,
    prototype_maps,
    prototype_similarities,
    source_images,
)
from keras_xcons.protopnet.pictures import this_looks_like_that
from keras_xcons.protopnet.push import push_prototypes
from keras_xcons.protopnet.view import prototype_view
from tests.protopnet.protopnets import arrays, classifier, dataset


@pytest.fixture(scope="module")
def model():
    model = classifier(4)
    push_prototypes(model, dataset())
    return model


@pytest.fixture(scope="module")
def sources(model):
    return source_images(model, dataset())


def drawn_box(axis):
    """The box on a picture of 32 px, `ymin, xmin, ymax, xmax` in 0..1."""
    (box,) = axis.patches
    left, top = box.get_xy()
    ends = top + box.get_height(), left + box.get_width()
    return (np.array([top, left, *ends]) + 0.5) / 32


def test_the_prototypes_that_contribute_most_are_drawn(model, sources):
    image = arrays()[0][4]
    figure = this_looks_like_that(
        model, image, sources, label=1, class_names=["wren", "crow", "gull"], top=2
    )
    view = prototype_view(model)
    similarities = prototype_similarities(model, image[None])[0]
    kernel = view.dense.kernel.numpy()
    contributions = similarities * kernel[:, 1]
    members = np.flatnonzero(view.classes == 1)
    order = members[np.argsort(-contributions[members])][:2]
    axes = np.reshape(figure.axes, (2, 4))
    for row, prototype in zip(axes, order, strict=True):
        text = row[3].texts[0].get_text()
        assert f"prototype {prototype}\n" in text
        assert f"similarity  {similarities[prototype]:.2f}" in text
        assert f"contribution  {contributions[prototype]:.2f}" in text
        source = sources[int(view.layer.source_image.numpy()[prototype])]
        drawn = [axis.images[0].get_array() for axis in row[:3]]
        np.testing.assert_array_equal(drawn[0], image.astype("uint8"))
        np.testing.assert_array_equal(drawn[2], source.astype("uint8"))
        for axis, shown in ((row[0], image), (row[1], image), (row[2], source)):
            expected = activated_boxes(prototype_maps(model, shown[None], prototype))
            assert drawn_box(axis) == pytest.approx(expected[0], abs=1e-6)
        assert [len(axis.patches) for axis in row] == [1, 1, 1, 0]
    logit = (similarities @ kernel)[1]
    head = figure.get_suptitle()
    assert head.startswith("crow (")
    assert f"logit {logit:.2f}: {contributions[members].sum():+.2f} from its 4" in head


def test_the_predicted_class_is_the_default_and_all_may_be_drawn(model, sources):
    image = arrays()[0][0]
    figure = this_looks_like_that(model, image, sources, top=9)
    assert len(figure.axes) == 4 * 4
    predicted = int(np.argmax(model(image[None])))
    assert figure.get_suptitle().startswith(f"class {predicted} (predicted)")


def test_a_training_set_may_be_one_array(model, tmp_path):
    figure = this_looks_like_that(model, arrays()[0][0], arrays()[0])
    plotting.save(figure, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_boxes_lie_where_the_maps_of_the_model_lie(model, sources):
    # Of a source itself both boxes are one, wherever the maps lie.
    number = int(model.get_layer("prototypes").source_image.numpy()[0])
    image, kept = sources[number], model.get_layer("prototypes").source_box.numpy()

    def drawn(model):
        figure = this_looks_like_that(model, image, sources, label=0, top=4)
        rows = np.reshape(figure.axes, (4, 4))
        same = [f"image {number}\n" in row[3].texts[0].get_text() for row in rows]
        boxes = [[drawn_box(axis) for axis in row[:3]] for row in rows[same]]
        assert len(boxes) > 0
        for one, two, source in boxes:
            np.testing.assert_allclose(one, source, atol=1e-6)
            np.testing.assert_allclose(two, source, atol=1e-6)
        return np.array(boxes)

    still = drawn(model)
    asked = drawn(split(model, align=(8, -4)))
    assert np.abs(asked - still).max() >= 4 / 32
    # Measured behind the push, in shares of a cell of 8 px.
    remember_offset(model, "features", Offset(1.0, -0.5))
    try:
        np.testing.assert_array_equal(drawn(model), asked)
        np.testing.assert_array_equal(drawn(split(model, align=False)), still)
    finally:
        cache_of(model).offsets.clear()
    # What the push has found stays as it was.
    np.testing.assert_array_equal(model.get_layer("prototypes").source_box, kept)


def test_bad_input_is_refused(model, sources):
    image = arrays()[0][0]
    draw = this_looks_like_that
    with pytest.raises(ValueError, match="only after a push"):
        draw(classifier(), image, sources)
    with pytest.raises(KeyError, match="without the image"):
        draw(model, image, {})
    with pytest.raises(KeyError, match="without the image"):
        draw(model, image, arrays()[0][:0])
    with pytest.raises(ValueError, match="`label` must be within 0..2"):
        draw(model, image, sources, label=3)
    with pytest.raises(ValueError, match="`class_names` must be 3 strings"):
        draw(model, image, sources, class_names=["wren"])
    with pytest.raises(ValueError, match="`top` must be within"):
        draw(model, image, sources, top=0)
    with pytest.raises(TypeError, match="`top` must be an int. Received: top=1.5"):
        draw(model, image, sources, top=1.5)
    small = {number: source[:16] for number, source in sources.items()}
    for bad in ((image[:16], sources), (image, small)):
        with pytest.raises(ValueError, match="as the model takes them"):
            draw(model, *bad)
