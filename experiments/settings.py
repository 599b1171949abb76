"""The options of each script's work: every one is a flag of the script.

A training run has three sets: the names of its parts, the options of those parts, and `RunOptions`.
"""

import os
from dataclasses import dataclass

from gan.options import Free, Judging, Size


@dataclass(frozen=True, kw_only=True)
class Names:
    """The parts of an experiment.

    Attributes:
        trainer: training method: a name or an import path.
        architecture: networks to train: a name or an import path.
        dataset: data set to train on: a name, such as folder:DIR, or an import path.
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
        image_every_kimg: thousands of images between pictures of samples; none draws nothing.
        log_every_kimg: thousands of images between lines of metrics.jsonl; none logs evaluations
            only.
        eval_samples: number of samples an evaluation draws; none is 10,000 images, 26,000 stacked
            images or 2,500 points.
        eval_metrics: metrics of an evaluation, names or import paths; none is fid for images and
            modes for mixtures.
        eval_labels: classes an evaluation draws: data (in the data's shares) or balanced.
        best_by: metric that decides which checkpoint is best, such as kid; none is the first
            metric of the evaluation that can decide it.
        eval_share: largest share of the time spent on evaluations; some are skipped to keep it.
        feature_net: network whose features the metrics compare, a name or import path; auto is the
            one made for the data, or random where there is none.
        feature_weights: file with the weights of the feature net inception or keras:MODEL; none
            downloads them.
        eval_at_start: evaluate the generator before training too.
        on_collapse: what to do if the generator collapses: off, warn, stop or rollback.
        alarm_every_kimg: thousands of images between checks for a collapse.
        max_rollbacks: number of rollbacks after a collapse; the next collapse stops the run.
        keep_checkpoints: number of newest checkpoints to keep; the best is kept too.
        steps_per_loop: training steps in one graph call.
        callbacks: Keras callbacks, names or import paths, such as keras.callbacks:EarlyStopping;
            their arguments with a default are flags.
        lr_decay: schedule of the learning rates: constant, or linear or cosine decay to 0.
        lr_decay_start: share of total_kimg after which the learning rates begin to fall.
        strategy: devices to train on: auto, one, mirrored or multi_worker.
        worker_timeout: seconds a worker waits for the other workers to start.
        deterministic: use deterministic ops only, so that equal runs give equal weights.
        check_routes: before training, check that each loss moves the networks that the trainer's
            table `routes` says, and no other.
        dry_run: print the resolved experiment and what the run will take, then stop.
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
    check_routes: Free[bool] = False
    dry_run: Free[bool] = False


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What to evaluate, against which data, and how.

    Attributes:
        workdir: folder of the run to evaluate, or whose data --model or --images is compared with.
        checkpoint: checkpoint of the run: latest, best, all or a step; none is the latest.
        dataset: where the run's data is now, such as folder:DIR, if it was moved.
        trust_code: run the code that the run's flags name by import path.
        model: .keras or .tflite file to evaluate instead of a run.
        images: folder of pictures to evaluate instead of a generator; all of them count.
        reference: data set to compare with, such as folder:DIR; none is the run's.
        split: part of the reference data; none is the part the run was trained on.
        image_size: side of a square to resize --reference and --images to, or height and width such
            as 32x64; none is the run's, or keeps them.
        center_crop: cut out the largest centred part of that shape of --reference and --images
            before resizing; none is as in the run.
        channels: 1, 3 or 4 channels to convert --reference and --images to; none is the run's, or
            keeps them.
        metrics: names or import paths of metrics; none is fid for images and modes for mixtures.
        num_samples: number of samples to draw; none is 10,000 images, 26,000 stacked images or
            2,500 points.
        num_reference: number of images of the reference data to use; none is all.
        feature_net: network whose features the metrics compare, a name or import path; auto is the
            run's, or the one made for the data, or random where there is none.
        feature_weights: file with the weights of the feature net inception
            (classify_image_graph_def.pb) or keras:MODEL; none downloads them.
        inception_weights: another name of --feature_weights.
        labels: classes a conditional generator draws: data (in the data's shares) or balanced.
        seed: seed of the latents and of the order of labels; a translator uses no seed.
        seeds: number of seeds, counted from --seed; of several, the mean and standard error of
            each metric are given.
        truncation: largest |z_i| to draw, larger ones are as if drawn again (BigGAN), or psi of a
            generator with a w (stylegan2); none truncates no z, and leaves psi as it is.
        cache: keep the reference data's features in ~/.cache/tapestry or $TAPESTRY_CACHE.
        out: .json file to add the results to; none is evaluation.json in the workdir.
    """

    workdir: str | os.PathLike[str] | None = None
    checkpoint: str | None = None
    dataset: str | None = None
    trust_code: bool = False
    model: str | os.PathLike[str] | None = None
    images: str | os.PathLike[str] | None = None
    reference: str | None = None
    split: str | None = None
    image_size: int | Size | None = None
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
    truncation: float | None = None
    cache: bool = True
    out: str | os.PathLike[str] | None = None


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Which metrics to compare, and how to plot them.

    Attributes:
        metrics: metrics to compare, comma-separated; none is all.
        out: PNG file to write; none is compare.png, if matplotlib is installed.
        against: horizontal axis of the curves: images or seconds.
    """

    metrics: tuple[str, ...] | None = None
    out: str | os.PathLike[str] | None = None
    against: str = "images"


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Where the page about a run goes.

    Attributes:
        out: HTML file to write; none is report.html in the run's folder.
    """

    out: str | os.PathLike[str] | None = None


@dataclass(frozen=True, kw_only=True)
class ReproduceOptions:
    """How much of a run to train again, and where.

    Attributes:
        steps: steps to train, to the end of the graph call that reaches them; none goes to the
            first line of the run's log, or its first checkpoint.
        out: folder to train in, which must not be there; none is the run's with _again behind it.
        dataset: where the run's data is now, such as folder:DIR, if it was moved.
        trust_code: run the code that the run's flags name by import path.
    """

    steps: int | None = None
    out: str | os.PathLike[str] | None = None
    dataset: str | None = None
    trust_code: bool = False


@dataclass(frozen=True, kw_only=True)
class GenerateOptions:
    """Which generator to use, and what to draw.

    Attributes:
        workdir: folder of the run whose generator to use (its moving average if it keeps one).
        model: .keras or .tflite file of a generator to use instead of a run.
        checkpoint: checkpoint of the run: latest, best or a step; none is the latest.
        dataset: where the run's data is now, such as folder:DIR, if it was moved.
        trust_code: run the code that the run's flags name by import path.
        images: folder of pictures for a translator to translate; none is the run's data.
        class_grid: the same z in each class, a row per class.
        style_mixing: coarse layers of the images at the left, fine ones of those at the top
            (stylegan2).
        directions: sefa or ganspace: one image moved along each direction that the method finds.
        project: picture, or folder of some, whose nearest samples to find, shown beside them.
        project_steps: of Adam; 0 takes the encoder's answer (vae_gan, bigan), or the nearest of
            1,024 random images.
        latents: .npz that --project wrote: its samples again, to go between, for example.
        out: what to write: a grid (.png), a film of a walk from sample to sample (.gif, .webp), all
            samples in one archive (.npz), or a folder to fill with a PNG of each.
        count: number of samples to draw, of directions, or of pictures at most; none is 64, one for
            each of --seeds, or what suits the kind of drawing.
        seeds: a seed for each sample, such as 0-99 or 3,7,20-29; none draws all from --seed.
        interpolate: pictures of the way from each sample to the next, both included: a row of the
            grid; of a film, frames. None draws samples alone, and films of 30 frames a way.
        columns: number of samples in a row; none makes the grid square, or one row per class.
        classes: classes to draw, comma-separated, by name or by number from 0; none is all.
        seed: seed of the latents.
        truncation: largest |z_i| to draw, larger ones are as if drawn again (BigGAN), or psi of a
            generator with a w (stylegan2); none truncates no z, and leaves psi as it is.
        scale: factor by which pictures are enlarged; none is 2, and 1 in a folder.
    """

    workdir: str | os.PathLike[str] | None = None
    model: str | os.PathLike[str] | None = None
    checkpoint: str | None = None
    dataset: str | None = None
    trust_code: bool = False
    images: str | os.PathLike[str] | None = None
    class_grid: bool = False
    style_mixing: bool = False
    directions: str | None = None
    project: str | os.PathLike[str] | None = None
    project_steps: int = 500
    latents: str | os.PathLike[str] | None = None
    out: str | os.PathLike[str] | None = None
    count: int | None = None
    seeds: tuple[str, ...] | None = None
    interpolate: int | None = None
    columns: int | None = None
    classes: tuple[str, ...] | None = None
    seed: int = 0
    truncation: float | None = None
    scale: int | None = None


@dataclass(frozen=True, kw_only=True)
class CompressOptions:
    """Which generator to compress, into what, and how.

    Attributes:
        workdir: folder of the trained run.
        out: folder of the exported files and the report.
        checkpoint: checkpoint of the run: latest, best or a step.
        dataset: where the run's data is now, such as folder:DIR, if it was moved.
        trust_code: run the code that the run's flags name by import path.
        variants: variants to make, comma-separated, each of words joined by _: slim or slim0.25,
            pruned or pruned0.9 or pruned2of4, qat, and last float32, float16, dynamic or int8;
            none makes float32, int8 and pruned_int8, or with a limit what a search finds.
        budget_kb: limit of a search: size of the gzipped file in kB.
        max_latency_ms: limit of a search: milliseconds per call on one thread.
        max_fid_ratio: limit of a search: FID as a multiple of the float32 file's; as the only limit
            it asks for the smallest file.
        trials: most students that a search trains.
        width: share of the channels that slim keeps.
        target_macs: multiply-accumulates per image that slim keeps, instead of --width; none goes
            by --width.
        sparsity: share of weights that pruned sets to 0.
        finetune_kimg: thousands of images to train each student on: it is pruned in the first
            half, its learning rates fall to 0 in the second.
        output_weight: weight of the distance between the student's and the teacher's images.
        feature_weight: weight of the distance between the discriminator's features of the
            student's and the teacher's images.
        adversarial_weight: weight of the student's adversarial loss; 0 leaves it out.
        allocation: how zeros are shared out: layer (the same share in each kernel) or global
            (the smallest weights of all kernels together).
        keep_output_dense: do not prune the last kernel, which draws the image.
        quantizer: maker of int8 files: converter, or litert (litert-quantizer).
        keep_float: layers that stay float32 in int8 files, comma-separated.
        debug_layers: print which layers lose most in the trained generator's int8 file.
        calibration: number of batches that set the ranges of int8 values, 100 to 500.
        feature_net: network whose features the metrics of the files compare; none is the run's.
        feature_weights: file with the weights of the feature net inception or keras:MODEL; none is
            the run's.
        eval_samples: number of samples to evaluate each file on; none is 10,000.
        steps_per_loop: training steps in one graph call.
        seed: seed of the students' training and of the latents that files are evaluated on.
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
    """Which generator to serve, and where.

    Attributes:
        model: .tflite file of a generator, as scripts.compress exports it.
        port: port of the page's address; 0 takes a free one.
        host: name or address to listen on; 0.0.0.0 serves phones in the same network too.
        export: folder to write the page to, for any web server, instead of serving it.
    """

    model: str | os.PathLike[str] | None = None
    port: int = 8000
    host: str = "127.0.0.1"
    export: str | os.PathLike[str] | None = None


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """Which images to prepare, and where.

    Attributes:
        set: emoji (64x64 in two styles) or openmoji (line art and the same in colour).
        out: folder to make.
        size: height and width of an image in pixels; only openmoji has others than 64.
        tarball: files of the packages that the set is made of, comma-separated; none takes them
            from ~/.cache/tapestry or $TAPESTRY_CACHE, where npm puts them once.
    """

    set: str | None = None
    out: str | os.PathLike[str] | None = None
    size: int = 64
    tarball: tuple[str, ...] | None = None
