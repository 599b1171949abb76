"""What happens around training, one Keras callback a file.

All are handed the same logs in turn, so their order is: `Evaluation`, which adds to the logs; any
Keras callback; `MetricsLog`; `NaNGuard`, which ends a diverged run; `ImageGrid`; `Checkpoint`;
`ProgressBar`.
"""
