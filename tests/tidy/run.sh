#!/usr/bin/env bash
# Each program in this folder is looked at with cmake/belay.clang-tidy and must give the finding that its first line names, or none.
# run.sh CLANG_TIDY CONFIG INCLUDE_ROOT
set -euo pipefail
tidy=$1 config=$2 include_root=$3
cd "$(dirname "$0")"
failed=0
for source in *.cpp; do
    expected=$(sed -n '1s|^// expect: ||p' "$source")
    said=$("$tidy" --quiet --config-file="$config" "$source" -- -std=c++20 -I "$include_root" 2>&1) && status=0 || status=$?
    found=$(grep -oE '\[[a-z-]+,-warnings-as-errors\]' <<<"$said" | sort -u | sed 's/^\[//; s/,-warnings-as-errors\]//' | paste -sd ' ' || true)
    [ -n "$found" ] || found=nothing
    if [ "$found" != "$expected" ] || { [ "$expected" = nothing ] && [ "$status" != 0 ]; }; then
        echo "$source: expected $expected, found $found"
        echo "$said" | head -n 20
        failed=1
    fi
done
exit "$failed"
