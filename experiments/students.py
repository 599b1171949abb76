"""Trains a student of a run's generator; a training that was killed goes on where it was."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
from absl import logging

from callbacks.checkpoint import Checkpoint
from callbacks.image_grid import ImageGrid
from callbacks.lr_decay import LearningRateDecay
from callbacks.metrics_log import MetricsLog
from callbacks.nan_guard import NaNGuard
from callbacks.progress_bar import ProgressBar
from callbacks.pruning import Pruning
from callbacks.tensorboard_scalars import TensorBoardScalars
from experiments import experiment
from experiments.settings import CompressOptions
from gan.architectures import Networks
from gan.compression.students import pruning, slimming
from gan.compression.students.variants import Student
from gan.data import Spec
from gan.errors import UserError
from gan.generators import load_keras
from trainers import averages, scheduling
from trainers.checkpoints import Checkpoints
from trainers.distillation import Distillation
from trainers.gan import GAN
from trainers.workdir.paths import Workdir

# Checkpoints and pictures per student.
_MOMENTS = 5


class StudentInterruptedError(Exception):
    """A signal ended a student's training; its state is saved."""

    def __init__(self, name: str, signal: int) -> None:
        super().__init__(name)
        self.signal = signal


def initial(teacher: keras.Model, student: Student) -> keras.Model:
    """A student as its training begins: the teacher, slimmed."""
    return slimming.slim(teacher, width=student.width, target_macs=student.macs)


def sized(teacher: keras.Model, student: Student, options: CompressOptions) -> keras.Model:
    """`initial`, with its smallest weights set to 0 already, to measure the size of its file."""
    model = initial(teacher, student)
    if student.sparsity:
        kernels = pruning.kernels(model, keep_output_dense=options.keep_output_dense)
        shares = [student.sparsity] * len(kernels)
        if options.allocation == "global":
            shares = pruning.allocate([k.value for k in kernels], student.sparsity)
        schedules = [pruning.constant(share) for share in shares]
        pruner = pruning.Pruner(model, schedules, keep_output_dense=options.keep_output_dense)
        pruner.update(0)
        pruner.strip()
    return model


def trained(
    run: experiment.Experiment, student: Student, folder: Path, options: CompressOptions
) -> keras.Model:
    """The student trained for `finetune_kimg`, or read from its file if that is done already.

    Args:
        run: the run with the trained generator and discriminator.
        student: the student to train.
        folder: the student's workdir: checkpoints, metrics.jsonl, samples, TensorBoard's events,
            and at the end generator.keras.
        options: how to train it.

    Raises:
        StudentInterruptedError: a signal ended the training.
        TrainingDiverged: a loss is not finite.
        UserError: the run has no students.
    """
    file = Workdir(folder).generator()
    if file.is_file():
        try:
            return load_keras(file, flag="out")
        except UserError as error:
            logging.warning("%s The student is trained again.", error)
    trainer = make_trainer(run, student, options)
    checkpoints = Checkpoints(folder, keep=1)
    resumed = checkpoints.restore(trainer)
    if resumed is not None:
        print(f"{student.name} goes on at {trainer.images / 1000:g} kimg.", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    every = options.finetune_kimg / _MOMENTS
    callbacks: list[keras.callbacks.Callback] = [
        LearningRateDecay("linear", total_kimg=options.finetune_kimg, start=0.5)
    ]
    if student.sparsity or student.two_of_four:
        callbacks.append(_pruning(student, initial(run.trainer.inference(), student), options))
    callbacks += [
        MetricsLog(folder, log_every_kimg=every / 10, sinks=[TensorBoardScalars(folder)]),
        NaNGuard(folder),
        ImageGrid(run.source, folder, image_every_kimg=every),
        ProgressBar(),
        Checkpoint(checkpoints, checkpoint_every_kimg=every),
    ]
    trainer.fit(
        run.source,
        total_kimg=options.finetune_kimg,
        steps_per_loop=options.steps_per_loop,
        callbacks=callbacks,
        eval_every_kimg=options.finetune_kimg,
    )
    if trainer.interrupted:
        raise StudentInterruptedError(student.name, trainer.interrupted)
    trainer.save_generator(file)
    shutil.rmtree(checkpoints.directory, ignore_errors=True)
    return trainer.inference()


def check(
    run: experiment.Experiment, students: Iterable[Student], options: CompressOptions
) -> None:
    """Checks in advance that these students can be trained.

    Raises:
        UserError: the run has no students, or options do not fit it.
    """
    built: set[bool] = set()
    for student in students:
        if student == Student():
            continue
        _check_trainer(run)
        model = sized(run.trainer.inference(), student, options)
        if student.sparsity or student.two_of_four:
            _pruning(student, model, options)
        if student.aware not in built:  # the trainers of the others are built in the same way
            built.add(student.aware)
            make_trainer(run, student, options)


def make_trainer(
    run: experiment.Experiment, student: Student, options: CompressOptions
) -> Distillation:
    """The distillation of a run's generator, against a copy of its trained discriminator.

    Raises:
        UserError: the run's trainer is no GAN.
    """
    _check_trainer(run)
    teacher, critic = run.trainer.inference(), run.trainer.networks["discriminator"]

    def networks(spec: Spec) -> Networks:
        discriminator = averages.copy(critic)
        discriminator.trainable = True
        return Networks(initial(teacher, student), discriminator)

    arguments = experiment.trainer_options(run.values, Distillation)
    # A student goes on from where the run's schedules and its adaptive p stand.
    arguments = {name: scheduling.at(v, run.trainer.images) for name, v in arguments.items()}
    adaptive = run.trainer.augmentation.p
    if adaptive is not None:
        arguments |= {"augment_p": float(adaptive.numpy()), "augment_target": None}
    half_life = options.finetune_kimg / 10  # so that dense weights fade from the average
    arguments |= {
        "n_critic": 1,
        "seed": options.seed,
        "ema_half_life_kimg": min(arguments.get("ema_half_life_kimg") or half_life, half_life),
        "output_weight": options.output_weight,
        "feature_weight": options.feature_weight,
        "adversarial_weight": options.adversarial_weight,
        "quantization_aware": student.aware,
        # If the run is itself a distillation, its options name its own teacher, not this one.
        "teacher": averages.copy(teacher),
    }
    return Distillation(networks, run.source.spec, **arguments)


def has(run: experiment.Experiment) -> bool:
    """Whether a run's generator can have students, which train against its discriminator."""
    if not isinstance(run.trainer, GAN):
        return False
    # Its discriminator must judge images alone, or with their labels.
    return len(run.trainer.networks["discriminator"].inputs) <= 1 + run.trainer.conditional


def _check_trainer(run: experiment.Experiment) -> None:
    if not has(run):
        raise UserError(
            f"a run of --trainer={run.values['trainer']} has no students; its generator can be "
            "exported as it is: --variants=float32,float16,dynamic,int8."
        )


def _pruning(student: Student, model: keras.Model, options: CompressOptions) -> Pruning:
    """Pruning over the first half of the training, by the weights the student begins with."""
    kernels = pruning.kernels(model, keep_output_dense=options.keep_output_dense)
    return Pruning(
        student.sparsity,
        begin_kimg=0.0,
        end_kimg=options.finetune_kimg / 2,
        keep_output_dense=options.keep_output_dense,
        allocation="layer" if student.two_of_four else options.allocation,
        structure="2of4" if student.two_of_four else "",
        initial=[np.asarray(kernel) for kernel in kernels],
    )
