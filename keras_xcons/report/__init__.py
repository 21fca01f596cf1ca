"""What an evaluation found, and the page, table and text that show it."""

from keras_xcons.report.report import Report
from keras_xcons.report.sample import Sample, SampleView

__all__ = ["Report", "Sample", "SampleView"]
