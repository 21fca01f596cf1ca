import subprocess
import sys

import keras

import keras_xcons as kx
from keras_xcons import protopnet


def test_importing_the_package_is_enough():
    code = (
        "import keras_xcons.models as models, keras_xcons.explainers as explainers; "
        "print('protopnet' in models.architectures(), "
        "'prototypes' in explainers.names())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["True", "True"]


def test_what_is_public_has_one_place():
    for room in (kx.callbacks, kx.explainers, kx.layers, kx.models, kx.plotting):
        assert not set(protopnet.__all__) & set(vars(room))


def test_saved_files_name_the_layers_by_the_package_alone():
    for kind in (protopnet.Prototypes, protopnet.PrototypeSimilarity):
        name = keras.saving.get_registered_name(kind)
        assert name == f"keras_xcons>{kind.__name__}"
