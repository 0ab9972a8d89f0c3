// The load of the echo cases, one epoll thread over loopback: by default a closed loop with one message outstanding on each
// connection; with --rate an open loop with Poisson arrivals, whose latency counts from the due time (no coordinated omission).
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { message = 64, depth = 256, max_connections = 4096, max_samples = 4000000 };

struct connection {
    int fd;
    unsigned head, tail;        // messages completed and sent; tail - head are outstanding
    size_t received;            // bytes of the message at head
    uint64_t due[depth];
};

static struct connection connections[max_connections];
static uint32_t* samples;
static size_t sample_count, dropped;
static uint64_t measure_from, measure_to;
static char payload[message];

static void fail(const char* what) {
    perror(what);
    exit(1);
}

static uint64_t clock_ns(clockid_t id) {
    struct timespec t;
    if (clock_gettime(id, &t) != 0) fail("clock_gettime");
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t now(void) { return clock_ns(CLOCK_MONOTONIC); }

static void send_message(struct connection* c, uint64_t due) {
    if (c->tail - c->head == depth) {
        ++dropped;
        return;
    }
    c->due[c->tail++ % depth] = due;
    if (send(c->fd, payload, message, MSG_NOSIGNAL) != message) fail("send");
}

static void receive(struct connection* c, int closed_loop) {
    char buffer[16384];
    ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) fail("recv");
    uint64_t t = now();
    for (c->received += (size_t)n; c->received >= message; c->received -= message) {
        uint64_t latency = t - c->due[c->head++ % depth];
        if (t >= measure_from && t < measure_to && sample_count < max_samples)
            samples[sample_count++] = latency > UINT32_MAX ? UINT32_MAX : (uint32_t)latency;
        if (closed_loop) send_message(c, now());
    }
}

static void open_connection(struct connection* c, int port, int epoll) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr*)&address, sizeof address) != 0) fail("connect");
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // One blocking round trip: every connection is accepted and served before the clock starts.
    struct timeval limit = {.tv_sec = 5};
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char reply[message];
    if (send(c->fd, payload, message, MSG_NOSIGNAL) != message || recv(c->fd, reply, message, MSG_WAITALL) != message)
        fail("first echo");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) != 0) fail("epoll_ctl");
}

static double exponential(double mean) { return -mean * log(1.0 - drand48()); }

static int ascending(const void* a, const void* b) {
    uint32_t x = *(const uint32_t*)a, y = *(const uint32_t*)b;
    return (x > y) - (x < y);
}

static double percentile_us(double p) {
    if (sample_count == 0) return 0;
    size_t i = (size_t)((double)sample_count * p);
    return samples[i < sample_count ? i : sample_count - 1] * 1e-3;
}

int main(int argc, char** argv) {
    int port = 0, count = 1, cpu = -1, pid = 0;
    double warm = 0.3, seconds = 1, rate = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        double value = atof(argv[i + 1]);
        if (!strcmp(argv[i], "--port"))
            port = (int)value;
        else if (!strcmp(argv[i], "--connections"))
            count = (int)value;
        else if (!strcmp(argv[i], "--cpu"))
            cpu = (int)value;
        else if (!strcmp(argv[i], "--pid"))
            pid = (int)value;
        else if (!strcmp(argv[i], "--warm"))
            warm = value;
        else if (!strcmp(argv[i], "--seconds"))
            seconds = value;
        else if (!strcmp(argv[i], "--rate"))
            rate = value;
        else
            return fprintf(stderr, "unknown option %s\n", argv[i]), 2;
    }
    if (port <= 0 || count < 1 || count > max_connections) return fprintf(stderr, "needs --port and 1..4096 --connections\n"), 2;
    if (cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    prctl(PR_SET_TIMERSLACK, 1UL);
    clockid_t server = CLOCK_PROCESS_CPUTIME_ID;
    if (pid && clock_getcpuclockid(pid, &server) != 0) fail("clock_getcpuclockid");
    samples = malloc(max_samples * sizeof *samples);
    if (!samples) fail("malloc");

    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < count; ++i) open_connection(&connections[i], port, epoll);

    uint64_t start = now(), next = start, server_from = 0;
    measure_from = start + (uint64_t)(warm * 1e9);
    measure_to = measure_from + (uint64_t)(seconds * 1e9);
    if (rate == 0)
        for (int i = 0; i < count; ++i) send_message(&connections[i], now());
    for (uint64_t t = start; t < measure_to; t = now()) {
        if (server_from == 0 && t >= measure_from) server_from = clock_ns(server);
        for (; rate > 0 && next <= t; next += (uint64_t)exponential(1e9 / rate))
            send_message(&connections[lrand48() % count], next);
        uint64_t until = rate > 0 && next < measure_to ? next : measure_to, wait = until > t ? until - t : 0;
        struct timespec timeout = {.tv_sec = (time_t)(wait / 1000000000u), .tv_nsec = (long)(wait % 1000000000u)};
        struct epoll_event events[256];
        int n = epoll_pwait2(epoll, events, 256, &timeout, NULL);
        for (int i = 0; i < n; ++i) receive(events[i].data.ptr, rate == 0);
    }
    double server_cpu = (double)(clock_ns(server) - server_from) * 1e-9;

    qsort(samples, sample_count, sizeof *samples, ascending);
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    double own_cpu =
        (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) + (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) * 1e-6;
    printf(
        "{\"ops\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"server_us_per_op\":%.3f,\"server_cpu_s\":%.4f,\"load_cpu_s\":%.4f,\"dropped\":%zu}\n",
        (double)sample_count / seconds, percentile_us(0.5), percentile_us(0.99), percentile_us(0.999),
        sample_count ? server_cpu * 1e6 / (double)sample_count : 0, server_cpu, own_cpu, dropped);
}
