#!/bin/bash
# supervise_test.sh SUPERVISE: which ends it restarts after, and how. 0: held, 1: failed.
set -uo pipefail
supervise=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
broken() { echo "FAILED: $*"; cat "$work/starts" "$work/log" 2> /dev/null; exit 1; }

# A program that notes how it was started and ends with the next of the codes that it is given.
cat > "$work/program" << 'PROGRAM'
#!/bin/bash
folder=$(dirname "$0")
echo "$*" >> "$folder/starts"
code=$(sed -n "$(wc -l < "$folder/starts")p" "$folder/codes")
case $code in
  kill) kill -KILL $$ ;;
  wait) trap 'exit 75' TERM INT USR1; touch "$folder/waits"; sleep 60 & wait $!; exit 1 ;;
esac
exit "$code"
PROGRAM
chmod +x "$work/program"
start() {  # start "CODES" ARGUMENT ...
  rm -f "$work/starts" "$work/waits"
  printf '%s\n' $1 > "$work/codes"
  shift
  SUPERVISE_PAUSE=0.01 "$supervise" "$work/program" "$@" > "$work/log" 2>&1
}
starts() { wc -l < "$work/starts"; }

start "5 75 kill 7 0" train a.yaml --force seed=1; code=$?
[ $code = 0 ] && [ "$(starts)" = 5 ] || broken "5, 75, kill, 7, 0 gave $code after $(starts) starts"
printf '%s\n' 'train a.yaml --force seed=1' 'train a.yaml seed=1 --resume' | diff - <(head -2 "$work/starts") || broken "the starts differ"
[ "$(tail -n +2 "$work/starts" | sort -u | wc -l)" = 1 ] || broken "--resume was added more than once"
for final in 0 2 3 4 6; do
  start "5 $final 5" train; code=$?
  [ $code = $final ] && [ "$(starts)" = 2 ] || broken "$final gave $code after $(starts) starts"
done
export MAX_RESTARTS=3
start "5 5 5 5 5 5" train; code=$?
[ $code = 5 ] && [ "$(starts)" = 4 ] || broken "MAX_RESTARTS=3 gave $code after $(starts) starts"

for signal in TERM INT; do
  start "wait 0" train &
  one=$!
  for _ in $(seq 500); do [ -e "$work/waits" ] && break; sleep 0.02; done
  sleep 0.1
  pid=$(pgrep -P $one -f supervise | head -1)
  kill -$signal "${pid:-$one}"
  wait $one
  code=$?
  [ $code = 75 ] && [ "$(starts)" = 1 ] || broken "$signal gave $code after $(starts) starts"
done
start "wait 0" train &
one=$!
for _ in $(seq 500); do [ -e "$work/waits" ] && break; sleep 0.02; done
sleep 0.1
pid=$(pgrep -P $one -f supervise | head -1)
kill -USR1 "${pid:-$one}"
wait $one
code=$?
[ $code = 0 ] && [ "$(starts)" = 2 ] || broken "USR1 gave $code after $(starts) starts"
echo held
