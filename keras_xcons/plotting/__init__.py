"""Pictures: heatmaps on their images.

A heatmap at the size of its image is drawn as it is: `keras_xcons.explain` has laid it
there, aligned. A smaller one, as of `resize=False`, is stretched over the whole image
and not aligned, since an array does not tell which model it is of.
"""

from keras_xcons.plotting.heatmaps import comparison, overlay, plot, row
from keras_xcons.plotting.png import is_saved, save

__all__ = ["comparison", "is_saved", "overlay", "plot", "row", "save"]
