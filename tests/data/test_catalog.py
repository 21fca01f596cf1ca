import pytest

from keras_xcons import data
from keras_xcons.data import catalog


@pytest.fixture
def restored_catalog(monkeypatch):
    monkeypatch.setattr(catalog, "_ADAPTERS", dict(catalog._ADAPTERS))


def test_names():
    assert data.names() == (
        "caltech_birds2011",
        "imagenette",
        "oxford_iiit_pet",
        "shapes",
        "stl10",
        "voc/2007",
        "voc/2012",
    )


@pytest.mark.parametrize("name", sorted(set(catalog.names()) - {"shapes"}))
def test_adapters_name_features_that_tfds_has(name, tmp_path):
    # Made from the code of TFDS, without the data.
    info = data.info(name, data_dir=tmp_path)
    assert info.name == name
    assert info.splits and "unlabelled" not in info.splits
    assert all(isinstance(class_name, str) for class_name in info.class_names)
    assert info.multi_label == name.startswith("voc/")
    expected = {"oxford_iiit_pet": "masks", "stl10": None, "imagenette": None}
    assert info.annotations == expected.get(name, "boxes")


def test_official_sizes_and_classes(tmp_path):
    birds = data.info("caltech_birds2011", data_dir=tmp_path)
    assert birds.splits == {"train": 5994, "test": 5794}
    assert len(birds.class_names) == 200
    stl10 = data.info("stl10", data_dir=tmp_path)
    assert (
        stl10.class_names[:2] == ("airplane", "bird") and len(stl10.class_names) == 10
    )
    assert "test" not in data.info("voc/2012", data_dir=tmp_path).splits
    assert len(data.info("voc/2007", data_dir=tmp_path).class_names) == 20
    assert data.info("imagenette", data_dir=tmp_path).class_names[-1] == "parachute"


def test_configurations():
    assert catalog.find("voc").name == "voc/2007"
    small = catalog.find("imagenette/160px-v2")
    assert small.name == "imagenette/160px-v2"
    assert small.splits == catalog.find("imagenette").splits
    assert catalog.find("voc/2013") is None
    assert catalog.find("birds") is None


def test_registering_takes_one_line(restored_catalog, tmp_path):
    data.register(data.Adapter("cats_vs_dogs"))
    assert "cats_vs_dogs" in data.names()
    info = data.info("cats_vs_dogs", data_dir=tmp_path)
    assert info.class_names == ("cat", "dog") and info.splits == {}


def test_an_adapter_that_names_a_missing_feature(restored_catalog, tmp_path):
    data.register(data.Adapter("cats_vs_dogs", boxes="objects.bbox"))
    with pytest.raises(
        ValueError, match="'cats_vs_dogs' has no feature 'objects.bbox'"
    ):
        data.info("cats_vs_dogs", data_dir=tmp_path)


def test_an_adapter_for_what_tfds_does_not_know(restored_catalog, tmp_path):
    data.register(data.Adapter("no_such_set"))
    with pytest.raises(ValueError, match="Received: dataset='no_such_set'"):
        data.info("no_such_set", data_dir=tmp_path)


def test_shapes_cannot_be_replaced():
    with pytest.raises(ValueError, match="'shapes' is the generated set"):
        data.register(data.Adapter("shapes"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("caltech_birds", "Did you mean 'caltech_birds2011'"),
        ("Shapes", "Did you mean 'shapes'"),
        ("voc/2013", "Did you mean 'voc/20"),
        ("imagenette/80px", "Received: dataset='imagenette/80px'"),
        ("zzz", "Accepted: 'caltech_birds2011', .*'voc/2012'. Received: dataset='zzz'"),
    ],
)
def test_unknown_names_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        data.info(name)
    with pytest.raises(ValueError, match="Neither a known data set nor a folder"):
        data.load(name)
