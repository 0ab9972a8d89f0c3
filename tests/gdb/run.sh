#!/usr/bin/env bash
# Lets parked.cpp abort under gdb, and asks scripts/gdb/belay.py about its core file; then, in the process itself, about memory that was
# made corrupt.
# run.sh GDB BELAY_PY PARKED
set -euo pipefail
gdb=$1 script=$2 parked=$3
here=$(cd "$(dirname "$0")" && pwd)
source=$here/parked.cpp
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DEBUGINFOD_URLS=
unset BELAY_GUARDRAILS

# Whether a command failed is seen in what it wrote.
debug() { "$gdb" -nx -q -batch -iex 'set auto-load off' -ex 'set pagination off' -ex 'set width 0' "$@" 2>&1 </dev/null || true; }

# Asks all commands in one session: answers/0, answers/1, ...
ask() {
    local arguments=() i=0 command
    for command in "$@"; do
        arguments+=(-ex "echo \n=== $i\n" -ex "$command")
        i=$((i + 1))
    done
    rm -rf "$work/answers"
    mkdir "$work/answers"
    debug -ex "source $script" "${arguments[@]}" "$parked" "$work/core" |
        awk -v to="$work/answers/" '/^=== [0-9]+$/ { file = to $2; next } file != "" { print > file }'
}
failed=0
# expect ANSWER PATTERN: the answer has a line with it. refuse: it has none.
expect() { grep -Eq -- "$2" "$work/answers/$1" || fail "$1" "has no line with: $2"; }
refuse() { ! grep -Eq -- "$2" "$work/answers/$1" || fail "$1" "should have no line with: $2"; }
fail() {
    echo "answer $1 $2"
    cat "$work/answers/$1"
    failed=1
}
# Where a text stands in parked.cpp, as the commands write it.
at() { echo "gdb/parked\.cpp:$(grep -nF -- "$1" "$source" | head -n 1 | cut -d: -f1)"; }

if ! debug -ex run --args /bin/true | grep -q 'exited normally'; then
    echo "gdb cannot run a program here (ptrace is forbidden?): skipped"
    exit 77
fi
debug -ex run -ex "generate-core-file $work/core" -ex "source $script" -ex "source $here/corrupt.py" --args "$parked" 20 >"$work/live"
[ -s "$work/core" ] || { cat "$work/live"; echo "gdb wrote no core file"; exit 1; }
grep -q '^corrupt\.py: passed$' "$work/live" || { cat "$work/live"; echo "corrupt.py failed"; failed=1; }

number='[0-9]+'
somewhere='gdb/parked\.cpp:[0-9]+'  # of an await of several lines GCC has the last one and Clang the first
ask 'belay tasks' 'belay workers' 'belay guardrails' 'belay tasks mutex\.lock' 'belay tasks -all' 'belay tasks -limit 5' 'belay bt 999999'

# Everything that is parked, in its words, with its places.
expect 0 '^runtime "cafe": 2 workers, 34 tasks with 9 branches$'
expect 0 '^  20 wait for event\.wait, 3 wait for scope, 1 has not started, 1 runs on worker 0, '
expect 0 '^  scope "root": 3 tasks$'
expect 0 "^    $number \"shop\" waits for scope at $somewhere, spawned at $(at 'cafe.spawn(run_the_shop')$"
expect 0 '^      scope "shop": 8 tasks$'
expect 0 "^        $number \"shop\" \(body\) waits for scope at $somewhere$"
expect 0 '^          scope "kitchen": 22 tasks of at most 100, on_error::collect$'
expect 0 "^            $number waits for when_all at $(at 'co_await belay::when_all('), spawned at $(at 'kitchen.spawn(cook')$"
expect 0 '^              when_all: 2 branches$'
expect 0 "^                $number \(branch\) waits for sleep at $(at 'co_await belay::sleep_for(for_ever);')$"
expect 0 "^                $number \(branch\) waits for event\.wait at $(at 'co_await oven_is_hot.wait();')$"
expect 0 '^              when_any: 3 branches$'
expect 0 "^            $number waits for event\.wait at $(at 'co_await doors_open.wait();'), spawned at $(at 'kitchen.spawn(stand_in_line')$"
expect 0 '^            \.\.\. and 17 more like it, up to [0-9]+$'
expect 0 "^        $number \"waiter\" waits for channel\.recv at $(at 'co_await orders.recv();'), spawned at $(at 'shop.spawn(serve')$"
expect 0 "^        $number waits for mutex\.lock at $(at 'co_await till.lock();'), spawned at $(at 'shop.spawn(wait_for_the_till')$"
expect 0 "^        $number waits for select at $(at 'co_await belay::select(')"
expect 0 "^          scope \"timeout\": 0 tasks$"
expect 0 "^            $number \(body\) waits for event\.wait at $(at 'co_await belay::timeout(')$"
expect 0 "^        $number waits for spawn_blocking at $somewhere, spawned"
expect 0 "^        $number waits for tcp\.accept at $(at 'co_await door.accept();')"
expect 0 "^        $number waits for join at $(at 'co_await guest.join();')"
expect 0 '^          scope "late": 1 task, stopped \(requested\)$'
expect 0 "^            $number waits for shield at $(at 'co_await belay::shield('), spawned at $(at 'late.spawn('), was asked to stop \(requested\)$"
expect 0 '^              shield: 1 branch$'
expect 0 "^    $number runs on worker 0 since $somewhere, spawned at $(at 'cafe.spawn_on(0, keep_the_books)'), pinned to worker 0$"
expect 0 "^    $number has not started, queued at worker 0, spawned at $(at 'cafe.spawn_on(0, bet)'), pinned to worker 0$"
expect 0 '^local_runtime "kiosk": nobody drives it, 1 task$'
expect 0 "^    $number has not started, in the injection queue, spawned at $(at 'kiosk.spawn(bet)')$"
refuse 0 'unreadable'

expect 1 '^runtime "cafe": 2 workers, 0 injected$'
expect 1 '^  0 +[0-9]+ \(tid [0-9]+\) +odd +[0-9]+ +0 +0 +0 +1 +runs task [0-9]+$'
expect 1 '^  1 +[0-9]+ \(tid [0-9]+\) +even +[0-9]+ +0 +0 +0 +0 +idle$'
expect 1 '^local_runtime "kiosk": nobody drives it, 1 injected$'

expect 2 '^  lost_error +log +1 report$'
expect 2 '^  stop_ignored +log at 3 s +0 reports$'
expect 2 '^  blocked_worker +off +0 reports$'
id=$(sed -n 's/^  stack id \([0-9a-f]*\), first occurrence$/\1/p' "$work/live")
expect 2 "^  seen 1 time: stack id $id \(lost_error\)$"

expect 3 '^  matching: 1$'
expect 3 '^      scope "shop": 8 tasks$'
expect 3 'waits for mutex\.lock'
refuse 3 'kitchen|waiter'
[ "$(grep -c 'waits for event\.wait' "$work/answers/4")" = 23 ] || fail 4 "does not show every task"
expect 5 '^\.\.\. and [0-9]+ more lines: belay tasks -all$'
expect 6 '^belay: there is no task 999999: belay tasks lists them$'

# The stacks of single tasks.
id_of() { sed -nE "s@^ +([0-9]+)( \"[a-z]+\")? $1.*@\1@p" "$work/answers/0" | head -n 1; }
thread=$(sed -nE 's/^  [01] +([0-9]+) \(tid [0-9]+\) +odd.*/\1/p' "$work/answers/1")
waiter=$(id_of 'waits for channel') shop=$(id_of 'waits for scope') cook=$(id_of 'waits for when_all') joiner=$(id_of 'waits for join')
guest=$(id_of "waits for scope at $(at 'co_await belay::timeout(')")
ask "belay bt $waiter" "belay bt $shop" "belay bt $cook" "thread $thread" 'belay bt' "belay bt $joiner"
expect 0 "^task $waiter \"waiter\" of runtime \"cafe\"$"
expect 0 "^    #0   receive +.*$(at 'co_await orders.recv();')$"
expect 0 "^    #1   serve +.*$(at 'co_await receive(')$"
expect 0 "^    spawned at .*$(at 'shop.spawn(serve'), into scope \"shop\", which task $shop \"shop\" awaits$"
expect 1 '^  body waits for sleep$'
expect 1 '^    in scope "kitchen"$'
expect 1 '^    in scope "shop"$'
expect 1 "^    #4   run_the_shop +.*$somewhere$"
expect 2 "^    #0   bake +"
expect 2 "^    #1   cook +"
expect 2 '^    and so on, as above$'
expect 4 '^    #0   count_up +'
expect 4 "^    #1   keep_the_books +.*$(at 'co_await count_up();')$"
expect 4 "^  native stack of worker [01] \(thread $thread, tid [0-9]+\)$"
expect 4 '^    #0 .*count_up.*parked\.cpp:'
expect 5 "^  waits for join of task $guest$"

# Without debug information, and without a program, it says what is missing.
objcopy -g "$parked" "$work/stripped" 2>/dev/null || strip -g -o "$work/stripped" "$parked"
debug -ex "source $script" -ex 'belay tasks' "$work/stripped" "$work/core" >"$work/answers/0"
expect 0 '^belay: no debug information for belay::detail::[a-z_]+: build belay with -g$'
debug -ex "source $script" -ex 'belay tasks' >"$work/answers/0"
expect 0 '^belay: there is no process and no core file to look at$'
refuse 0 Traceback
exit "$failed"
