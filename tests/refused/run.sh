#!/usr/bin/env bash
# What belay refuses to compile, and the sentence that says what to write instead: each program here must fail with the text of its
# `// expect:` line (and the flags of its `// flags:` line). `// only: clang`: other compilers do not see it.
# run.sh COMPILER INCLUDE_DIRECTORY
set -uo pipefail
compiler=$1 include=$2
cd "$(dirname "$0")"
status=0
for program in *.cpp; do
    if grep -q '^// only: clang' "$program" && ! "$compiler" --version | grep -q clang; then continue; fi
    expected=$(sed -n 's|^// expect: ||p' "$program")
    read -ra flags <<<"$(sed -n 's|^// flags: ||p' "$program")"
    if said=$("$compiler" -std=c++20 -fsyntax-only "${flags[@]}" -I"$include" "$program" 2>&1); then
        echo "$program: is compiled, and should be refused"
        status=1
    elif [ -z "$expected" ] || ! grep -qF -- "$expected" <<<"$said"; then
        printf '%s: is refused without the sentence "%s":\n%s\n' "$program" "$expected" "$said"
        status=1
    else
        echo "$program: ok"
    fi
done
exit $status
