#!/bin/sh
# Fuzzes each target for a time, one after the other: fuzz/run.sh [SECONDS [TARGET...]]
# What is found lies in fuzz/artifacts/TARGET, what leads further in fuzz/corpus/TARGET.
set -eu
cd "$(dirname "$0")"
seconds=${1:-120}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- $(ls seeds)
for target; do
    mkdir -p "corpus/$target"
    case $target in pth | legacy | pickle) words=-dict=dictionaries/torch.dict ;; *) words=-only_ascii=0 ;; esac
    nice -n 19 cargo +nightly fuzz run --release --debug-assertions "$target" "corpus/$target" "seeds/$target" -- \
        -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=1024 -timeout=5 "$words" -print_final_stats=1
done
