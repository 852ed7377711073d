"""``cloudseg demo``: the whole line on miniature data, in minutes on a CPU."""

from pathlib import Path
from typing import Literal


def demo(
    output: Path = Path('cloudseg-demo'),
    dataset: Literal['m3mcr', 'whuoptsar'] = 'm3mcr',
    seed: int = 0,
    teacher_steps: int = 80,
    student_steps: int = 160,
) -> None:
    """Write miniature data, train a teacher and a student on it, and test them under clouds.

    Beside them, two networks with a single encoder, which take as many steps as teacher and student
    together. The printed scores are those of this run.

    Args:
        output: folder for the data, the checkpoints, the table and the figure.
        dataset: whose miniature to write.
        seed: seed of the landscape, the network and the patches.
        teacher_steps: training steps of the teacher.
        student_steps: training steps of the student.

    Examples:
        In minutes on two cores::

            cloudseg demo
            cloudseg demo --dataset whuoptsar --output whuoptsar-demo
    """
    from .demo_run import run_demo

    run_demo(output, dataset, seed, teacher_steps, student_steps)
