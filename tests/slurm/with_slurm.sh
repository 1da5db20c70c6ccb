# Read by the tests here, which set $root and $program: a Slurm that answers, a folder, and how to submit and to wait.
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
  start() { timeout 60 "$start_slurm" > "$work/start" 2>&1 < /dev/null; }
  # A test that was killed leaves its job in Slurm's saved state, and a node with a job is never idle.
  start || { scancel --user="$(id -un)" 2> /dev/null && sleep 3 && start; } ||
    { cat "$work/start"; sinfo -R; squeue; broken "Slurm did not start"; }
fi

submit() {  # submit SCRIPT ARGUMENT ..., then its number is in $job
  job=$(cd "$root" && sbatch --parsable --ntasks=2 --overcommit --output="$work/job.log" \
    --export=ALL,SWALLOWTAIL="$program",MAX_REQUEUES="${MAX_REQUEUES:-20}" scripts/slurm/"$@") ||
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
