"""A user's mistakes: status 2, one line that quotes what was given, before any training."""

import datetime
import hashlib
import json
import re
import shlex
import sys

import keras
import numpy as np
import pytest
from forked import run_all
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from gan import data
from gan.metrics.evaluation import Evaluator
from trainers.checkpoints import Checkpoints

TRAIN, EVALUATE = "scripts.train", "scripts.evaluate"
GENERATE, COMPRESS, COMPARE = "scripts.generate", "scripts.compress", "scripts.compare"
WEB, DEMO, PREPARE = "scripts.web", "scripts.demo", "scripts.prepare"
BENCHMARK = "scripts.benchmark"


W = "--workdir=run"
MISTAKES = [
    ([TRAIN], "--workdir is missing"),
    ([TRAIN, W, "--widht=2"], "Did you mean 'width'"),
    ([TRAIN, W, "width=2"], "'width=2' is not a flag"),
    ([TRAIN, W, "--trainer=gun"], "Did you mean 'gan'"),
    ([TRAIN, W, "--architecture=dcgun"], "Did you mean 'dcgan'"),
    ([TRAIN, W, "--architecture=no.such:thing"], "cannot import 'no.such'"),
    ([TRAIN, W, "--loss=gan.losses:hinged"], "Did you mean 'hinge'"),
    ([TRAIN, W, "--loss=hing"], "Did you mean 'hinge'"),
    ([TRAIN, W, "--penalty=r1,rr2"], "'rr2'"),
    ([TRAIN, W, "--dataset=fashion_mnist_smal"], "Did you mean 'fashion_mnist_small'"),
    ([TRAIN, W, "--dataset=folder:nowhere"], "nowhere"),
    ([TRAIN, W, "--dataset=idx:nowhere"], "nowhere"),
    ([TRAIN, W, "--batch_size=many"], "error: --batch_size=many: expected a whole number."),
    ([TRAIN, W, "--batch_size=0"], "--batch_size=0"),
    ([TRAIN, W, "--total_kimg=-1"], "--total_kimg=-1"),
    ([TRAIN, W, "--precision=float8"], "--precision='float8'"),
    ([TRAIN, W, "--strategy=many"], "--strategy='many'"),
    ([TRAIN, W, "--strategy=multi_worker"], "TF_CONFIG"),
    ([TRAIN, W, "--lr_decay=steep"], "--lr_decay='steep'"),
    ([TRAIN, W, "--n_critic=2", "--accumulate=2"], "--n_critic=2 with --accumulate=2"),
    ([TRAIN, W, "--pack=2", "--conditional"], "--pack=2 with --conditional"),
    ([TRAIN, W, "--dataset=ring"], "ring"),
    ([TRAIN, W, "--dataset=ring", "--architecture=mlp", "--conditional"], "conditional"),
    ([TRAIN, W, "--trainer=cyclegan", "--architecture=resnet_translator"], "edges2fashion"),
    (
        [TRAIN, W, "--trainer=cyclegan", "--n_critic=2"],
        "--n_critic: is a flag of --trainer=acgan or",
    ),
    ([TRAIN, W, "--n_blocks=2"], "--n_blocks: is a flag of --architecture=resnet_translator."),
    ([TRAIN, W, "--n_block=2"], "Did you mean 'n_blocks', a flag of --architecture=resnet_transl"),
    (
        [TRAIN, W, "--image_size="],
        "--image_size=: expected a whole number or HEIGHTxWIDTH or none.",
    ),
    ([TRAIN, W, "--eval_samples=1"], "--eval_samples=1: expected at least 2, or none."),
    ([TRAIN, W, "--callbacks=keras.callbacks:EarlyStoping"], "Did you mean 'EarlyStopping'"),
    (
        [TRAIN, W, "--callbacks=keras.callbacks:CSVLogger"],
        "not a Keras callback that options alone",
    ),
    (
        [TRAIN, W, "--callbacks=keras.callbacks:EarlyStopping", "--patience=x"],
        "--patience=x: expected a whole number or a number.",
    ),
    ([TRAIN, W, "--image_size=30"], "30"),
    ([TRAIN, W, "--image_size=30x64"], "'fashion_mnist_small' is 30x64: set --image_size"),
    ([TRAIN, W, "--width=0"], "--width=0"),
    ([TRAIN, W, "--steps_per_loop=0"], "--steps_per_loop=0"),
    ([TRAIN, W, "--flagfile=nowhere.flags"], "nowhere.flags"),
    ([TRAIN, "--workdir=file.txt"], "--workdir='file.txt' is a file; expected a folder"),
    (
        [TRAIN, "--workdir=file.txt/run"],
        "--workdir='file.txt/run' cannot be written: a file is where",
    ),
    ([TRAIN, W, "--eval_every_kimg=-1"], "--eval_every_kimg=-1"),
    ([TRAIN, W, "--eval_every_kimg=0"], "--eval_every_kimg=0: expected more than 0, or none for"),
    ([TRAIN, W, "--total_kimg=inf"], "--total_kimg=inf"),
    ([TRAIN, W, "--beta_1=1.5"], "--beta_1=1.5: expected at least 0 and less than 1."),
    ([TRAIN, W, "--beta_1=sine:0:1:2"], "--beta_1=sine:0:1:2: expected a number or a schedule suc"),
    (
        [TRAIN, W, "--learning_rate=linear:2e-4:0:1", "--lr_decay=linear"],
        "--lr_decay=linear: the optimizer of 'generator' has a schedule of its own.",
    ),
    ([TRAIN, W, "--beta_1=0.5,critic=0"], "--beta_1: group 'critic' is not known. Valid: generato"),
    (
        [TRAIN, W, "--learning_rate=2e-4,discriminatr=8e-4"],
        "--learning_rate: group 'discriminatr' is not known. Did you mean 'discriminator'?",
    ),
    ([TRAIN, W, "--optimizer=adam,discriminator=sdg"], "Did you mean 'sgd'? Valid: adam, adamw,"),
    ([TRAIN, W, "--optimizer=sgd", "--beta_1=0"], "--beta_1: is a flag of --optimizer=adam or"),
    ([TRAIN, W, "--ema_half_life_kimg=0"], "--ema_half_life_kimg=0.0: expected more than 0, or"),
    ([TRAIN, W, "--penalty=r1,r1"], "--penalty=r1,r1"),
    ([TRAIN, W, "--penalty=r1", "--r1_gamma=-1"], "--r1_gamma=-1"),
    ([TRAIN, W, "--dataset=edges2fashion"], "--trainer=cyclegan"),
    ([TRAIN, W, "--trainer=base"], "'base' is not known"),
    ([TRAIN, W, "--loss=os:path"], "not a gan.losses.Loss"),
    ([TRAIN, W, "--trainer=os:path"], "not a class"),
    ([TRAIN, W, "--architecture=os:sep"], "not a function"),
    ([TRAIN, W, "--dataset=os:sep"], "not a function"),
    ([EVALUATE], "--workdir is missing"),
    ([EVALUATE, W], "holds no run"),
    ([EVALUATE, W, "--seeds=0"], "--seeds=0"),
    ([EVALUATE, "--images=data"], "--workdir is missing"),
    ([EVALUATE, "--images=data", "--reference=ring"], "--out is missing"),
    ([EVALUATE, "--images=no_where", "--reference=grid", "--out=o.json"], "'no_where': no such"),
    ([EVALUATE, "--images=a", "--model=b.keras", "--reference=ring"], "give one of them"),
    ([EVALUATE, "--images=a", "--reference=ring", "--seeds=2", "--out=o.json"], "--seeds=2"),
    (
        [EVALUATE, "--images=a", "--reference=ring", "--labels=balanced", "--out=o.json"],
        "--labels=balanced",
    ),
    (
        [EVALUATE, "--images=a", "--reference=ring", "--truncation=1", "--out=o.json"],
        "--truncation=1.0 with --images: pictures are judged as they are",
    ),
    ([EVALUATE, "--images=a", "--reference=rig", "--out=o.json"], "--reference 'rig' is not known"),
    ([EVALUATE, "--images=a", "--reference=ring", "--out=o"], "expected a file that ends in .json"),
    ([EVALUATE, "--images=a", "--reference=ring", "--out=d.json"], "--out='d.json' is a folder"),
    ([EVALUATE, "--images=a", "--reference=ring", "--out=o.json", "--checkpoint=3"], "one of them"),
    ([EVALUATE, W, "--image_size=8"], "--image_size=8 is for --reference or --images"),
    ([EVALUATE, W, "--seed=-1"], "--seed=-1: expected 0 to"),
    ([EVALUATE, W, "--num_samples=1"], "--num_samples=1: expected 2 to"),
    ([TRAIN, W, "--eval_metrics=fidd"], "Did you mean 'fid'"),
    ([TRAIN, W, "--eval_metrics=modes"], "has no modes to count"),
    ([TRAIN, W, "--eval_labels=even"], "labels='even': expected data or balanced"),
    ([TRAIN, W, "--eval_share=2"], "--eval_share=2.0"),
    ([TRAIN, W, "--feature_net=inceptoin"], "Did you mean 'inception'"),
    ([TRAIN, W, "--feature_net=inception", "--feature_weights=no.pb"], "no.pb"),
    ([TRAIN, W, "--on_collapse=halt"], "--on_collapse='halt'"),
    ([TRAIN, W, "--max_rollbacks=-1"], "--max_rollbacks=-1"),
    ([TRAIN, W, "--dataset=stacked:ring"], "stacked:ring"),
    ([COMPARE], "no run to compare"),
    ([COMPARE, "nowhere"], "'nowhere' holds no run"),
    ([GENERATE, "--out=a.png"], "either --workdir=RUN or --model=FILE"),
    ([GENERATE, "--model=a.h5", "--out=a.png"], "a.h5"),
    ([GENERATE, "--model=a.keras", "--out=a.png"], "no such file"),
    ([GENERATE, "--model=file.keras", "--out=a.png"], "cannot be read"),
    ([GENERATE, "--model=file.tflite", "--out=a.png"], "file.tflite"),
    ([GENERATE, "--model=file.keras", "--out=a.jpg"], "--out='a.jpg'"),
    ([DEMO, "--out=file.txt"], "--out='file.txt' is a file"),
    ([GENERATE, W, "--columns=-1", "--out=a.png"], "--columns=-1"),
    ([GENERATE, W], "--out is missing"),
    ([GENERATE, W, "--out=d.png"], "--out='d.png' is a folder; expected the path of a file"),
    (
        [GENERATE, W, "--out=file.txt/a.png"],
        "--out='file.txt/a.png' cannot be written: a file is where",
    ),
    ([GENERATE, W, f"--count={10**20}", "--out=a.png"], "expected 1 to 100,000"),
    ([GENERATE, W, "--seed=-1", "--out=a.png"], "--seed=-1: expected 0 to"),
    ([GENERATE, "--model=a.keras", "--checkpoint=9", "--out=a.png"], "is for a run, not for"),
    ([GENERATE, W, "--images=p", "--out=a.png"], "holds no run"),
    ([GENERATE, "--model=no.tflite", "--images=p", "--out=a.png"], "no such file"),
    ([COMPRESS, W], "--out"),
    ([COMPRESS, "--out=o"], "--workdir is missing"),
    ([COMPRESS, W, "--out=o"], "holds no run"),
    ([COMPRESS, W, "--out=o", "--sparsity=1.5"], "--sparsity=1.5"),
    ([COMPRESS, W, "--out=o", "--variants=int8,int4"], "--variants='int4' ends in 'int4'"),
    ([COMPRESS, W, "--out=o", "--budget_kb=-1"], "--budget_kb=-1"),
    ([COMPRESS, W, "--out=trained"], "--out='trained' is a run's folder; take another"),
    ([COMPRESS, W, "--out=o", "--variants=float16", "--keep_float=dense"], "names none"),
    ([COMPRESS, W, "--out=o", "--quantizer=best"], "--quantizer='best'"),
    ([COMPRESS, W, "--out=file.txt"], "--out='file.txt' is a file; expected a folder"),
    ([COMPRESS, W, "--out=file.txt/o"], "--out='file.txt/o' cannot be written"),
    ([COMPRESS, W, "--out=o", "--allocation=each"], "--allocation='each'"),
    ([COMPRESS, W, "--out=o", "--seed=-1"], "--seed=-1: expected 0 to"),
    ([COMPRESS, W, "--out=o", "--eval_samples=1"], "--eval_samples=1: expected 2 to"),
    ([COMPRESS, W, "--out=o", "--output_weight=-1"], "--output_weight=-1"),
    ([COMPRESS, W, "--out=o", "--quantizer=litert", "--keep_float=a"], "not with litert"),
    ([TRAIN, W, "--trainer=distillation"], "--teacher is missing"),
    (
        [TRAIN, W, "--trainer=distillation", "--teacher=no.keras"],
        "/no.keras': there is no such file",
    ),
    ([BENCHMARK, "--widht=2"], "Did you mean 'width'"),
    ([BENCHMARK, "--dataset=folder:nowhere"], "nowhere: no such folder"),
    ([BENCHMARK, "--rounds=0"], "--rounds=0: expected at least 1."),
    ([BENCHMARK, "--profile", "--trace=file.txt"], "--trace='file.txt' is a file; expected a fold"),
    ([PREPARE], "--set is missing: --set=emoji or --set=openmoji"),
    ([PREPARE, "--set=emoji", "--tarball=x.tgz"], "--out is missing"),
    (
        [PREPARE, "--set=emoji", "--out=fresh", "--tarball=x.tgz"],
        "--tarball='x.tgz' cannot be read",
    ),
    ([WEB], "--model is missing"),
    ([WEB, "--model=none.tflite"], "no such file"),
    ([WEB, "--model=file.tflite", "--port=99999"], "--port=99999"),
]
# Every reader of a run's folder, on that of another version.
OLD = "'old' was made by Tapestry 0.1, and 0.2.0 cannot read it"
MISTAKES += [
    ([TRAIN, "--workdir=old"], OLD),
    ([EVALUATE, "--workdir=old"], OLD),
    ([EVALUATE, "--workdir=old", "--model=file.keras"], OLD),
    ([GENERATE, "--workdir=old", "--out=a.png"], OLD),
    ([COMPRESS, "--workdir=old", "--out=device"], OLD),
    ([COMPARE, "old"], OLD),
    ([COMPARE, "old"], "Its .keras and .tflite files can still be used: --model=FILE"),
    ([DEMO, "--out=old_demo"], "'old_demo/train' was made by Tapestry 0.1"),
    ([COMPARE, "new"], "'new' was made by Tapestry 1.12, and 0.2.0 cannot read it"),
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    for name in ("file.txt", "file.keras", "file.tflite"):
        (folder / name).write_text("not what it says")
    (folder / "trained" / "checkpoints").mkdir(parents=True)
    for name, stamp in (("old", ""), ("old_demo/train", ""), ("new", "# Tapestry 1.12.0\n")):
        (folder / name).mkdir(parents=True)
        (folder / name / "flags.txt").write_text(f"{stamp}--dataset=ring\n")
    for name in ("d.json", "d.png"):
        (folder / name).mkdir()
    return folder, run_all([line for line, _ in MISTAKES], folder)


@pytest.mark.parametrize("i", range(len(MISTAKES)), ids=lambda i: " ".join(MISTAKES[i][0][1:]))
def test_a_mistake_is_one_line_and_status_2(answers, i):
    folder, results = answers
    status, out, err = results[i]
    assert status == 2, err
    lines = err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), err
    assert MISTAKES[i][1] in lines[0]
    assert not out and not (folder / "run").exists()


TINY = [
    "--total_kimg=0.2",
    "--batch_size=20",
    "--steps_per_loop=2",
    "--eval_every_kimg=0.1",
    "--eval_samples=40",
    "--image_every_kimg=0.1",
    "--checkpoint_every_kimg=0.1",
    "--log_every_kimg=0.04",
]
IMAGES = [
    TRAIN, "--workdir=images", "--dataset=folder:data", "--width=0.05", "--eval_metrics=fid,kid",
    *TINY,
]  # fmt: skip
POINTS = [
    TRAIN, "--workdir=points", "--dataset=ring", "--architecture=mlp", "--width=0.1",
    "--eval_metrics=ideas:reach,modes", *TINY,
]  # fmt: skip


def write_folder(folder):
    rng = np.random.default_rng(0)
    for kind in ("a", "b"):
        (folder / "data" / kind).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 255, (28, 28), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "data" / kind / f"{i}.png")
    (folder / "mixed").mkdir()
    for i, size in enumerate([(20, 24), (30, 20)] * 3):
        pixels = rng.integers(0, 255, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "mixed" / f"{i}.png")


@pytest.fixture(scope="module")
def whole_way(tmp_path_factory):
    """Train, resume, judge, generate and compress, as a user would, in one folder."""
    folder = tmp_path_factory.mktemp("whole_way")
    write_folder(folder)
    (folder / "ideas.py").write_text(
        "import json\n"
        "import keras\n"
        "from gan.losses import Loss, hinge\n"
        "from gan.metrics.declared import Key, declares\n"
        "from trainers.gan import GAN\n"
        "sharp = Loss(hinge.discriminator, hinge.generator)\n"
        "@declares(Key('reach', better='higher', unit='sd', form='.6f', decides=True))\n"
        "def reach(reference, samples):\n"
        "    return {'reach': float(samples.rows.std() / reference.rows.std())}\n"
        "class Mine(GAN):\n"
        "    def __init__(self, architecture, spec, *, zeal: float = 1.0, **options):\n"
        "        '''Args:\n            zeal: of the researcher.'''\n"
        "        super().__init__(architecture, spec, **options)\n"
        "class Optimizers(keras.callbacks.Callback):\n"
        "    def on_train_end(self, logs=None):\n"
        "        for group, optimizer in self.model.optimizers.items():\n"
        "            print(group, json.dumps(optimizer.get_config()))\n"
        "class Own(keras.callbacks.Callback):\n"
        "    def __init__(self, start: int = 0):\n"
        "        super().__init__()\n"
        "        self.value = start\n"
        "    def on_epoch_end(self, epoch, logs=None):\n"
        "        logs['eval/own'] = self.value = self.value + 1\n"
    )
    lines = {
        "train": [*IMAGES, "--conditional", "--penalty=r1", "--r1_gamma=0.5"],
        "resume": [*IMAGES, "--conditional", "--penalty=r1", "--r1_gamma=0.5", "--total_kimg=0.3"],
        "again": [*IMAGES, "--conditional", "--penalty=r1", "--r1_gamma=0.5", "--total_kimg=0.3"],
        "other": [*IMAGES, "--conditional", "--penalty=r1", "--r1_gamma=0.6"],
        "evaluate": [EVALUATE, "--workdir=images", "--num_samples=40"],
        "all": [
            EVALUATE, "--workdir=images", "--checkpoint=all", "--metrics=fid,kid,neighbours",
            "--num_samples=40", "--seeds=2", "--truncation=1.5", "--out=judged/all.json",
        ],
        "pictures": [
            EVALUATE, "--images=data/a", "--reference=folder:data/b", "--metrics=fid,pr",
            "--out=pictures.json",
        ],
        "sizes": [
            EVALUATE, "--images=mixed", "--reference=folder:data/b", "--out=mixed.json",
        ],
        "colours": [
            EVALUATE, "--images=mixed", "--reference=folder:data/b", "--out=mixed.json",
            "--image_size=20",
        ],
        "fit": [
            EVALUATE, "--images=mixed", "--reference=folder:data/b", "--out=mixed.json",
            "--image_size=20", "--channels=1", "--center_crop",
        ],
        "other data": [EVALUATE, "--workdir=images", "--reference=folder:mixed"],
        "compare": [COMPARE, "images", "--out=curves.png"],
        "kept": [GENERATE, "--model=images/generator.keras", "--out=kept.png", "--count=6"],
        "generate": [GENERATE, "--workdir=images", "--out=grid.png", "--count=6", "--classes=b"],
        "no class": [GENERATE, "--workdir=images", "--out=none.png", "--classes=2"],
        "compress": [
            COMPRESS, "--workdir=images", "--out=device", "--finetune_kimg=0.2",
            "--eval_samples=40", "--calibration=100", "--steps_per_loop=2",
        ],
        "late": [COMPRESS, "--workdir=images", "--out=late", "--keep_float=nothere"],
        "int8 fid": [
            EVALUATE, "--workdir=images", "--model=device/int8.tflite", "--num_samples=40",
        ],
        "int8": [
            GENERATE, "--model=device/pruned_int8.tflite", "--out=int8.png", "--count=6",
            "--truncation=0.5",
        ],
        "keras": [
            GENERATE, "--model=device/students/pruned0.7/generator.keras", "--out=keras.png",
            "--count=6",
        ],
        "points": POINTS,
        "own metric": [COMPARE, "points"],  # no code of the run's is there to be asked
        "modes": [
            EVALUATE, "--workdir=points", "--metrics=ideas:reach,modes", "--trust_code",
        ],
        "paths": [
            TRAIN, "--dry_run", "--trainer=ideas:Mine", "--loss=ideas:sharp", "--zeal=2",
            "--architecture=gan.architectures.dcgan:dcgan", "--width=0.1",
        ],
        "callbacks": [
            *POINTS, "--workdir=ended", "--total_kimg=2", "--mode=min", "--monitor=eval/own",
            "--callbacks=ideas:Own,keras.callbacks:EarlyStopping", "--patience=1", "--start=3",
        ],
        "groups": [
            *POINTS, "--workdir=groups", "--total_kimg=0.04", "--eval_every_kimg=none",
            "--image_every_kimg=none", "--callbacks=ideas:Optimizers",
            "--optimizer=adam,discriminator=rmsprop", "--learning_rate=2e-4,discriminator=8e-4",
            "--beta_1=0.5,generator=0", "--epsilon=1e-8,discriminator=1e-6", "--momentum=0.25",
        ],
        "penalty help": [TRAIN, "--penalty=r2", "--help"],
        "help": [TRAIN, "--trainer=cyclegan", "--architecture=resnet_translator", "--help"],
        "flagfile": [TRAIN, "--flagfile=images/flags.txt", "--workdir=copy", "--dry_run=true"],
    }  # fmt: skip
    return folder, dict(zip(lines, run_all(list(lines.values()), folder)))


def outcome(whole_way, name, status=0):
    folder, results = whole_way
    code, out, err = results[name]
    assert code == status, f"{out}\n{err}"
    return folder, out, err


def test_a_run_leaves_its_files(whole_way):
    folder, _, _ = outcome(whole_way, "train")
    run = folder / "images"
    assert "--conditional=true" in (run / "flags.txt").read_text()
    assert list((run / "samples").glob("fake_*.png"))
    assert list(run.glob("**/events*"))
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert {
        "step",
        "images",
        "seconds",
        "progress/images_per_second",
        "loss/generator",
        "penalty/r1",
    } <= set(events[-1])
    assert [e["images"] for e in events if "eval/fid" in e] == [100, 200, 300]
    best = min((e["eval/fid"], e["step"]) for e in events if "eval/fid" in e)[1]
    assert (run / "checkpoints" / f"step-{best:010d}").is_dir()


def test_a_finished_run_names_what_it_left_and_what_follows(whole_way):
    folder, out, _ = outcome(whole_way, "train")
    named = dict(line.split("  ", 1) for line in out.splitlines() if "  " in line)
    assert named["Trained"].split() == ["0.2", "kimg,", "10", "steps"]
    events = [json.loads(line) for line in (folder / "images/metrics.jsonl").open()]
    (last,) = (event for event in events if event["images"] == 200 and "eval/fid" in event)
    assert named["Metrics"].split(", ")[0].strip() == f"fid[random] {last['eval/fid']:.4g}"
    assert named["Metrics"].endswith(", at 0.2 kimg")
    clock, rate = re.match(r" *(\d\d:\d\d), ([\d,]+) images a second", named["Took"]).groups()
    assert 0 < int(rate.replace(",", "")) * (int(clock[:2]) * 60 + int(clock[3:])) <= 200 * 1.5
    for name in ("Last picture", "Generator"):
        assert (folder / named[name].strip()).is_file()
    for name, module in (
        ("Evaluate it", EVALUATE),
        ("Draw samples", GENERATE),
        ("Compress it", COMPRESS),
    ):
        python, _, script, *arguments = shlex.split(named[name])
        assert (script, arguments[0]) == (module, "--workdir=images")
        assert (folder / python).samefile(sys.executable)


def test_the_same_command_resumes_and_then_says_that_it_is_done(whole_way):
    _, out, _ = outcome(whole_way, "resume")
    assert "Resumed images at step 10" in out
    _, out, _ = outcome(whole_way, "again")
    assert "trained to 0.3 kimg already" in out


def test_resuming_with_another_option_names_it(whole_way):
    _, _, err = outcome(whole_way, "other", status=2)
    assert "--r1_gamma=0.6 differs from --r1_gamma=0.5" in err


def test_evaluation_carries_its_protocol(whole_way):
    folder, out, _ = outcome(whole_way, "evaluate")
    own, file = json.loads((folder / "images" / "evaluation.json").read_text())["evaluations"]
    assert own["metrics"]["fid"] > 0 and "fid[random]" in out
    assert own["protocol"]["num_samples"] == 40 and own["subject"]["images"] == 300
    assert own["subject"]["kind"] == "checkpoint" and len(own["subject"]["sha256"]) == 64
    made = own["made"]
    date = datetime.datetime.fromisoformat(made["date"])
    assert datetime.timedelta(0) < datetime.datetime.now(datetime.UTC) - date
    assert made["command"] == "python -m scripts.evaluate --workdir=images --num_samples=40"
    assert made["machine"]["cores"] >= 1 and made["versions"]["keras"] == keras.__version__
    # A file's figures stand beside the run's, as a file's.
    path = folder / "device" / "int8.tflite"
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert file["subject"] == {"kind": "file", "name": "int8.tflite", "sha256": sha256}
    assert file["protocol"] == own["protocol"]


def test_every_checkpoint_with_several_seeds(whole_way):
    folder, out, _ = outcome(whole_way, "all")
    records = json.loads((folder / "judged" / "all.json").read_text())["evaluations"]
    images = [record["subject"]["images"] for record in records]
    assert images == sorted(set(images)) and images[-1] == 300 and len(images) >= 2
    for record in records:
        assert record["protocol"]["seed"] == [0, 1]
        assert record["protocol"]["latents"] == "N(0, I), truncated at 1.5"
        assert set(record["errors"]) == set(record["metrics"]) >= {"fid", "kid"}
        assert record["errors"]["fid"] > 0
    assert out.count("+-") == len(records) * len(records[0]["metrics"])
    picture = np.asarray(Image.open(folder / "judged" / "neighbours.png"))
    assert picture.shape[1] >= 6 * 28


def test_two_folders_of_pictures_are_judged_against_each_other(whole_way):
    folder, _, _ = outcome(whole_way, "pictures")
    (record,) = json.loads((folder / "pictures.json").read_text())["evaluations"]
    source = data.load(f"folder:{folder / 'data' / 'b'}")
    batch = next(data.load(f"folder:{folder / 'data' / 'a'}").ordered(20).as_numpy_iterator())
    expected = Evaluator(source, metrics=["fid", "pr"]).evaluate_images([batch["x"]])
    assert record["metrics"] == pytest.approx(expected, rel=1e-4)
    assert (record["subject"]["kind"], record["subject"]["name"]) == ("images", "a")
    assert record["protocol"]["num_samples"] == record["protocol"]["num_reference"] == 20


def test_what_messages_advise_for_pictures_of_any_size_works(whole_way):
    """Each command takes the advice of the one before."""
    _, _, err = outcome(whole_way, "sizes", status=2)
    assert "images of 2 sizes" in err and "give --image_size, with --center_crop" in err
    assert "--images='mixed'" in err
    _, _, err = outcome(whole_way, "colours", status=2)
    assert "(20, 20, 3)" in err and "give --image_size=20 --channels=1" in err
    folder, _, _ = outcome(whole_way, "fit")
    (record,) = json.loads((folder / "mixed.json").read_text())["evaluations"]
    transform = {"image_size": 20, "center_crop": True, "channels": 1}
    assert record["protocol"]["transform"] == record["subject"]["transform"] == transform
    source, mixed = (
        data.load(f"folder:{folder / name}", **transform) for name in ("data/b", "mixed")
    )
    batch = next(mixed.ordered(20).as_numpy_iterator())
    expected = Evaluator(source).evaluate_images([batch["x"]])
    assert record["metrics"] == pytest.approx(expected, rel=1e-4)
    # The reference of a run takes the run's transform, which resizes nothing here.
    _, _, err = outcome(whole_way, "other data", status=2)
    assert "folder:mixed: images of 2 sizes" in err


def test_a_file_is_judged_against_the_runs_data(whole_way):
    folder, _, _ = outcome(whole_way, "int8 fid")
    record = json.loads((folder / "images" / "evaluation.json").read_text())["evaluations"][-1]
    report = json.loads((folder / "device" / "report.json").read_text())
    assert record["metrics"]["fid"] == pytest.approx(report["variants"][1]["fid"], rel=1e-6)


def test_runs_are_compared_by_what_they_logged(whole_way):
    folder, out, _ = outcome(whole_way, "compare")
    assert "fid[random] (lower is better)" in out and "kid[random]" in out and "0.3" in out
    assert Image.open(folder / "curves.png").size[0] > 300


def test_mixtures_are_judged_by_modes(whole_way):
    outcome(whole_way, "points")
    folder, _, _ = outcome(whole_way, "modes")
    (record,) = json.loads((folder / "points" / "evaluation.json").read_text())["evaluations"]
    metrics = record["metrics"]
    assert set(metrics) == {"reach", "modes", "high_quality", "reverse_kl"} == set(record["keys"])
    assert 0 <= metrics["high_quality"] <= 1


def test_a_metric_of_ones_own_is_treated_like_ours(whole_way):
    """In metrics.jsonl, the progress line, TensorBoard, the best checkpoint and the tables."""
    folder, _, err = outcome(whole_way, "points")
    run = folder / "points"
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    values = {e["step"]: e["eval/reach"] for e in events if "eval/reach" in e}
    own = {"better": "higher", "unit": "sd", "decides": True, "form": ".6f"}
    judged = [e for e in events if "keys" in e]
    assert [e["step"] for e in judged] == list(values) == [5, 10]
    assert all(e["keys"]["reach"] == own | {"metric": "ideas:reach"} for e in judged)
    for step, value in values.items():
        assert f"{step * 0.02:.3f} kimg: reach {value:.6f} sd, modes" in err
    best = Checkpoints(run).best()
    assert best == {"step": max(values, key=values.get), "metric": "reach",
                    "value": max(values.values())}  # fmt: skip
    board = EventAccumulator(str(run), size_guidance={"tensors": 0})
    board.Reload()
    about = board.SummaryMetadata("eval/reach").summary_description
    assert about == "higher is better, in sd"
    assert {"loss/generator", "run/command", "run/data"} <= set(board.Tags()["tensors"])
    (said,) = (event.tensor_proto.string_val[0] for event in board.Tensors("run/command"))
    assert b"scripts.train" in said and said.endswith(b"a step is a real image seen.")
    content = board.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    flags = start.hparams
    assert flags["trainer"].string_value and flags["batch_size"].number_value == 20
    assert "log_every_kimg" not in flags and start.group_name == str(run.relative_to(folder))
    _, out, _ = outcome(whole_way, "own metric")
    (table,) = (t for t in out.split("\n\n") if t.startswith("reach (sd, higher is better)"))
    assert f" {values[10]:.6f} " in table and f" {max(values.values()):.6f} " in table
    _, out, _ = outcome(whole_way, "modes")
    (record,) = json.loads((run / "evaluation.json").read_text())["evaluations"]
    assert f"{record['metrics']['reach']:.6f} sd" in out


@pytest.mark.parametrize("name", ["generate", "int8", "keras", "kept"])
def test_a_grid_comes_from_any_generator(whole_way, name):
    folder, _, _ = outcome(whole_way, name)
    pixels = np.asarray(Image.open(folder / f"{name.replace('generate', 'grid')}.png"))
    assert pixels.shape[1] >= 28 * 3 and pixels.std() > 1


def test_a_class_that_is_not_there_is_named(whole_way):
    _, _, err = outcome(whole_way, "no class", status=2)
    assert "--classes: '2' is not known. Valid: a, b. Or its number, 0 to 1." in err


def test_compress_writes_the_report(whole_way):
    folder, out, _ = outcome(whole_way, "compress")
    report = json.loads((folder / "device" / "report.json").read_text())
    assert report["protocol"]["feature_net"] == "random" and "FID[random]" in out
    page = (folder / "device" / "report.html").read_text()
    assert '<th scope="col">FID[random]</th>' in page
    assert [v["name"] for v in report["variants"]] == ["float32", "int8", "pruned_int8"]
    for variant in report["variants"]:
        assert variant["bytes"] == (folder / "device" / variant["file"]).stat().st_size
        assert variant["partitions"] == 1
        card = (folder / "device" / f"{variant['name']}.md").read_text()
        assert f"{variant['bytes']:,} bytes" in card and "python -m scripts.train" in card
        assert variant["fid"] > 0 and variant["latency_ms"] > 0 and variant["name"] in out
    assert abs(report["variants"][2]["sparsity"] - 0.7) < 0.01
    for name in ("comparison.png", "report.png", "report.html"):
        assert (folder / "device" / name).is_file()


def test_what_does_not_fit_the_run_is_found_before_anything_is_written(whole_way):
    folder, out, err = outcome(whole_way, "late", status=2)
    assert "--keep_float='nothere': 'generator' has no such layer; the nearest are" in err
    assert not out and not (folder / "late").exists()


def test_a_report_says_where_it_comes_from(whole_way):
    folder, _, _ = outcome(whole_way, "compress")
    about = json.loads((folder / "device" / "report.json").read_text())["about"]
    assert (about["run"], about["step"], about["images"]) == ("images", 15, 300)
    assert about["command"].startswith("python -m scripts.compress --workdir=images --out=device")
    assert about["date"].endswith("+00:00") and about["machine"]["cpu"]
    assert str(folder) not in json.dumps(about)


def test_import_paths_and_their_flags_work_from_a_users_folder(whole_way):
    _, out, _ = outcome(whole_way, "paths")
    assert "--zeal=2.0" in out and "--trainer=ideas:Mine" in out and "parameters" in out


def test_callbacks_named_by_flag_see_and_make_what_is_logged(whole_way):
    """Early stopping on a value of a user's own, which only gets worse: after two evaluations."""
    folder, out, _ = outcome(whole_way, "callbacks")
    log = (folder / "ended" / "metrics.jsonl").read_text().splitlines()
    found = [(e["images"], e["eval/own"]) for e in map(json.loads, log) if "eval/own" in e]
    assert found == [(100, 4), (200, 5)]
    assert "Ended         by a callback before --total_kimg=2\n" in out
    assert (folder / "ended" / "generator.keras").is_file()
    assert "--patience=1\n" in (folder / "ended" / "flags.txt").read_text()


def test_each_group_has_the_optimizer_that_its_flags_say(whole_way):
    folder, out, _ = outcome(whole_way, "groups")
    made = dict(line.split(" ", 1) for line in out.splitlines() if line[-1:] == "}")
    adam, rmsprop = (json.loads(made[group]) for group in ("generator", "discriminator"))
    for found, wanted in (
        (adam, {"learning_rate": 2e-4, "beta_1": 0.0, "beta_2": 0.999}),
        (rmsprop, {"learning_rate": 8e-4, "rho": 0.9, "momentum": 0.25}),
    ):
        assert {k: found[k] for k in wanted} == pytest.approx(wanted)
    assert (adam["epsilon"], rmsprop["epsilon"]) == (1e-8, 1e-6)
    (*_, last) = map(json.loads, (folder / "groups" / "metrics.jsonl").read_text().splitlines())
    assert last["learning_rate/generator"] == 2e-4 and last["learning_rate/discriminator"] == 8e-4
    flags = (folder / "groups" / "flags.txt").read_text().splitlines()
    assert (
        "--optimizer=adam,discriminator=rmsprop" in flags and "--beta_1=0.5,generator=0.0" in flags
    )


def test_help_shows_the_flags_of_the_named_parts(whole_way):
    _, out, _ = outcome(whole_way, "help")
    assert "--cycle_lambda=" in out and "--pool_size=" in out and "--n_critic" not in out
    assert max(len(line) for line in out.splitlines()) <= 110
    names = [block.splitlines()[1:] for block in out.split("\n\n") if block.startswith("Names")]
    assert names and all(re.match(r"  \S+ +\S", line) for block in names for line in block)
    _, out, _ = outcome(whole_way, "penalty help")
    assert "--r2_gamma=10.0" in out and "--r1_gamma" not in out and "--beta_1=0.5" in out
    for name in ("folder:PATH", "keras:MODEL", "relativistic", "vae_gan", "rmsprop"):
        assert re.search(rf"^  {name} +\w", out, re.M)


def test_a_runs_flags_are_a_flagfile(whole_way):
    _, out, _ = outcome(whole_way, "flagfile")
    assert "--r1_gamma=0.5" in out and "--conditional=true" in out
