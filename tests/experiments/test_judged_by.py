"""What an evaluation judges by."""

import pytest

from experiments import subjects
from experiments.settings import EvaluateOptions
from trainers.workdir.flags import STAMP


@pytest.mark.parametrize(
    ("flags", "net", "weights"),
    [
        ({}, "keras:VGG16", "vgg.h5"),  # as the run's own figures
        ({"feature_weights": "there.h5"}, "keras:VGG16", "there.h5"),  # the file moved
        ({"feature_net": "random"}, "random", None),
        ({"reference": "folder:other"}, "auto", None),  # other data, no figures to go with
        ({"workdir": None}, "auto", None),
    ],
)
def test_a_run_is_judged_by_the_net_that_judged_it_in_training(tmp_path, flags, net, weights):
    (tmp_path / "flags.txt").write_text(
        f"{STAMP}--feature_net=keras:VGG16\n--feature_weights=vgg.h5\n"
    )
    options = EvaluateOptions(**{"workdir": tmp_path} | flags)
    assert subjects.feature_net(None, options) == {"feature_net": net, "feature_weights": weights}
