"""The README's Python examples, run one after the other."""

import pathlib
import re

import pytest

README = pathlib.Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
def test_examples_run(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 10
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(compile(block.replace("epochs=3", "epochs=1"), "README.md", "exec"), names)
    assert names["heatmaps"].shape == (32, 64, 64)
    assert names["heatmaps"].min() >= 0.0 and names["heatmaps"].max() <= 1.0
    assert (tmp_path / "heatmaps.png").exists()
    assert (tmp_path / "classifier.keras").exists()
    assert (tmp_path / "this_looks_like_that.png").exists()
    assert names["report"].to_dict()["provenance"]["images"] == 1000
    assert (tmp_path / "report.html").exists()
    assert names["masks"].shape == (32, 64, 64) and (tmp_path / "comet.keras").exists()
    assert names["found"].heatmaps.shape == (32, 5, 64, 64)
    assert (tmp_path / "x_features.png").exists() and (tmp_path / "xnn.keras").exists()
    assert names["selector"].output_shape == (None, 16, 16, 1)
    header = (tmp_path / "figures.csv").read_text("utf-8").splitlines()[0]
    assert "val_pointing_game" in header
    assert any((tmp_path / "logs").rglob("events*"))
