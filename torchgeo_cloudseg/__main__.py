"""The program ``cloudseg``, also as ``python -m torchgeo_cloudseg``."""

import sys


def run() -> None:
    """Run the command line.

    Raises:
        SystemExit: as :func:`~torchgeo_cloudseg.cli.main`; with 130 after Ctrl-C before that.
    """
    try:
        # here, so that Ctrl-C meanwhile is a line, too
        from .cli import main

        main()
    except KeyboardInterrupt:
        sys.stderr.write('cloudseg: interrupted.\n')
        raise SystemExit(130) from None


if __name__ == '__main__':
    run()
