#include <belay/io/uring/uring_port.hpp>

#include <belay/io/uring/op_state.hpp>
#include <belay/io/uring/prepare.hpp>
#include <belay/io/uring/tsan.hpp>
#include <belay/runtime/detail/held_guards.hpp>

#include <linux/io_uring.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <limits>
#include <mutex>
#include <system_error>
#include <utility>

namespace belay::detail {
namespace {

using namespace uring;

constexpr unsigned flush_batch = 32;  // measured: 16 to 32 entries already save all that batching can
// io-wq threads of one worker: for files, and for what the kernel cannot do without blocking. The kernel's default for the
// second kind is the limit of processes, 96365 here.
constexpr unsigned iowq_bounded = 4;
constexpr unsigned iowq_unbounded = 16;
constexpr unsigned long timer_slack_ns = 1000;  // the default of 50 us is the largest part of a timer's lateness

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t no_sleep = std::numeric_limits<std::int64_t>::min();

std::int64_t steady_now_ns() noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int make_wake_fd() {
    int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        throw std::system_error(errno, std::generic_category(),
                                "belay: no eventfd for a worker; raise RLIMIT_NOFILE (ulimit -n) when it is EMFILE");
    return fd;
}

}  // namespace

uring_port::uring_port(std::unique_ptr<uring::ring> ring, bool hosted)
    : ring_{std::move(ring)}, host_{hosted ? std::make_unique<host_wait>() : nullptr}, wake_fd_{make_wake_fd()} {
    if (!hosted) return;
    try {
        host_->watch(ring_->fd());  // readable while there are completions
        host_->arm(host_wait::at_once);  // until somebody drives it
    } catch (...) {
        ::close(wake_fd_);
        throw;
    }
}

uring_port::~uring_port() { ::close(wake_fd_); }

void uring_port::bind_owner() noexcept {
    owner_.store(::pthread_self(), std::memory_order_relaxed);
    if (std::exchange(was_bound_, true)) return;
    unsigned limits[2] = {iowq_bounded, iowq_unbounded};
    // From this thread, whose io-wq it limits; the ring passes it on to threads that submit to it later. Can only fail for
    // lack of memory, and then the default limit applies.
    ring_->register_op(IORING_REGISTER_IOWQ_MAX_WORKERS, limits, 2);
    if (!host_) ::prctl(PR_SET_TIMERSLACK, timer_slack_ns, 0, 0, 0);  // what a host's thread has is the host's
    std::scoped_lock guard(lock_);
    arm_wake();
}

bool uring_port::on_owner() const noexcept { return ::pthread_equal(owner_.load(std::memory_order_relaxed), ::pthread_self()); }

// ---- submitting ---------------------------------------------------------------------------------------------------

void uring_port::submit(io_operation& op) noexcept {
    ring_->check_process();
    // Before the entry is visible: a rescuer may submit, reap and count it at any time after.
    counters.add(counters.submitted);
    if (!stage(op)) [[unlikely]] {
        flush();
        if (!stage(op)) {
            std::scoped_lock guard(lock_);
            hold_back(op);
        }
    }
    // `op` may be gone.
    if (ring_->unconsumed() >= flush_batch) flush();
}

bool uring_port::stage(io_operation& op) noexcept {
    io_uring_sqe* sqe = ring_->acquire();
    if (!sqe) return false;
    if (op.driver_word == awaits_readiness)
        prepare_readiness(*sqe, op.request, tag_of(op));
    else
        prepare(*sqe, op.request, tag_of(op));
    tsan_release(&op);
    ring_->publish();
    return true;
}

int uring_port::enter(unsigned submit, unsigned min_complete, bool get_events, std::int64_t timeout_ns) noexcept {
    // An RMW, unlike the other counters: a rescuer may be in here beside the owner.
    counters.enters.fetch_add(1, std::memory_order_relaxed);
    return ring_->enter(submit, min_complete, get_events, timeout_ns);
}

// Errors need no handling: what the kernel did not take is still published and goes with the next turn, after reaping.
void uring_port::flush() noexcept { enter(ring_->unconsumed(), 0, false); }

// ---- turning ------------------------------------------------------------------------------------------------------

void uring_port::poll() noexcept {
    ring_->check_process();
    // First: what was published before the wake is then seen by everything below and by the caller. Left standing, the wake
    // of a running owner would keep ready() true and its spinning for ever.
    if (!wake_.is_running()) wake_.consume();
    turn(no_sleep);
}

void uring_port::wait(std::int64_t deadline_ns) noexcept {
    ring_->check_process();
    // Everything that decides about sleeping is looked at after begin_sleep(), in turn(): whoever changes it later and then
    // calls wake() meets a sleeper and writes the eventfd.
    bool may_sleep = wake_.begin_sleep();
    turn(may_sleep ? deadline_ns : no_sleep);
}

void uring_port::turn(std::int64_t sleep_until_ns) noexcept {
    const bool waiting = wake_.owner_sleeps();
    op_list finished;
    if (waiting || deferred_.load(std::memory_order_relaxed)) {
        // Under the lock even when nothing is deferred, so that a rescuer's reap() lies either before (then we see that
        // the wake poll ended) or after (then it sees the sleeper and leaves the wake's completion alone).
        std::scoped_lock guard(lock_);
        stage_deferred(finished);
        if (deferred_.load(std::memory_order_relaxed)) sleep_until_ns = no_sleep;
    }
    if (!finished.empty() || ring_->has_completions()) sleep_until_ns = no_sleep;

    std::int64_t timeout_ns = forever;
    if (sleep_until_ns != no_sleep && sleep_until_ns != never) {
        timeout_ns = sleep_until_ns - steady_now_ns();
        if (timeout_ns <= 0) sleep_until_ns = no_sleep;
    }
    unsigned staged = ring_->unconsumed();
    bool overflowed = ring_->overflowed();
    if (overflowed) counters.add(counters.overflows);
    // EINTR and ETIME: the caller loops. EBUSY, EAGAIN: what was not taken stays staged; reaping below makes room.
    if (sleep_until_ns != no_sleep)
        enter(staged, 1, true, timeout_ns);
    else if (staged != 0 || ring_->needs_enter())
        enter(staged, 0, ring_->needs_enter());
    if (waiting) wake_.consume();

    if (ring_->has_completions()) {
        std::scoped_lock guard(lock_);
        reap(reaper::owner, finished);
        if (done_in_inbox_) sweep_inbox(finished);
    }
    finish(finished);
}

void uring_port::prepare_wait(std::int64_t deadline_ns) noexcept {
    ring_->check_process();
    bool sleeps = wake_.begin_sleep();  // until poll() or wait() consumes it; before everything that decides, as in wait()
    op_list finished;
    {
        std::scoped_lock guard(lock_);
        stage_deferred(finished);
        sleeps = sleeps && !deferred_.load(std::memory_order_relaxed);
    }
    if (unsigned staged = ring_->unconsumed()) enter(staged, 0, false);
    // What the kernel did not take for lack of room is for the next poll(), after reaping.
    sleeps = sleeps && finished.empty() && ring_->unconsumed() == 0 && !ring_->needs_enter();
    host_->arm(sleeps ? deadline_ns : host_wait::at_once);
    // From here on a cancel by this very thread comes from outside: it has to wake the next owner.
    owner_.store(pthread_t{}, std::memory_order_relaxed);
    finish(finished);
}

bool uring_port::ready() const noexcept { return ring_->has_completions() || ring_->needs_enter() || wake_.is_notified(); }

void uring_port::wake() noexcept {
    ring_->check_process();
    if (!wake_.notify()) return;
    // The multishot poll sees every write as a new edge, so nobody ever reads the counter; it would take centuries to fill.
    own_code mine;
    std::uint64_t one = 1;
    [[maybe_unused]] auto written = ::write(wake_fd_, &one, sizeof one);
}

std::size_t uring_port::in_flight() const noexcept {
    // `finished_` first: what is counted there was counted as submitted before.
    auto finished = finished_.load(std::memory_order_acquire);
    auto submitted = counters.submitted.load(std::memory_order_relaxed);
    return submitted > finished ? static_cast<std::size_t>(submitted - finished) : 0;
}

void uring_port::finish(op_list finished) noexcept {
    std::uint64_t n = 0;
    while (io_operation* op = finished.pop()) {
        ++n;
        op->finish_io(op->result);
    }
    // An RMW: the owner and a rescuer may finish at the same time. release, pairs with in_flight().
    if (n != 0) finished_.fetch_add(n, std::memory_order_release);
}

}  // namespace belay::detail
