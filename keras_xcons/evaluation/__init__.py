"""Every metric over a data set: figures with intervals, compared and reported."""

from keras_xcons.evaluation.catalog import GROUPS, METRICS
from keras_xcons.evaluation.evaluate import evaluate
from keras_xcons.evaluation.options import EvaluationOptions, tolerance_at
from keras_xcons.evaluation.provenance import provenance
from keras_xcons.evaluation.runs import across_runs
from keras_xcons.evaluation.statistics import INTERVAL, compare, summarize
from keras_xcons.evaluation.suite import measure

__all__ = [
    "GROUPS",
    "INTERVAL",
    "METRICS",
    "EvaluationOptions",
    "across_runs",
    "compare",
    "evaluate",
    "measure",
    "provenance",
    "summarize",
    "tolerance_at",
]
