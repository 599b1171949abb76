"""Real data sets of tensorflow-datasets, prepared here on disk by the library itself."""

import shutil
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from gan.data import load
from gan.data._tfds_builder import unreachable
from gan.errors import UserError, from_graph

COUNT = 30
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 6, 3), np.uint8)


class TapestryToy(tfds.core.GeneratorBasedBuilder):
    """Thirty noise images in two classes: example i is image i of class i % 2."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "name": tfds.features.Text(),
            "image": tfds.features.Image(shape=(8, 6, 3)),
            "label": tfds.features.ClassLabel(names=["even", "odd"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples(range(20)),
            "test": self._generate_examples(range(20, COUNT)),
        }

    def _generate_examples(self, numbers):
        for i in numbers:
            yield i, {"name": f"number {i}", "image": IMAGES[i], "label": i % 2}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    config = tfds.download.DownloadConfig(num_shards=3)
    TapestryToy(data_dir=folder).download_and_prepare(download_config=config)
    return str(folder)


def numbers(source) -> list[int]:
    """Which images an ordered pass gives; checks their labels on the way."""
    table = {image.tobytes(): i for i, image in enumerate(IMAGES)}
    found = []
    for batch in source.ordered(7):
        pixels = np.rint((batch["x"].numpy() + 1) * 127.5).astype(np.uint8)
        chosen = [table[x.tobytes()] for x in pixels]
        np.testing.assert_array_equal(batch["label"], np.array(chosen) % 2)
        found += chosen
    return found


@pytest.mark.parametrize("memory_mb", [1024, 0])
@pytest.mark.parametrize(
    ("split", "expected"), [("train", range(20)), ("test", range(20, 30)), ("train[:50%]", None)]
)
def test_a_prepared_set_is_read_whole(prepared, split, expected, memory_mb):
    source = load("tfds:tapestry_toy", split=split, data_dir=prepared, memory_mb=memory_mb)
    spec = source.spec
    assert (spec.shape, spec.num_classes, spec.class_names) == ((8, 6, 3), 2, ("even", "odd"))
    found = numbers(source)
    assert len(set(found)) == len(found) == spec.size == (10 if expected is None else len(expected))
    if expected is not None:
        assert sorted(found) == list(expected)


class TapestryLetters(tfds.core.GeneratorBasedBuilder):
    """Six images in two of four declared classes, and a split whose labels are not known."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(8, 6, 3)),
            "label": tfds.features.ClassLabel(names=["none", "a", "b", "c"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples([1, 3, 3, 1, 1, 3]),
            "test": self._generate_examples([-1, -1, 1]),
        }

    def _generate_examples(self, labels):
        for i, label in enumerate(labels):
            yield i, {"image": IMAGES[i], "label": label}


@pytest.mark.parametrize("memory_mb", [1024, 0])
def test_classes_without_an_example_are_left_out(tmp_path, memory_mb):
    options = {"data_dir": str(tmp_path), "memory_mb": memory_mb}
    source = load("tfds:tapestry_letters", **options)
    assert source.spec.class_names == ("a", "c")
    batch = next(iter(source.ordered(6)))
    table = {image.tobytes(): i for i, image in enumerate(IMAGES)}
    pixels = np.rint((batch["x"].numpy() + 1) * 127.5).astype(np.uint8)
    expected = [[0, 1, 1, 0, 0, 1][table[x.tobytes()]] for x in pixels]
    np.testing.assert_array_equal(batch["label"], expected)
    assert load("tfds:tapestry_letters", split="test", **options).spec.num_classes == 0


class TapestryHorses(tfds.core.GeneratorBasedBuilder):
    """Images of several sizes in splits by domain, as cycle_gan has them: 7 of a, 12 of b."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(names=["A", "B"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {
            "trainA": self._generate_examples("A", range(7)),
            "trainB": self._generate_examples("B", range(7, 19)),
            "testA": self._generate_examples("A", range(19, 21)),
            "testB": self._generate_examples("B", range(21, 24)),
        }

    def _generate_examples(self, label, numbers):
        for i in numbers:
            yield i, {"image": np.full((4 + i % 3, 5, 3), 10 * i, np.uint8), "label": label}


@pytest.mark.parametrize("memory_mb", [1024, 0])
def test_splits_by_domain_are_two_domains(tmp_path, memory_mb):
    options = {"data_dir": str(tmp_path), "memory_mb": memory_mb, "image_size": "4x6"}
    for split, a, b in (
        ("train", range(7), range(7, 19)),
        ("test", range(19, 21), range(21, 24)),
        ("train[:50%]", 4, 6),
    ):
        spec = (source := load("tfds:tapestry_horses", split=split, **options)).spec
        assert (spec.shape, spec.domains, spec.num_classes) == ((4, 6, 3), ("a", "b"), 0)
        sizes = [n if isinstance(n, int) else len(n) for n in (a, b)]
        assert spec.sizes == tuple(sizes) and not spec.paired
        batch = next(iter(source.ordered(spec.size)))
        for domain, numbers in (("a", a), ("b", b)):
            grey = np.rint((batch[domain].numpy()[:, 0, 0, 0] + 1) * 127.5)
            if not isinstance(numbers, int):
                assert set(grey) == {10 * i for i in numbers}
    with pytest.raises(UserError, match=r"split='val'.*testA, testB, trainA, trainB"):
        load("tfds:tapestry_horses", split="val", **options)
    one = load("tfds:tapestry_horses", split="trainB", **options)
    assert (one.spec.domains, one.spec.size, one.spec.class_names) == (("x",), 12, ("B",))
    identity = load("tfds:tapestry_horses", **options).identity()
    assert identity.changes(load("tfds:tapestry_horses", split="test", **options).identity())


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "a b",
        "mnist/",
        "mnist:",
        "mnist:x.y",
        "MNIST",
        "é",
        "x" * 300,
        "~",
        "/",
    ],
)
def test_odd_names_are_one_line(name, tmp_path):
    with pytest.raises(UserError) as caught:
        load(f"tfds:{name}", data_dir=str(tmp_path), download=False)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def test_a_shard_that_vanishes_ends_reading_in_one_line(prepared, tmp_path):
    import tensorflow as tf

    shutil.copytree(prepared, tmp_path / "copy")
    source = load("tfds:tapestry_toy", data_dir=str(tmp_path / "copy"), memory_mb=0)
    for file in (tmp_path / "copy").rglob("*train.tfrecord*"):
        file.unlink()
    with pytest.raises(tf.errors.OpError) as caught:
        next(iter(source.ordered(4)))
    assert str(from_graph(caught.value)).endswith("(No such file or directory).")


def test_a_copy_is_the_same_data_and_another_split_is_not(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "copy")
    before = load("tfds:tapestry_toy", data_dir=prepared).identity()
    copy = str(tmp_path / "copy")
    assert before.changes(load("tfds:tapestry_toy", data_dir=copy, memory_mb=0).identity()) == ""
    assert before.changes(load("tfds:tapestry_toy", data_dir=copy, split="train[:50%]").identity())


def test_streamed_order_is_a_permutation_that_resumes(prepared):
    source = load("tfds:tapestry_toy", data_dir=prepared, memory_mb=0, image_size=4, flip=True)
    whole = np.concatenate([b["x"].numpy() for b in source.pipeline(10, seed=4).take(4)])
    for epoch in (whole[:20], whole[20:]):
        mirrored = {min(x.tobytes(), x[:, ::-1].tobytes()) for x in epoch}
        assert len(mirrored) == 20
    resumed = np.concatenate([b["x"].numpy() for b in source.pipeline(5, seed=4, start=15).take(5)])
    np.testing.assert_array_equal(resumed, whole[15:])


def test_sets_stored_without_a_builder_class_are_found(tmp_path):
    import tensorflow as tf

    features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(8, 6, 3))})
    dataset = tf.data.Dataset.from_tensor_slices({"image": IMAGES})
    tfds.dataset_builders.store_as_tfds_dataset(
        name="stored_toy",
        version="1.0.0",
        features=features,
        data_dir=str(tmp_path),
        split_datasets={"train": dataset},
    )
    source = load("tfds:stored_toy", data_dir=str(tmp_path))
    assert (source.spec.size, source.spec.num_classes) == (COUNT, 0)


def test_a_set_that_needs_no_network_is_prepared_on_demand(tmp_path):
    with pytest.raises(UserError, match=r"not prepared in .*tfds build tapestry_toy"):
        load("tfds:tapestry_toy", data_dir=str(tmp_path), download=False)
    assert load("tfds:tapestry_toy", data_dir=str(tmp_path)).spec.size == 20


def test_mistakes_are_one_clear_line(prepared):
    for name, options, says in (
        ("tfds:mnits", {}, "Did you mean 'tfds:mnist'"),
        ("tfds:emnist/leters", {}, "Did you mean 'tfds:emnist/letters'"),
        ("tfds:tapestry_toy", {"split": "validation"}, "split='validation'.*test, train"),
        ("tfds:tapestry_toy", {"data_folder": "x"}, "'data_folder' is not known"),
    ):
        options = {"data_dir": prepared, **options} if "data_folder" not in options else options
        with pytest.raises(UserError, match=says) as caught:
            load(name, **options)
        assert "\n" not in str(caught.value)


def test_a_host_that_does_not_answer_is_found_out_quickly():
    began = time.monotonic()
    # Port 9 of this machine: nobody listens there.
    assert "127.0.0.1:9 does not answer" in unreachable(["http://127.0.0.1:9/data.zip"])
    assert time.monotonic() - began < 15
    assert unreachable([]) == ""
