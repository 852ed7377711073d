#!/bin/bash
# All that is to be known of a GPU, within ten minutes: step and window in float32 and bfloat16,
# compiled and not, ours against the baseline in one run, memory, and samples per second of the whole
# training with its loader, sharded too.
#   experiments/benchmarks/gpu.sh FOLDER          writes JSON files into FOLDER
#   experiments/benchmarks/gpu.sh FOLDER --dry    the same on a CPU with small sizes, in a minute or two
# A part that fails or takes too long does not stop the others; the exit status says that one did.
set -u
folder=${1:?folder for the figures}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder"
status=0

part() { # seconds, name of the file, script and arguments
    local limit=$1 name=$2
    shift 2
    echo "== $name" >&2
    timeout "$limit" "${PYTHON:-python}" "$here/$1" "${@:2}" --output "$folder/$name.json" \
        >"$folder/$name.log" 2>&1
    local code=$?
    if [ $code -ne 0 ]; then
        echo "$name: exit status $code, see $folder/$name.log" >&2
        status=1
    fi
}

if [ "${2:-}" = --dry ]; then
    small=(--encoder mit_b0 --batch 1 --crop 128) # the baseline cannot do less
    part 300 step-float32 step.py "${small[@]}" --windows 1 --rounds 1 --threads 1
    part 300 training training.py "${small[@]}" --steps 1 --warmup 1 --scenes 40 \
        --precision 32-true bf16-mixed
else
    on_gpu=(--device cuda --encoder mit_b4 --batch 32 --crop 160)
    part 90 step-float32 step.py "${on_gpu[@]}" --windows 32 --rounds 10
    part 90 step-bfloat16 step.py "${on_gpu[@]}" --windows 32 --rounds 10 --amp
    part 240 step-compiled step.py "${on_gpu[@]}" --windows 32 --rounds 10 --amp \
        --compile default max-autotune
    part 170 training training.py "${on_gpu[@]}" --workers 12 --precision 32-true bf16-mixed \
        --compile --fsdp
fi
exit $status
