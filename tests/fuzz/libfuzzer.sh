#!/bin/bash
# libfuzzer.sh PROGRAM TARGET: SWALLOWTAIL_FUZZ_S seconds (10) of libFuzzer on one parser, from its good inputs. What breaks it
# stays as crash-*, timeout-* or oom-* in the folder fuzz-TARGET.
set -euo pipefail
program=$1 target=$2
folder=$PWD/fuzz-$target
mkdir -p "$folder/seeds"
corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT
SWALLOWTAIL_FUZZ_TARGET=$target SWALLOWTAIL_FUZZ_SEEDS=$folder/seeds \
  "$program" "$corpus" "$folder/seeds" -max_total_time="${SWALLOWTAIL_FUZZ_S:-10}" -max_len=4096 -timeout=20 \
  -rss_limit_mb=1024 -malloc_limit_mb=512 -print_final_stats=1 -artifact_prefix="$folder/" > "$folder/log" 2>&1 ||
  { tail -60 "$folder/log"; exit 1; }
runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$folder/log")
[ "$runs" -gt 100 ] || { tail -20 "$folder/log"; echo "only $runs inputs were tried"; exit 1; }
echo "$target: $runs inputs, $(ls "$corpus" | wc -l) of them reached new code"
