"""Precision over a whole data set, made of the rows of its images."""

from keras_xcons import metrics
from keras_xcons.evaluation.statistics import mean


def pixel_precision(histograms, counts):
    """PxAP of the histograms of each image's pixels, weighted by `counts`."""
    return metrics.pxap(mean(histograms, counts))


def mean_precision(scores_and_labels, counts):
    """Mean average precision of scores and labels, images weighted by `counts`."""
    scores, labels = scores_and_labels[:, 0], scores_and_labels[:, 1]
    return metrics.mean_average_precision(scores, labels, counts)
