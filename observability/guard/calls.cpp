#include <belay/observability/guard/calls.hpp>

#include <sys/resource.h>
#include <time.h>

#include <algorithm>

namespace belay::guard {
namespace {

constexpr std::int64_t unwatched_ns = 50'000;  // what is shorter did not sleep for long enough to matter

// How often the kernel had put this thread to sleep when it was last looked at. Once per poll is enough, and after each call that was
// looked at: between two calls of one poll the thread sleeps in what comes here. What does not, a page fault or a function that is
// not watched, is laid to the next call that takes long.
struct sleeps {
    std::uint64_t poll = 0;
    long count = 0;
    bool inside = false;  // a call inside of another one, the C library's own for instance, is part of that
};
thread_local sleeps mine [[gnu::tls_model("initial-exec")]];

std::int64_t now_ns() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}
long sleeps_so_far() noexcept {
    rusage usage{};
    return ::getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0;
}

}  // namespace

bool begin_call(watched_call& call) noexcept {
    call.task = here(hooks());
    if (call.task.stack_top == nullptr) return false;
    if (call.task.may_block) {  // and what it sleeps there is not the next call's
        mine.poll = 0;
        return false;
    }
    if (mine.inside && mine.poll == call.task.poll) return false;  // else it left a call in another way than back
    int saved = errno;
    if (mine.poll != call.task.poll) {
        mine.poll = call.task.poll;
        mine.count = sleeps_so_far();
    }
    mine.inside = true;
    call.began_ns = now_ns();
    errno = saved;
    return true;
}

bool end_call(const watched_call& call, detail::guarded_call& done) noexcept {
    int saved = errno;
    auto length = now_ns() - call.began_ns;
    mine.inside = false;
    auto shortest = hooks()->shortest_call_ns->load(std::memory_order_relaxed);  // a setting
    bool matters = false;
    if (length >= std::min(unwatched_ns, shortest)) {
        auto count = sleeps_so_far();
        bool slept = count != mine.count;
        mine.count = count;
        matters = shortest == 0 || (slept && length >= shortest);
        done = {call.function, call.fd, call.began_ns, length, slept, {}, {}};
    }
    errno = saved;
    return matters;
}

void tell(const watched_call& call, detail::guarded_call& done, const void* frame) noexcept {
    int saved = errno;
    walk(frame, call.task.stack_top, done.place);
    hooks()->called(done);
    errno = saved;
}

}  // namespace belay::guard
