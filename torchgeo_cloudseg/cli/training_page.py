"""The short help of Lightning's commands, and configurations by name."""

from __future__ import annotations

from .configs import find_config

#: Further options.
MORE = {
    'calibrate': """\
  --output FILE     checkpoint to write (required)
  --coverage SHARE  share of pixels whose class set holds the true class (0.9)
  --opacity-edges LIST
                    opacities between which each bin has its own temperature and
                    sets ([0.1, 0.5, 0.9]); [] for one
  --overwrite       replace a file that exists
  --wait            wait for another run that writes the same file
""",
}

#: What each of them does.
PURPOSE = {
    'fit': 'Train a teacher or a student.',
    'validate': 'Evaluate a checkpoint on the validation patches.',
    'calibrate': 'Fit temperatures and class sets to the validation scenes, and write them into a\n'
    'copy of a checkpoint: confidence in its maps and tests is then true.',
    'test': 'Evaluate a checkpoint on the test scenes: all pixels, clear sky, under clouds.',
    'predict': 'Predict the scenes of a data module.',
}

EXAMPLES = {
    'fit': """\
  cloudseg fit --config m3mcr/teacher.yaml --data.root /data/M3M-CR
  cloudseg fit --model CloudSegTeacherTask --model.backbone mit_b0 \\
      --data M3MCRDataModule --data.root /data/M3M-CR --trainer.max-epochs 5
  cloudseg fit --config m3mcr/teacher.yaml --ckpt-path last.ckpt   (go on)""",
    'validate': """\
  cloudseg validate --config m3mcr/student.yaml --data.root /data/M3M-CR \\
      --ckpt-path student.ckpt""",
    'calibrate': """\
  cloudseg calibrate --config m3mcr/student.yaml --data.root /data/M3M-CR \\
      --ckpt-path student.ckpt --output calibrated.ckpt""",
    'test': """\
  cloudseg test --config m3mcr/student.yaml --data.root /data/M3M-CR \\
      --ckpt-path student.ckpt""",
    'predict': """\
  cloudseg predict --config m3mcr/predict.yaml --ckpt-path student.ckpt""",
}

PAGE = """\
usage: cloudseg {name} [--config FILE] [options]

{purpose}

options:
  --config FILE     YAML file with any of these; one of `cloudseg configs`, or
                    your own. What is typed after it changes it
  --model CLASS     CloudSegTeacherTask, CloudSegStudentTask, or any other task
  --model.NAME VALUE
                    its arguments, such as --model.backbone mit_b2 --model.lr 1e-4
  --data CLASS      M3MCRDataModule, WHUOPTSARDataModule, SceneDataModule, ...
  --data.NAME VALUE
                    its arguments, such as --data.root DIR --data.batch-size 16
  --trainer.NAME VALUE
                    arguments of Lightning's Trainer, such as
                    --trainer.max-epochs 30 --trainer.devices 2
                    --trainer.precision bf16-mixed --trainer.accelerator gpu
  --ckpt-path FILE  checkpoint{checkpoint}
{more}  --print-config    print all arguments as YAML, and stop
  -q, --quiet       results and errors only
  -v, --verbose     say more
  -h, --help        this page
  --help=all        every argument of {name}
  --model.help CLASS, --data.help CLASS
                    every argument of a task or of a data module

examples:
{examples}
"""


def page(name: str) -> str:
    """The short help.

    Args:
        name: 'fit', 'validate', 'calibrate', 'test' or 'predict'.

    Returns:
        a page of 80 columns.
    """
    checkpoint = ' from which to go on' if name == 'fit' else ' of the network (required)'
    return PAGE.format(
        name=name,
        purpose=PURPOSE[name],
        checkpoint=checkpoint,
        more=MORE.get(name, ''),
        examples=EXAMPLES[name],
    )


def expand(args: list[str]) -> list[str]:
    """A command line with what is short for something else in full.

    Args:
        args: arguments of a command of Lightning.

    Returns:
        the same; ``--help=all`` is Lightning's help, and configurations of this package are found
        by their name where there is no such file.
    """
    expanded = []
    for before, arg in zip(['', *args], args, strict=False):
        name, equals, value = arg.partition('=')
        if arg == '--help=all':
            arg = '--help'
        elif before == '--config':
            arg = find_config(arg)
        elif name == '--config' and equals:
            arg = f'--config={find_config(value)}'
        expanded.append(arg)
    return expanded
