"""What each experiment is told. Every option is a flag of the script that does it.

Those of a training run are its parts by name, the options of these, and what concerns no part.
"""

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


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What is judged, by what, and how.

    Attributes:
        workdir: run to judge, or whose data to judge by.
        checkpoint: of the run: latest, best, all or a step; none is the latest.
        dataset: where the run's data is now, such as folder:DIR, if it was moved.
        trust_code: run the code of the run's own that its flags name by import path.
        model: judge this .keras or .tflite file instead.
        images: judge the pictures in this folder instead, all of them.
        reference: data set to judge by, such as folder:DIR; none is the run's.
        split: of the reference; none is the run's.
        image_size: resize --reference and --images to it; none keeps them, or does as the run did.
        center_crop: cut out their largest centred square first; none does as the run did.
        channels: 1, 3 or 4 to convert them to; none keeps them, or does as the run did.
        metrics: names or import paths; none is fid for images and modes for mixtures.
        num_samples: how many; none is 10,000 images, 26,000 stacked ones or 2,500 points.
        num_reference: how many images of the reference; none is all.
        feature_net: a name or import path; auto is the run's own, which is by default the one made
            for the data, else random.
        feature_weights: file of the weights of inception (classify_image_graph_def.pb) or a
            keras:MODEL; none downloads them.
        inception_weights: the same as --feature_weights.
        labels: classes of conditional generators: by the data's shares, or balanced.
        seed: of the latents, and of the order of labels; a translator has neither.
        seeds: how many seeds, from --seed on: mean and standard error of the metrics.
        cache: keep the reference's features in ~/.cache/tapestry or $TAPESTRY_CACHE.
        out: file to write to, .json; none is evaluation.json in the workdir.
    """

    workdir: str | os.PathLike[str] | None = None
    checkpoint: str | None = None
    dataset: str | None = None
    trust_code: bool = False
    model: str | os.PathLike[str] | None = None
    images: str | os.PathLike[str] | None = None
    reference: str | None = None
    split: str | None = None
    image_size: int | None = None
    center_crop: bool | None = None
    channels: int | None = None
    metrics: tuple[str, ...] | None = None
    num_samples: int | None = None
    num_reference: int | None = None
    feature_net: str = "auto"
    feature_weights: str | os.PathLike[str] | None = None
    inception_weights: str | os.PathLike[str] | None = None
    labels: str = "data"
    seed: int = 0
    seeds: int = 1
    cache: bool = True
    out: str | os.PathLike[str] | None = None


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What is shown.

    Attributes:
        metrics: which, comma-separated; none is all.
        out: PNG to write; none is compare.png, where matplotlib is installed.
        against: what the curves are drawn against: images or seconds.
    """

    metrics: tuple[str, ...] | None = None
    out: str | os.PathLike[str] | None = None
    against: str = "images"


@dataclass(frozen=True, kw_only=True)
class GenerateOptions:
    """Which generator, and how much of it is drawn.

    Attributes:
        workdir: run whose generator to use (its moving average where it has one).
        model: a generator's file to use instead, .keras or .tflite.
        checkpoint: of the run: latest, best or a step; none is the latest.
        dataset: where the run's data is now, such as folder:DIR, if it was moved.
        trust_code: run the code of the run's own that its flags name by import path.
        images: folder of pictures for a translator.
        out: PNG to write.
        count: how many samples.
        columns: samples in a row; none makes the grid square, or one row per class.
        classes: class indices to draw, comma-separated; none is all.
        seed: of the latents.
        scale: each pixel is drawn this many pixels wide.
    """

    workdir: str | os.PathLike[str] | None = None
    model: str | os.PathLike[str] | None = None
    checkpoint: str | None = None
    dataset: str | None = None
    trust_code: bool = False
    images: str | os.PathLike[str] | None = None
    out: str | os.PathLike[str] | None = None
    count: int = 64
    columns: int | None = None
    classes: tuple[str, ...] | None = None
    seed: int = 0
    scale: int = 2


@dataclass(frozen=True, kw_only=True)
class CompressOptions:
    """What is made of a generator.

    Attributes:
        workdir: folder of the trained run.
        out: folder of the exported files and the report.
        checkpoint: which of the run's checkpoints: latest, best or a step.
        dataset: where the run's data is now, such as folder:DIR, if it was moved.
        trust_code: run the code of the run's own that its flags name by import path.
        variants: files to make: words joined by _, slim or slim0.25, pruned or pruned0.9 or
            pruned2of4, qat, and last float32, float16, dynamic or int8; none makes those that a
            search finds, or float32, int8 and pruned_int8.
        budget_kb: look for the best variant of at most so many kB when gzipped.
        max_latency_ms: look for the best of at most so many milliseconds a call on one thread.
        max_fid_ratio: look for the best of at most so many times float32's FID; alone, for the
            smallest.
        trials: students trained in a search at most.
        width: what slim stands for: share of the channels that stay.
        target_macs: what slim stands for instead: the multiply-accumulates of an image, wherever
            the channels go.
        sparsity: what pruned stands for: share of zeros.
        finetune_kimg: thousands of images each student learns on; zeros come and rates stay in the
            first half, rates fall to 0 in the second.
        output_weight: of the difference between the student's and the teacher's images.
        feature_weight: of the difference between the discriminator's features of them.
        adversarial_weight: of the game against the discriminator; 0 leaves it out.
        allocation: where zeros go, layer: that share in each kernel; global: over all together.
        keep_output_dense: do not prune the last kernel, which draws the image.
        quantizer: of int8 files: converter, or litert (litert-quantizer).
        keep_float: layers that stay float32 in int8 files, comma-separated.
        debug_layers: say which layers lose most in the trained generator's int8 file.
        calibration: batches that set int8's ranges, 100 to 500.
        feature_net: judges the files; none is the one that judged the run as it trained.
        feature_weights: file of its weights; none is the run's.
        eval_samples: samples of each file for its metrics; none is 10,000.
        steps_per_loop: training steps in one graph call.
        seed: of the students' training, and of the z that files are judged on.
    """

    workdir: str | os.PathLike[str] | None = None
    out: Free[str | os.PathLike[str] | None] = None
    checkpoint: str = "latest"
    dataset: Free[str | None] = None
    trust_code: Free[bool] = False
    variants: Free[tuple[str, ...] | None] = None
    budget_kb: Free[float | None] = None
    max_latency_ms: Free[float | None] = None
    max_fid_ratio: Free[float | None] = None
    trials: Free[int] = 4
    width: float = 0.5
    target_macs: int | None = None
    sparsity: float = 0.7
    finetune_kimg: float = 50.0
    output_weight: float = 10.0
    feature_weight: float = 10.0
    adversarial_weight: float = 1.0
    allocation: str = "global"
    keep_output_dense: bool = False
    quantizer: str = "converter"
    keep_float: tuple[str, ...] = ()
    debug_layers: Free[bool] = False
    calibration: int = 200
    feature_net: str | None = None
    feature_weights: str | os.PathLike[str] | None = None
    eval_samples: int | None = None
    steps_per_loop: Free[int] = 50
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class WebOptions:
    """What is served, and where.

    Attributes:
        model: generator's file, .tflite, as scripts.compress exports it.
        port: of the page's address; 0 takes a free one.
    """

    model: str | os.PathLike[str] | None = None
    port: int = 8000
