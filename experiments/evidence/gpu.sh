#!/bin/sh
# All variants on OMBRIA on one GPU, several at a time; about 10 minutes on a current one.
#   sh experiments/evidence/gpu.sh DATA
set -eu
export OMP_NUM_THREADS=2
exec python -m experiments.evidence run --only 'ombria/*' --jobs "${JOBS:-8}" --root "$1"
