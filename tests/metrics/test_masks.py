import numpy as np
import pytest

from keras_xcons.metrics import iou_auc, pixel_histograms, pxap

RANDOM = np.random.default_rng(0)
# Four pixels in a row: scores 0.1, 0.4, 0.5, 1.0 after the division by the maximum.
MAP = np.array([[[0.2, 0.8, 1.0, 2.0]]])
MASK = np.array([0, 1, 0, 1]).reshape(1, 1, 4, 1)


def random_case(size=5, shape=(9, 7), share=0.3):
    heatmaps = RANDOM.uniform(size=(size, *shape)) ** 2
    masks = (RANDOM.uniform(size=(size, *shape, 1)) < share).astype("float32")
    return heatmaps, masks


def test_histograms_by_hand():
    found = pixel_histograms(MAP, MASK, bins=4)
    assert found.dtype == np.float32
    # Bins of 0.25: the score 0.5 opens the third, 1.0 is in the last.
    np.testing.assert_array_equal(found, [[[0, 1, 0, 1], [1, 0, 1, 0]]])


def test_histograms_count_every_pixel_of_every_image():
    heatmaps, masks = random_case()
    found = pixel_histograms(heatmaps, masks)
    assert found.shape == (5, 2, 256)
    np.testing.assert_array_equal(found[:, 0].sum(axis=1), masks.sum(axis=(1, 2, 3)))
    np.testing.assert_array_equal(found.sum(axis=(1, 2)), np.full(5, 63))
    for index, (heatmap, mask) in enumerate(zip(heatmaps, masks, strict=True)):
        scores = heatmap / heatmap.max()
        for row, kept in enumerate((mask[..., 0] == 1, mask[..., 0] == 0)):
            expected, _ = np.histogram(scores[kept], bins=256, range=(0, 1))
            np.testing.assert_array_equal(found[index, row], expected)


def test_an_empty_map_scores_0_everywhere():
    found = pixel_histograms(0 * MAP, MASK, bins=4)
    np.testing.assert_array_equal(found, [[[2, 0, 0, 0], [2, 0, 0, 0]]])
    np.testing.assert_array_equal(iou_auc(0 * MAP, MASK), [0.0])


def test_pxap_by_hand():
    # From the highest score: object (recall 1/2, precision 1), background, object
    # (recall 1, precision 2/3), background.
    by_hand = 0.5 * 1.0 + 0.5 * 2 / 3
    np.testing.assert_allclose(pxap(pixel_histograms(MAP, MASK)), [by_hand])
    # With two bins, 0.5 and 1.0 come together, and so do 0.1 and 0.4.
    coarse = pixel_histograms(MAP, MASK, bins=2)
    np.testing.assert_allclose(pxap(coarse), [0.5 * 0.5 + 0.5 * 0.5])


def test_pxap_pools_the_pixels_of_all_images():
    right = pixel_histograms([[[1.0, 0.0]]], [[[[1], [0]]]], bins=2)
    wrong = pixel_histograms([[[1.0, 0.0]]], [[[[0], [1]]]], bins=2)
    both = np.concatenate([right, wrong])
    np.testing.assert_allclose(pxap(both), [1.0, 0.5])
    # Scores of 1: one of two on an object, then all pixels: two of four.
    assert pxap(both.sum(axis=0)) == 0.5 * 0.5 + 0.5 * 0.5
    assert pxap(both.mean(axis=0)) == pxap(both.sum(axis=0))
    weighted = 2 * right[0] + wrong[0]
    # Scores of 1: 2 of 3; then 3 of 6.
    np.testing.assert_allclose(pxap(weighted), 2 / 3 * 2 / 3 + 1 / 3 * 1 / 2)
    resamples = np.stack([both.sum(axis=0), weighted, right[0]])
    expected = [pxap(one) for one in resamples]
    np.testing.assert_allclose(pxap(resamples), expected)


def test_pxap_of_a_perfect_and_of_a_uniform_map():
    heatmaps, masks = random_case(1)
    np.testing.assert_allclose(pxap(pixel_histograms(masks[..., 0], masks)), [1.0])
    uniform = pixel_histograms(np.ones_like(heatmaps), masks)
    np.testing.assert_allclose(pxap(uniform), [masks.mean()])


def test_iou_auc_by_hand():
    # Thresholds 0, 0.25, 0.5, 0.75: above them are all four pixels, three, and the
    # last one twice. The mask is the second and the fourth.
    by_hand = np.mean([2 / 4, 2 / 3, 1 / 2, 1 / 2])
    found = iou_auc(MAP, MASK, thresholds=4)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [by_hand], rtol=1e-6)


def test_iou_auc_as_its_definition_says():
    heatmaps, masks = random_case()
    heatmaps[2, :4] = 0.0
    scores = heatmaps / heatmaps.max(axis=(1, 2), keepdims=True)
    objects = masks[..., 0] == 1
    overlaps = []
    for threshold in np.arange(64) / 64:
        above = scores > threshold
        shared = np.sum(above & objects, axis=(1, 2))
        overlaps.append(shared / np.sum(above | objects, axis=(1, 2)))
    found = iou_auc(heatmaps, masks, thresholds=64)
    np.testing.assert_allclose(found, np.mean(overlaps, axis=0), rtol=1e-6)
    assert found.min() > 0.0 and found.max() < 1.0


def test_iou_auc_at_its_limits():
    heatmaps, masks = random_case(1)
    np.testing.assert_allclose(iou_auc(0.3 * masks[..., 0], masks), [1.0])
    np.testing.assert_array_equal(iou_auc(1.0 - masks[..., 0], masks), [0.0])
    np.testing.assert_array_equal(iou_auc(heatmaps, 0 * masks), [0.0])
    uniform = iou_auc(np.ones_like(heatmaps), masks)
    np.testing.assert_allclose(uniform, [masks.mean()], rtol=1e-6)
    pixel = np.zeros((1, 5, 5, 1))
    pixel[0, 4, 2] = 1.0
    np.testing.assert_array_equal(iou_auc(pixel[..., 0], pixel), [1.0])


@pytest.mark.parametrize("metric", [pixel_histograms, iou_auc])
def test_scale_does_not_matter_and_a_batch_equals_one_by_one(metric):
    heatmaps, masks = random_case()
    together = metric(heatmaps, masks)
    np.testing.assert_array_equal(metric(heatmaps * 2.0**-60, masks), together)
    alone = [metric(heatmaps[i : i + 1], masks[i : i + 1])[0] for i in range(5)]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("metric", [pixel_histograms, iou_auc])
@pytest.mark.parametrize(
    ("heatmaps", "masks", "message"),
    [
        (-MAP, MASK, "non-negative"),
        (MAP * np.nan, MASK, "finite"),
        (MAP[0], MASK, r"\(batch, height, width\)"),
        (MAP, MASK[..., 0], r"\(1, 1, 4, 1\).*\(1, 1, 4\)"),
        (MAP, MASK[:, :, :3], r"\(1, 1, 4, 1\).*\(1, 1, 3, 1\)"),
        (MAP, MASK * 255, "1 on the object.*255"),
    ],
)
def test_refuses_wrong_heatmaps_and_masks(metric, heatmaps, masks, message):
    with pytest.raises(ValueError, match=message):
        metric(heatmaps, masks)


@pytest.mark.parametrize("count", [0, -1, 2.0, True, None])
def test_refuses_wrong_numbers_of_bins_and_thresholds(count):
    with pytest.raises(ValueError, match="`bins` must be an int.*bins="):
        pixel_histograms(MAP, MASK, bins=count)
    with pytest.raises(ValueError, match="`thresholds` must be an int.*thresholds="):
        iou_auc(MAP, MASK, thresholds=count)


@pytest.mark.parametrize(
    ("histograms", "message"),
    [
        (np.ones(4), r"\(\.\.\., 2, bins\).*\(4,\)"),
        (np.ones((3, 4)), r"\(\.\.\., 2, bins\).*\(3, 4\)"),
        (np.ones((0, 2, 4)), r"\(0, 2, 4\)"),
        (np.array([[0.0, 0.0], [1.0, 1.0]]), "as few as 0.0 pixels on objects"),
        (np.array([[[1, 1], [1, 1]], [[0, 0], [1, 1]]]), "as few as 0.0 pixels"),
        (np.array([[1.0, 1.0], [-1.0, 1.0]]), "negative.*minimum -1"),
        (np.full((2, 4), np.nan), "negative.*nan"),
    ],
)
def test_refuses_wrong_histograms(histograms, message):
    with pytest.raises(ValueError, match=message):
        pxap(histograms)
