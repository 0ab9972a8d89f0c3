# Sourced by the scripts of this folder: where the project is, and how a build and its tests are run.
# shellcheck shell=bash
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
jobs=${BELAY_JOBS:-$(nproc)}
log_dir=$root/build/logs

say() { printf '\n== %s\n' "$*"; }

# logged NAME COMMAND...: runs the command with its output in build/logs/NAME.log, and shows the end of it on failure.
logged() {
    local log=$log_dir/$1.log started=$SECONDS
    shift
    mkdir -p "$log_dir"
    printf '+ %s\n' "$*"
    if "$@" >"$log" 2>&1 </dev/null; then
        printf '  ok, %d s\n' $((SECONDS - started))
    else
        local status=$?
        printf '  FAILED with %d after %d s; the end of %s:\n' "$status" $((SECONDS - started)) "${log#"$root"/}"
        tail -n "${BELAY_LOG_LINES:-120}" "$log"
        return "$status"
    fi
}

# build PRESET [CMAKE ARGUMENT...]: all of it, or only the targets in the variable `targets`.
build() {
    local preset=$1 only=()
    shift
    # shellcheck disable=SC2206  # the targets are words
    [ -z "${targets:-}" ] || only=(--target $targets)
    logged "configure-$preset" cmake --preset "$preset" "$@"
    logged "build-$preset" cmake --build --preset "$preset" -j "$jobs" "${only[@]}"
}

# run_tests PRESET REPEATS [CTEST ARGUMENT...]: prints ctest's closing lines. The variable log_name may name the log.
run_tests() {
    local preset=$1 repeats=$2 name=${log_name:-test-$1} status=0
    shift 2
    logged "$name" ctest --preset "$preset" -j "${BELAY_TEST_JOBS:-$jobs}" --repeat "until-fail:$repeats" "$@" || status=$?
    sed -n '/tests passed/,$p' "$log_dir/$name.log"
    return "$status"
}

# Containers often forbid io_uring (seccomp): the same question that the runtime asks, io_uring_setup(2), number 425 on
# every architecture. Perl is part of every Debian.
have_uring() { perl -e 'my $parameters = "\0" x 120; exit(syscall(425, 4, $parameters) < 0)'; }

# Which tests run at all here: all of them, or without io_uring those of the Asio driver and those that need no driver.
# A machine without io_uring is said loudly, every time.
uring_filter=()
if ! have_uring; then
    echo "!! io_uring is not available here (kernel setting or seccomp): the io_uring tests are left out."
    # shellcheck disable=SC2034  # used by the scripts that source this one
    uring_filter=(-LE '^uring$')
fi
