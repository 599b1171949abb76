"""What scripts.evaluate judges by."""

import types

import pytest

from scripts import _subjects
from trainers.workdir.flags import STAMP


@pytest.mark.parametrize(
    ("flags", "net", "weights"),
    [
        ({}, "keras:VGG16", "vgg.h5"),  # as the run's own figures
        ({"feature_weights": "there.h5"}, "keras:VGG16", "there.h5"),  # the file moved
        ({"feature_net": "random"}, "random", ""),
        ({"reference": "folder:other"}, "auto", ""),  # other data, no figures to go with
        ({"workdir": ""}, "auto", ""),
    ],
)
def test_a_run_is_judged_by_the_net_that_judged_it_in_training(
    tmp_path, monkeypatch, flags, net, weights
):
    (tmp_path / "flags.txt").write_text(
        f"{STAMP}--feature_net=keras:VGG16\n--feature_weights=vgg.h5\n"
    )
    names = {"workdir": str(tmp_path), "feature_net": "auto", "feature_weights": ""}
    names |= {"reference": "", "inception_weights": ""} | flags
    monkeypatch.setattr(_subjects, "FLAGS", types.SimpleNamespace(**names))
    assert _subjects.feature_net(None) == {"feature_net": net, "feature_weights": weights}
