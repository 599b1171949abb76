"""The Keras callbacks of a training run, one per file.

All get the same logs in turn, so that their order matters: `Evaluation` and `Pruning`, which add
to the logs; `CollapseAlarm`, which reads them and adds; `LearningRateDecay` and any Keras callback;
`MetricsLog` with `TensorBoardScalars`, which write all values, bad ones too; `NaNGuard`, which ends
a diverged run before the rest can draw or save it; `ImageGrid`; `ProgressBar`; `Checkpoint`.
"""
