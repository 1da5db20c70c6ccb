#!/bin/bash
# train_sbatch_test.sh trains|requeues PROGRAM. 0: held, 1: failed, 77: no Slurm here.
set -uo pipefail
scenario=$1
program=$2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
job=""
started=false
start_slurm=${SWALLOWTAIL_START_SLURM:-$root/../shared/slurm/start-localhost}

finish() {
  [ -z "$job" ] || scancel "$job" 2> /dev/null
  if $started; then "$start_slurm" stop > /dev/null 2>&1; fi
  rm -rf "$work"
}
trap finish EXIT
skip() { echo "skipped: $*"; exit 77; }
broken() {
  echo "FAILED: $*"
  echo "--- the job's log"
  cat "$work"/*.log 2> /dev/null
  exit 1
}

command -v sbatch > /dev/null || skip "there is no sbatch; scripts/setup --tests brings it"
if ! timeout 10 sinfo > /dev/null 2>&1; then
  [ "$(id -u)" = 0 ] || skip "no Slurm answers, and only root can start one"
  [ -x "$start_slurm" ] || skip "no Slurm answers, and there is no $start_slurm to start one"
  if [ -e /etc/slurm/slurm.conf ] && ! grep -qx ClusterName=local /etc/slurm/slurm.conf; then
    skip "this machine belongs to a cluster that does not answer"
  fi
  started=true
  timeout 60 "$start_slurm" > "$work/start" 2>&1 < /dev/null || { cat "$work/start"; broken "Slurm did not start"; }
fi

submit() {  # submit ARGUMENT ..., then its number is in $job
  job=$(cd "$root" && sbatch --parsable --ntasks=2 --overcommit --output="$work/job.log" \
    --export=ALL,SWALLOWTAIL="$program",MAX_REQUEUES="${MAX_REQUEUES:-20}" scripts/slurm/train.sbatch "$@") ||
    broken "sbatch refused the job"
}
state() { scontrol -o show job "$job" 2> /dev/null | sed -n 's/.*JobState=\([A-Z]*\).*/\1/p'; }
wait_for() {  # wait_for SECONDS COMMAND ...: until the command holds
  local until=$((SECONDS + $1))
  shift
  while ! "$@"; do
    [ $SECONDS -lt $until ] || return 1
    sleep 0.5
  done
}
has_ended() { case $(state) in COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL) true ;; *) false ;; esac }
logged() { grep -q "$1" "$work/job.log" 2> /dev/null; }

case $scenario in
  trains)
    submit configs/quickstart.yaml train.epochs=1 run.dir="$work/run"
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
    submit some.yaml --force seed=2
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
    MAX_REQUEUES=0 submit some.yaml
    wait_for 60 has_ended || broken "MAX_REQUEUES=0 did not end the job: $(state)"
    logged 'already requeued 0 times' && [ "$(grep -c once "$work/starts")" -le 2 ] || broken "MAX_REQUEUES=0 started again"
    ;;
  *) broken "no scenario $scenario" ;;
esac
echo held
