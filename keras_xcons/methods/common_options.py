"""The options that training methods share."""

from keras_xcons import checks
from keras_xcons.models.offset import checked_align, parsed_align
from keras_xcons.options import Options, option, table


def _token_grid(value):
    return None if value is None else checks.image_size(value, "token_grid")


@table
class MethodOptions(Options):
    """What every training method takes.

    Raises:
        TypeError, ValueError: An option is not accepted.
    """

    multi_label: bool = option(
        False,
        "Whether labels are multi-hot `(B, C)`. Without effect on a classifier with "
        "one output z, whether there or not: that is two classes with the logits "
        "(0, z) and labels 0 and 1.",
        told=False,
    )
    feature_layer: str | None = option(
        None,
        "Name of the layer to explain, with the method itself and with what looks at "
        "its classifier. Default: the last 4-D activation before pooling.",
    )
    token_grid: tuple | None = option(
        None,
        "`(h, w)`, the rows and columns that the tokens of `feature_layer` form, see "
        "`keras_xcons.models.split`. Default: what the model tells.",
        check=_token_grid,
        told=False,
    )
    align: bool | str | tuple = option(
        True,
        "Where maps are laid on images: true (by the measured offset of the model, "
        "where it is known), false, geometric, or rows,columns in pixels.",
        check=checked_align,
        parse=parsed_align,
    )
    seed: int = option(
        0,
        "Seed of the method's own draws. Each step draws anew, by the steps that the "
        "optimizer has counted, so that a run that is stopped and continued draws the "
        "same.",
        low=0,
        high=2**31 - 1,
    )

    @property
    def needs_sample_ids(self):
        """Whether the data must come with sample ids."""
        return False
