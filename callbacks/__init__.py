"""What happens around training, one Keras callback a file.

All are handed the same logs in turn, so their order is: `Evaluation` and `Pruning`, which add to
the logs; `CollapseAlarm`, which reads them and adds; `LearningRateDecay` and any Keras callback;
`MetricsLog` with `TensorBoardScalars`, which write everything down, bad values too; `NaNGuard`,
which ends a diverged run before what follows can draw or save it; `ImageGrid`; `ProgressBar`;
`Checkpoint`.
"""
