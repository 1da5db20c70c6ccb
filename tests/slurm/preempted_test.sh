#!/bin/bash
# preempted_test.sh train.sbatch|train_srun.sbatch PROGRAM: a job that is told to stop twice, and requeued, ends with the weights of
# a run that nobody touched. SWALLOWTAIL_FAULT_SEEDS (default 1) says how often it is tried, stopped at other steps each time.
# 0: held, 1: failed, 77: no Slurm here.
set -uo pipefail
script=$1
program=$2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
source "$(dirname "${BASH_SOURCE[0]}")/with_slurm.sh"
[ "$script" != train_srun.sbatch ] || srun --mpi=list 2>&1 | grep -q pmix || skip "this Slurm has no PMIx plugin"

arguments=(configs/quickstart.yaml train.deterministic=true train.epochs=40 train.max_steps=3000 report.html=false
  report.log_every_steps=1 checkpoint.every_steps=100 evaluation.every_steps=1000)
steps() {
  local count
  count=$(grep -c '"loss"' "$metrics" 2> /dev/null)
  echo "${count:-0}"
}
is_past() { [ "$(steps)" -gt "$1" ] || has_ended; }
losses() { grep -o '"step":[0-9]*,.*"loss":[^,]*' "$1" | sed 's/"samples_per_s".*//'; }
# The weights of run $1, in $work/$1.safetensors.
take_weights() {
  "$program" export "$work/$1" --checkpoint last --to "$work/$1.safetensors" 2> /dev/null || broken "no export of $1"
  "$program" verify "$work/$1" 2>> "$work/verify.log" || broken "$1 is not good"
}

(cd "$root" && "$program" train "${arguments[@]}" run.dir="$work/whole" --quiet 2> "$work/whole.log") ||
  broken "the whole run failed: $(cat "$work/whole.log")"
take_weights whole
for seed in $(seq "${SWALLOWTAIL_FAULT_SEEDS:-1}"); do
  RANDOM=$seed
  run=run-$seed
  metrics=$work/$run/metrics.jsonl
  submit "$script" "${arguments[@]}" run.dir="$work/$run"
  for requeue in 1 2; do
    before=$(steps)
    wait_for 100 is_past $((before + 20 + RANDOM % 400)) || broken "no progress before stop $requeue: $(state)"
    ! has_ended || broken "the job ended before it was stopped for the ${requeue}th time: $(state)"
    # What Slurm sends by itself before the time limit and at preemption: to the script, and under srun to the ranks.
    if [ "$script" = train.sbatch ]; then scancel --batch --signal=USR1 "$job"; else scancel --signal=USR1 "$job"; fi
    wait_for 60 eval '[ "$(state)" = PENDING ]' || broken "no requeue $requeue: $(state)"
    sleep 3
    scontrol update jobid="$job" starttime=now 2> /dev/null  # a requeued job waits two minutes by itself
    wait_for 60 logged "restart $requeue" || broken "start $requeue did not come: $(state)"
  done
  wait_for 200 has_ended || broken "the job is $(state) after 200 s"
  [ "$(state)" = COMPLETED ] || broken "the job ended as $(state)"
  [ "$(grep -c 'ended with 75' "$work/job.log")" = 2 ] || broken "the log does not hold two stops"
  take_weights "$run"
  cmp "$work/$run.safetensors" "$work/whole.safetensors" || broken "the weights differ"
  cmp <(losses "$metrics") <(losses "$work/whole/metrics.jsonl") || broken "the curves differ"
  echo "held with seed $seed: $(steps) steps, stopped twice"
  rm -rf "${work:?}/$run" "$work/job.log"
done
