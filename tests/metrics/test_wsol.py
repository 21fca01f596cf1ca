"""Boxes by wsolevaluation's rules, against what its own code has found."""

import json
import pathlib
import sys

import numpy as np
import pytest

from keras_xcons.evaluation import EvaluationOptions
from keras_xcons.metrics import wsol_hits
from tests.metrics.wsol_cases import LEVELS, THRESHOLDS, cases

RECORDED = json.loads(
    (pathlib.Path(__file__).parent / "wsol_reference.json").read_text("utf-8")
)
CASES = {kind: (maps, boxes) for kind, maps, boxes in cases()}


@pytest.mark.parametrize("components", ["largest", "all"])
@pytest.mark.parametrize("kind", CASES)
def test_hits_are_those_of_wsolevaluation(kind, components):
    maps, boxes = CASES[kind]
    found = wsol_hits(maps, boxes, None, THRESHOLDS, LEVELS, components)
    bits = np.frombuffer(bytes.fromhex(RECORDED["hits"][f"{kind} {components}"]), "u1")
    known = np.unpackbits(bits, count=found.size).reshape(found.shape)
    np.testing.assert_array_equal(found, known)


def test_masks_stand_for_the_box_around_them():
    maps, _ = CASES["rings"]
    masks = np.zeros((*maps.shape, 1))
    masks[:, 3:9, 5:15] = 1.0
    box = np.array([3 / 16, 5 / 20, 9 / 16, 15 / 20])
    found = wsol_hits(maps, masks=masks)
    np.testing.assert_array_equal(found, wsol_hits(maps, np.tile(box, (120, 1, 1))))
    assert 0.0 < found.mean() < 1.0
    assert not wsol_hits(maps, masks=np.zeros_like(masks)).any()


def test_without_opencv_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match=r"keras-xcons\[wsol\].*wsolevaluation"):
        EvaluationOptions(box_protocol="wsolevaluation")
    EvaluationOptions()


def test_wrong_arguments_are_refused():
    maps, boxes = np.ones((1, 4, 4)), np.ones((1, 1, 4))
    with pytest.raises(ValueError, match="largest.*Received: components='most'"):
        wsol_hits(maps, boxes, components="most")
    with pytest.raises(ValueError, match="within 0..1.*maximum 2.0"):
        wsol_hits(2.0 * maps, boxes)
