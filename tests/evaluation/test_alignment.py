"""The pictures of a report show maps where `explain` lays them."""

import numpy as np
import pytest

import keras_xcons as kx
from keras_xcons.models.offset import Offset, remember_offset
from keras_xcons.models.view_cache import cache_of
from keras_xcons.report.pictures import data_uri
from tests.evaluation.colors import IMAGES, LABELS, batches, boxes, color_classifier

SHIFT = (2.0, -2.0)  # a cell of 2 px down, one to the left


@pytest.fixture(scope="module")
def model():
    return color_classifier(strides=2)


@pytest.fixture
def measured(model):
    remember_offset(model, "features", Offset(1.0, -1.0))  # of a cell
    yield
    cache_of(model).offsets.clear()


def report_of(model, **options):
    return kx.evaluate(
        model,
        batches(IMAGES, LABELS, boxes()),
        ["explanation_consistency", "energy_pointing_game"],
        gallery=len(IMAGES),
        epsilon=4.0,
        verbose=0,
        **options,
    )


def views_of(report):
    assert [sample.index for sample in report.samples] == list(range(len(IMAGES)))
    return [view for sample in report.samples for view in sample.views.values()]


def check(report, model, align, **options):
    """Both pictures of every image: its map, and that of the attacked one."""
    views = views_of(report)
    attacked = np.stack([view.adversary for view in views])
    # Whole numbers, so that nothing was rounded for the picture.
    assert np.abs(attacked - IMAGES).max() == 4.0
    for images, found in (
        (IMAGES, [view.heatmap for view in views]),
        (attacked, [view.adversary_heatmap for view in views]),
    ):
        maps = kx.explain(model, images, LABELS, align=align, **options)
        np.testing.assert_allclose(np.stack(found), maps, atol=1e-5)
    return np.stack([view.heatmap for view in views])


@pytest.mark.parametrize("explainer", ["gradcam++", "gradcam"])
def test_the_gallery_shows_moved_maps(explainer, model):
    moved = check(
        report_of(model, align=SHIFT, explainer=explainer),
        model,
        SHIFT,
        explainer=explainer,
    )
    still = kx.explain(model, IMAGES, LABELS, explainer, align=False)
    rows = np.clip(np.arange(8) - 2, 0, 7)
    columns = np.clip(np.arange(8) + 2, 0, 7)
    np.testing.assert_allclose(moved, still[:, rows][:, :, columns], atol=1e-6)


def test_the_page_shows_what_the_gallery_holds(model, measured):
    report = report_of(model)
    moved = check(report, model, SHIFT)
    still = kx.explain(model, IMAGES, LABELS, align=False)
    page = report.to_html()

    def shown(image, heatmap):
        return data_uri(kx.plotting.overlay(image, heatmap)) in page

    assert all(map(shown, IMAGES, moved))
    # One map is all zeros, wherever it lies.
    assert [*map(shown, IMAGES, still)] == [*~still.any((1, 2))]
