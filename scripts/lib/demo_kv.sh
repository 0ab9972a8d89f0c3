# shellcheck shell=bash
# Defines demo_kv EXAMPLES_DIRECTORY: a few commands to kv_server, the same load on it and on Debian's redis-server in turns
# over the loopback, a few of its metrics, and its end.

# start_redis LOG: sets redis (its process id) and redis_port. redis-server cannot choose a port itself.
start_redis() {
    local attempt
    for attempt in 1 2 3 4 5 6 7 8; do
        redis_port=$((20000 + RANDOM))
        redis-server --port "$redis_port" --save '' --appendonly no --bind 127.0.0.1 >"$1" 2>&1 &
        redis=$!
        if wait_for_line "$redis" "$1" 'eady to accept connections'; then return; fi
    done
    echo "redis-server does not start (attempt $attempt):" && tail -n 5 "$1"
    return 1
}

# wait_for_line PID LOG TEXT: until the program has printed it; fails when the program ends before that.
wait_for_line() {
    until grep -qs "$3" "$2"; do
        kill -0 "$1" 2>/dev/null || return 1
        sleep 0.05
    done
}

# bench PORT PIPELINE REQUESTS: "SET rate GET rate", in requests per second.
bench() {
    redis-benchmark -h 127.0.0.1 -p "$1" -c 50 -P "$2" -n "$3" -r 10000 -t set,get --csv 2>/dev/null |
        awk -F'","' '/^"SET"/ { set = $2 } /^"GET"/ { get = $2 } END { print set, get }'
}

# compare PORT REDIS_PORT: a table of medians of three rounds; of one or two when the machine is so busy that they take long.
compare() {
    local pipeline requests round server port started=$SECONDS
    for round in 1 2 3; do
        [ $((SECONDS - started)) -lt 40 ] || break
        for pipeline in 1 16; do
            requests=$((pipeline == 1 ? 40000 : 200000))
            for server in kv redis; do
                port=$1
                [ "$server" = kv ] || port=$2
                echo "$pipeline $server $round $(bench "$port" "$pipeline" "$requests")"
            done
        done
    done | awk '
        function median(what, a, b, c) {
            if (rounds < 3) return (rate[what, 1] + rate[what, rounds]) / 2
            a = rate[what, 1]; b = rate[what, 2]; c = rate[what, 3]
            return a < b ? (b < c ? b : (a < c ? c : a)) : (a < c ? a : (b < c ? c : b))
        }
        { rounds = $3; rate[$1 " SET " $2, $3] = $4; rate[$1 " GET " $2, $3] = $5 }
        END {
            printf "%-10s %-8s %12s %13s %7s\n", "pipeline", "command", "kv_server", "redis-server", "ratio"
            split("1 16", pipelines); split("SET GET", commands)
            for (p = 1; p <= 2; ++p) for (c = 1; c <= 2; ++c) {
                ours = median(pipelines[p] " " commands[c] " kv"); theirs = median(pipelines[p] " " commands[c] " redis")
                printf "%-10s %-8s %12.0f %13.0f %7s\n", pipelines[p], commands[c], ours, theirs,
                    (theirs > 0 ? sprintf("%.2f", ours / theirs) : "-")
            }
        }'
}

# fetch_metrics ADDRESS: all of /metrics.
fetch_metrics() {
    exec 3<>"/dev/tcp/${1%:*}/${1##*:}"
    printf 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
    cat <&3
    exec 3>&-
}

# metrics ADDRESS: an excerpt.
metrics() {
    fetch_metrics "$1" |
        grep -E '^belay_(tasks_live|tasks_spawned_total|io_backend_info|worker_(polls|steals)_total|guardrail_reports_total.*blocked_worker)' || true
}

demo_kv() (
    set -euo pipefail
    examples=$1
    log=$(mktemp -d)
    kv='' redis='' pid=''
    trap 'for pid in $kv $redis; do kill "$pid" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$log"' EXIT
    "$examples/kv_server" --port 0 --metrics 127.0.0.1:0 >"$log/kv" 2>&1 &
    kv=$!
    wait_for_line "$kv" "$log/kv" 'listening on' || { cat "$log/kv"; exit 1; }
    start_redis "$log/redis"
    port=$(sed -nE 's/.*listening on [0-9.]+:([0-9]+),.*/\1/p' "$log/kv")
    metrics_address=$(sed -nE 's|.*metrics on http://(.*)/metrics|\1|p' "$log/kv")

    cat "$log/kv"
    echo
    for line in 'SET greeting "hello from belay" EX 60' 'GET greeting' 'INCR visits' 'MSET a 1 b 2' 'MGET a b' 'LPUSH x 1'; do
        printf '> %-38s ' "$line"
        echo "$line" | redis-cli -h 127.0.0.1 -p "$port" | grep . | paste -s -d ' '
    done

    echo
    echo "redis-benchmark -c 50, requests per second: median of rounds in turns, all on the same $(nproc) CPUs"
    compare "$port" "$redis_port"

    echo
    echo "\$ curl http://$metrics_address/metrics        # an excerpt"
    metrics "$metrics_address"

    echo
    kill -TERM "$kv"
    if wait "$kv"; then echo "SIGTERM: kv_server has ended, and nothing was left behind"; else tail -n 20 "$log/kv"; exit 1; fi
    kv=''
)
