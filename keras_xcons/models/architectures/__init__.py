"""The architectures that the zoo publishes, by name.

A new one of `keras.applications` is one row in `applications.py`; any other is one
function in a file of this folder, and that file's name in the import below.
"""

# Imported for what they register.
from keras_xcons.models.architectures import (
    applications,  # noqa: F401
    resnet,  # noqa: F401
    small_cnn,  # noqa: F401
    vgg,  # noqa: F401
)
from keras_xcons.models.architectures.registry import (
    architectures,
    arguments_of,
    create,
    create_backbone,
    register_architecture,
)

__all__ = [
    "architectures",
    "arguments_of",
    "create",
    "create_backbone",
    "register_architecture",
]
