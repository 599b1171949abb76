"""Trains a run again and compares: python -m scripts.reproduce RUN

Trains the command that RUN recorded in a new folder, up to the first line of its log or its first
checkpoint, or to --steps, and says whether logged values and weights are equal, bit for bit: status
0. Else it says where they differ first, by how much, and what was recorded otherwise: status 1.
"""

from experiments.reproducing import Difference, Reproduction, reproduce
from experiments.settings import ReproduceOptions
from gan.errors import printable
from scripts import cli


def main(folders: list[str], options: ReproduceOptions) -> int:
    """Trains again, prints how the two compare."""
    made = reproduce(cli.one_run(folders, "scripts.reproduce"), options)
    print(described(made))
    if made.interrupted:
        return 128 + made.interrupted
    return 0 if made.equal else 1


def described(made: Reproduction) -> str:
    """Lines that say what was compared, and how it differs."""
    lines = [f"Trained {made.step:,} steps again in {printable(str(made.out))}."]
    if made.interrupted:
        lines.append("Interrupted: only what came before is compared.")
    if made.log:
        lines.append(f"Log: {differing(made.log)}; {made.log.count:,} of {made.values:,} differ.")
    else:
        lines.append(f"Log: all {made.values:,} values up to that step are equal.")
    steps = ", ".join(f"{s:,} ({sha256[:12]})" for s, sha256 in made.checkpoints.items())
    if made.weights:
        lines.append(f"Weights: {differing(made.weights)}; {made.weights.count:,} tensors differ.")
    elif steps:
        lines.append(f"Weights: equal in the checkpoint of step {steps}.")
    elif made.not_compared:
        lines.append(
            f"Weights: not compared; the run's first checkpoint is that of step "
            f"{made.not_compared:,}, --steps={made.not_compared}."
        )
    if made.facts:
        lines.append("Recorded otherwise, before and now:")
        lines += [
            f"  {name}: {printable(a)}; {printable(b)}" for name, (a, b) in made.facts.items()
        ]
    elif not made.equal:
        lines.append("Nothing of what is recorded of software, machine and data differs.")
    if not made.equal and not made.deterministic:
        lines.append("The run did not ask for --deterministic ops.")
    lines.append("All that was compared is equal, bit for bit." if made.equal else "Not equal.")
    return "\n".join(lines)


def differing(difference: Difference) -> str:
    """Where and by how much, in words."""
    d = difference
    where = f"differs first at step {d.step:,} in {printable(d.name)}"
    if d.before != d.before or d.now != d.now:
        return f"{where}: {d.before:.9g} before, {d.now:.9g} now"
    return f"{where}: {d.before:.9g} before, {d.now:.9g} now, by {abs(d.now - d.before):.2g}"


if __name__ == "__main__":
    cli.run_with_folders(main, ReproduceOptions)
