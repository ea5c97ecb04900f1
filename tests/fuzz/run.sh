#!/usr/bin/env bash
# Fuzzes every target with libFuzzer, for $1 seconds in all, and prints how many inputs each has seen.
#
# Coverage comes from LLVM's own pass, which a stable compiler has: nightly is needed for sanitizers only. What is new
# is kept below target/fuzz for the next run; an input that breaks a promise belongs into tests/fuzz/corpus/TARGET.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:?for how many seconds}
corpus=tests/fuzz/corpus
kept=target/fuzz
targets=("$corpus"/*/)
each=$(((seconds + ${#targets[@]} - 1) / ${#targets[@]}))
host=$(rustc -vV | sed -n 's/^host: //p')
built=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')

# With --target the flags are for the fuzzed code alone: build scripts and macros are shared with every other build.
build() {
  local coverage=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares)
  CARGO_PROFILE_DEV_OPT_LEVEL=1 RUSTFLAGS="--cfg fuzzing ${coverage[*]}" \
    cargo build --package properties --bin fuzz --target "$host"
}

fuzz() {
  local target=$1 log=$kept/$1.log
  mkdir -p "$kept/$target"
  if ! FUZZ_TARGET=$target "$built/$host/debug/fuzz" "$kept/$target" "$corpus/$target" \
    -dict=tests/fuzz/dictionary -max_total_time="$each" -timeout=10 -rss_limit_mb=1024 \
    -artifact_prefix="$kept/$target-" -print_final_stats=1 >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "$target: an input breaks a promise; its file is named above: mend it, and add it to $corpus/$target" >&2
    return 1
  fi
  printf '%-22s %9d inputs in %d s\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$each"
}

build
failed=0
for target in "${targets[@]}"; do
  fuzz "$(basename "$target")" || failed=1
done
exit "$failed"
