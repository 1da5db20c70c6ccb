#!/bin/bash
# train_sbatch_test.sh trains|requeues|sweeps PROGRAM. 0: held, 1: failed, 77: no Slurm here.
set -uo pipefail
scenario=$1
program=$2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
source "$(dirname "${BASH_SOURCE[0]}")/with_slurm.sh"

case $scenario in
  trains)
    submit train.sbatch configs/quickstart.yaml train.epochs=1 run.dir="$work/run"
    wait_for 200 has_ended || broken "the job is $(state) after 200 s"
    [ "$(state)" = COMPLETED ] || broken "the job ended as $(state)"
    python3 - "$work/run/summary.json" << 'PYTHON' || broken "summary.json is not what two ranks leave after an epoch"
import json, sys
summary = json.load(open(sys.argv[1]))
assert summary["world_size"] == 2, summary["world_size"]
assert summary["steps"] > 0, summary["steps"]
assert summary["test"]["auc"] > 0.85, summary["test"]
PYTHON
    ;;
  requeues)
    # Not about training but about the script, so the program is one that only notes how it was started, and ends with 75
    # on USR1, as the real one does.
    program=$work/program
    cat > "$program" << PROGRAM
#!/bin/bash
[ "\${OMPI_COMM_WORLD_RANK:-0}" = 0 ] || { trap 'exit 75' USR1; sleep 100 & wait; exit; }
echo "\$@" >> $work/starts
trap 'exit 75' USR1
case \$(wc -l < $work/starts) in
  1) sleep 100 & wait ;;   # until USR1
  2) exit 75 ;;
  3) exit 3 ;;
esac
PROGRAM
    chmod +x "$program"
    submit train.sbatch some.yaml --force seed=2
    wait_for 60 test -s "$work/starts" || broken "the job did not start: $(state)"
    sleep 1
    scancel --batch --signal=USR1 "$job"  # what Slurm does by itself before the time limit
    # A requeued job waits two minutes, so that the old start's end is not taken for the new one's. 3 s are enough here.
    for start in 2 3; do
      wait_for 60 eval '[ "$(state)" = PENDING ] || [ "$(wc -l < "$work/starts")" -ge '$start' ]' || broken "no requeue $start"
      sleep 3
      scontrol update jobid="$job" starttime=now 2> /dev/null
      wait_for 60 eval '[ "$(wc -l < "$work/starts")" -ge '$start' ]' || broken "start $start did not come: $(state)"
    done
    wait_for 60 has_ended || broken "the job is $(state) after exit code 3"
    [ "$(state)" = FAILED ] || broken "exit code 3 is final and the job's state is $(state)"
    printf '%s\n' 'train some.yaml --force seed=2' 'train --resume some.yaml seed=2' 'train --resume some.yaml seed=2' |
      diff - "$work/starts" || broken "the starts differ"
    logged 'got USR1' && logged 'restart 2' || broken "the log lacks a start"

    rm "$work/starts"
    printf '#!/bin/bash\necho once >> %s/starts\nexit 75\n' "$work" > "$program"
    MAX_REQUEUES=0 submit train.sbatch some.yaml
    wait_for 60 has_ended || broken "MAX_REQUEUES=0 did not end the job: $(state)"
    logged 'already requeued 0 times' && [ "$(grep -c once "$work/starts")" -le 2 ] || broken "MAX_REQUEUES=0 started again"
    ;;
  sweeps)
    program=$work/program
    printf '#!/bin/bash\necho "$@" >> %s/starts\n' "$work" > "$program"
    chmod +x "$program"
    printf '%s\n' 'seed=1' 'seed=2 train.epochs=3' > "$work/sweep.txt"
    array=$(cd "$root" && sbatch --parsable --array=0-2 --ntasks=1 --overcommit --output="$work/array-%a.log" \
      --export=ALL,SWALLOWTAIL="$program" scripts/slurm/array.sbatch some.yaml "$work/sweep.txt" train.batch_size=64)
    job=$array
    none_left() { [ -z "$(squeue -h -j "$array" 2> /dev/null)" ]; }
    wait_for 100 none_left || broken "the array is still there"
    printf '%s\n' 'train some.yaml run.dir=runs/sweep/0 seed=1 train.batch_size=64' \
      'train some.yaml run.dir=runs/sweep/1 seed=2 train.epochs=3 train.batch_size=64' |
      diff - <(sort "$work/starts") || broken "the starts differ"
    grep -q 'has no line 2' "$work/array-2.log" || broken "task 2 has no line and did not say so"
    ;;
  *) broken "no scenario $scenario" ;;
esac
echo held
