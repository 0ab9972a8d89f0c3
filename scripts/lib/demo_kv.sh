# shellcheck shell=bash
# Defines demo_kv: the same load on kv_server and on Debian's redis-server, in turns, on loopback; then a few metrics.

# free_port: a TCP port that nobody listens on right now.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# wait_for PORT: until the server answers PING, for at most ten seconds.
wait_for() {
    for _ in $(seq 100); do
        [ "$(redis-cli -h 127.0.0.1 -p "$1" ping 2>/dev/null)" = PONG ] && return
        sleep 0.1
    done
    echo "no answer on port $1" >&2
    return 1
}

# bench PORT PIPELINE: "SET rate GET rate", in requests per second.
bench() {
    redis-benchmark -h 127.0.0.1 -p "$1" -c 50 -P "$2" -n $((60000 * ($2 > 1 ? 10 : 1))) -r 10000 -t set,get --csv -q 2>/dev/null |
        awk -F'","' '/^"(SET|GET)"/ { printf "%s ", $2 }'
}

demo_kv() (
    set -euo pipefail
    examples=$1
    port=$(free_port) redis_port=$(free_port) metrics_port=$(free_port)
    log=$(mktemp -d)
    "$examples/kv_server" --port "$port" --metrics "127.0.0.1:$metrics_port" >"$log/kv.log" 2>&1 &
    kv=$!
    redis-server --port "$redis_port" --save '' --appendonly no --bind 127.0.0.1 >"$log/redis.log" 2>&1 &
    redis=$!
    trap 'kill "$kv" "$redis" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$log"' EXIT
    wait_for "$port" || { cat "$log/kv.log"; exit 1; }
    wait_for "$redis_port" || { cat "$log/redis.log"; exit 1; }

    echo "\$ redis-cli -p $port"
    printf '%s\n' 'SET greeting "hello from belay" EX 60' 'GET greeting' 'TTL greeting' 'INCR visits' 'MSET a 1 b 2' 'MGET a b' 'LPUSH x 1' |
        while read -r line; do
            echo "> $line"
            echo "$line" | redis-cli -h 127.0.0.1 -p "$port"
        done

    echo
    echo "redis-benchmark -c 50, requests per second, three rounds in turn (median of three at the end)"
    printf '%-10s %-14s %12s %12s\n' pipeline server SET GET
    for pipeline in 1 16; do
        for round in 1 2 3; do
            for server in kv_server redis-server; do
                target=$port
                [ "$server" = redis-server ] && target=$redis_port
                read -r set_rate get_rate < <(bench "$target" "$pipeline") || true
                printf '%-10s %-14s %12.0f %12.0f\n' "$pipeline" "$server" "$set_rate" "$get_rate"
                echo "$pipeline $server $set_rate $get_rate" >>"$log/rates"
            done
        done
    done
    awk '{ k = $1 " " $2; n[k]++; s[k, n[k]] = $3; g[k, n[k]] = $4 }
         function median(a, k,   x, y, z) { x = a[k, 1]; y = a[k, 2]; z = a[k, 3]; return x + y + z - (x > y ? (x > z ? x : z) : (y > z ? y : z)) - (x < y ? (x < z ? x : z) : (y < z ? y : z)) }
         END { for (p = 1; p <= 16; p += 15) printf "median, pipeline %-2d: kv_server / redis-server   SET %.2f   GET %.2f\n", p,
                   median(s, p " kv_server") / median(s, p " redis-server"), median(g, p " kv_server") / median(g, p " redis-server") }' "$log/rates"

    echo
    echo "\$ curl http://127.0.0.1:$metrics_port/metrics        # an excerpt"
    curl -s "http://127.0.0.1:$metrics_port/metrics" |
        grep -E '^belay_(tasks_live|tasks_spawned_total|worker_polls_total|worker_steals_total|worker_parks_total|io_backend_info|io_enters_total|guardrail_reports_total)' | head -20

    echo
    kill -TERM "$kv"
    wait "$kv" && echo "SIGTERM: kv_server shut down gracefully"
)
