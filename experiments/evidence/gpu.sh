#!/bin/sh
# All variants on OMBRIA on one GPU, several at a time; about 10 minutes on a current one.
#   sh experiments/evidence/gpu.sh DATA
# Further arguments are those of run: --dry --only ombria/sar/0 sees whether everything is there.
set -eu
root=$1
shift
export OMP_NUM_THREADS=2
exec python -m experiments.evidence run --only 'ombria/*' --jobs "${JOBS:-8}" --root "$root" "$@"
