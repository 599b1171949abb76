"""What a training run is told: its parts by name, and what concerns no part. Each is a flag."""

import os
from dataclasses import dataclass

from gan.options import Free, Judging


@dataclass(frozen=True, kw_only=True)
class Names:
    """The parts of an experiment.

    Attributes:
        trainer: how it learns: a name or an import path.
        architecture: its networks: a name or an import path.
        dataset: what it learns from: a name, such as folder:DIR, or an import path.
    """

    trainer: str = "gan"
    architecture: str = "dcgan"
    dataset: Judging[str] = "fashion_mnist_small"


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How long a run trains, and what happens meanwhile.

    Attributes:
        workdir: folder of the run; needed unless --dry_run.
        total_kimg: thousands of real images to train on.
        checkpoint_every_kimg: thousands of images between checkpoints; none saves at the end only.
        eval_every_kimg: thousands of images between evaluations; none evaluates nothing.
        image_every_kimg: thousands of images between pictures; none draws nothing.
        log_every_kimg: thousands of images between lines of metrics.jsonl; none logs evaluations
            only.
        eval_samples: samples that an evaluation draws; none is 10,000 images, 26,000 stacked ones
            or 2,500 points.
        eval_metrics: what an evaluation measures, see scripts.evaluate; none is fid for images and
            modes for mixtures.
        eval_labels: classes that an evaluation draws: by the data's shares, or balanced.
        best_by: metric that says which checkpoint is best, such as kid; none is the first that may.
        eval_share: share of the time that evaluations may take; rarer ones keep to it.
        feature_net: what evaluations see images with, see scripts.evaluate; auto is the one made
            for the data, else random.
        feature_weights: file of the weights of inception or a keras:MODEL; none downloads them.
        eval_at_start: evaluate the untrained generator too.
        on_collapse: what follows a collapse: off, warn, stop or rollback.
        alarm_every_kimg: thousands of images between looks at the samples' diversity.
        max_rollbacks: rollbacks of a run; after them it stops.
        keep_checkpoints: newest checkpoints kept, beside the best.
        steps_per_loop: steps in one graph call.
        callbacks: Keras callbacks by name or import path, such as keras.callbacks:EarlyStopping;
            their arguments that have a default are flags.
        lr_decay: how learning rates fall to 0: constant, linear or cosine.
        lr_decay_start: share of total_kimg before they begin to fall.
        strategy: replicas: auto, one, mirrored or multi_worker.
        worker_timeout: seconds that a worker waits for the others to start.
        deterministic: make every op deterministic: equal runs are equal to the bit.
        dry_run: print the resolved experiment and parameter counts, then stop.
    """

    workdir: Free[str | os.PathLike[str] | None] = None
    total_kimg: Free[float] = 200.0
    checkpoint_every_kimg: Free[float | None] = 20.0
    eval_every_kimg: Free[float | None] = 50.0
    image_every_kimg: Free[float | None] = 10.0
    log_every_kimg: Free[float | None] = 1.0
    eval_samples: Free[Judging[int | None]] = None
    eval_metrics: Free[Judging[tuple[str, ...] | None]] = None
    eval_labels: Free[Judging[str]] = "data"
    best_by: Free[str | None] = None
    eval_share: Free[float] = 1.0
    feature_net: Free[Judging[str]] = "auto"
    feature_weights: Free[Judging[str | os.PathLike[str] | None]] = None
    eval_at_start: Free[bool] = False
    on_collapse: Free[str] = "warn"
    alarm_every_kimg: Free[float] = 10.0
    max_rollbacks: Free[int] = 3
    keep_checkpoints: Free[int] = 3
    steps_per_loop: Free[int] = 50
    callbacks: Free[tuple[str, ...]] = ()
    lr_decay: str = "constant"
    lr_decay_start: float = 0.5
    strategy: Free[str] = "auto"
    worker_timeout: Free[float] = 600.0
    deterministic: Free[bool] = False
    dry_run: Free[bool] = False
