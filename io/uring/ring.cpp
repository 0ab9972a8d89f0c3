#include <belay/io/uring/ring.hpp>

#include <belay/io/uring/setup_error.hpp>
#include <belay/io/uring/tsan.hpp>

#include <liburing.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

namespace belay::detail::uring {
namespace {

static_assert(sizeof(completion) == sizeof(io_uring_cqe));
static_assert(sizeof(io_uring_sqe) == 64);

// Linux 6.15; liburing 2.3's headers do not have them. Without it an idle worker counts as waiting for a disk: 100 % iowait
// and I/O pressure on dashboards.
constexpr unsigned feature_no_iowait = 1u << 17;
constexpr unsigned enter_no_iowait = 1u << 7;

constexpr unsigned required_flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE;
constexpr unsigned flag_ladder[] = {required_flags | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP,
                                    required_flags | IORING_SETUP_CLAMP, required_flags};
constexpr unsigned smallest_cq = 512;

// ThreadSanitizer does not see liburing's munmap and mmap. A ring may lie where one of another thread's has been, and the kernel
// has ordered the two.
char ring_memory;

int try_setup(unsigned sq_entries, unsigned cq_entries, ::io_uring& out) noexcept {
    int result = -EINVAL;
    for (unsigned flags : flag_ladder) {
        io_uring_params params{};
        params.flags = flags;
        params.cq_entries = cq_entries;
        result = ::io_uring_queue_init_params(sq_entries, &out, &params);
        if (result != -EINVAL) break;
    }
    return result;
}

// ENOMEM: ring memory is charged against RLIMIT_MEMLOCK (again on newer kernels), per user.
int try_sizes(unsigned sq_entries, unsigned cq_entries, ::io_uring& out) noexcept {
    int result = try_setup(sq_entries, cq_entries, out);
    for (unsigned cq = cq_entries / 2; result == -ENOMEM && cq >= smallest_cq && cq >= sq_entries; cq /= 2)
        result = try_setup(sq_entries, cq, out);
    return result;
}

}  // namespace

ring::ring(unsigned sq_entries, unsigned cq_entries) : impl_{std::make_unique<::io_uring>()} {
    using namespace std::chrono_literals;
    int result = try_sizes(sq_entries, cq_entries, *impl_);
    // The kernel gives the memory of a closed ring back asynchronously: a runtime that was destroyed just now may still
    // be charged for its rings.
    for (int attempt = 0; result == -ENOMEM && attempt < 5; ++attempt) {
        std::this_thread::sleep_for(20ms);
        result = try_sizes(sq_entries, cq_entries, *impl_);
    }
    if (result < 0) throw_setup_error(-result);
    tsan_acquire(&ring_memory);
    ::io_uring_ring_dontfork(impl_.get());
    map_queues();
}

ring::~ring() {
    if (guard_.in_child()) {
        ::close(fd_);  // the child never had the mappings, and liburing would read them
        return;
    }
    tsan_release(&ring_memory);
    ::io_uring_queue_exit(impl_.get());
}

void ring::map_queues() noexcept {
    fd_ = impl_->ring_fd;
    no_iowait_ = impl_->features & feature_no_iowait;
    auto& sq = impl_->sq;
    auto& cq = impl_->cq;
    sq_head_ = sq.khead;
    sq_tail_ = sq.ktail;
    sq_flags_ = sq.kflags;
    sq_mask_ = sq.ring_mask;
    sq_entries_ = sq.ring_entries;
    sqes_ = reinterpret_cast<std::byte*>(sq.sqes);
    cq_head_ = cq.khead;
    cq_tail_ = cq.ktail;
    cq_mask_ = cq.ring_mask;
    cqes_ = reinterpret_cast<completion*>(cq.cqes);
    tail_ = *sq_tail_;
    // The indirection from queue position to entry is the identity, for ever; newer versions of liburing (2.9, not 2.3) have
    // the kernel leave it out where it can (IORING_SETUP_NO_SQARRAY, Linux 6.6), and then there is no array.
    if (sq.array == nullptr) return;
    for (unsigned i = 0; i < sq_entries_; ++i) sq.array[i] = i;
}

io_uring_sqe* ring::acquire() noexcept {
    if (!has_room()) return nullptr;
    auto* sqe = reinterpret_cast<io_uring_sqe*>(sqes_) + (tail_ & sq_mask_);
    // The prep functions of liburing 2.3 set every field; later ones (2.9) trust io_uring_get_sqe() to have done it, and
    // would leave the flags of the slot's last use: a cancel that is refused, a completion that is skipped.
    *sqe = {};
    return sqe;
}

int ring::enter(unsigned submit, unsigned min_complete, bool get_events, std::int64_t timeout_ns) noexcept {
    unsigned flags = get_events || min_complete ? IORING_ENTER_GETEVENTS : 0u;
    __kernel_timespec timeout{};
    io_uring_getevents_arg argument{};
    if (min_complete) {
        flags |= IORING_ENTER_EXT_ARG;
        if (no_iowait_) flags |= enter_no_iowait;
        if (timeout_ns != forever) {
            timeout.tv_sec = timeout_ns / 1'000'000'000;
            timeout.tv_nsec = timeout_ns % 1'000'000'000;
            argument.ts = reinterpret_cast<std::uintptr_t>(&timeout);
        }
    }
    auto* extended = min_complete ? &argument : nullptr;
    auto size = min_complete ? sizeof argument : std::size_t{0};
    long result = ::syscall(SYS_io_uring_enter, fd_, submit, min_complete, flags, extended, size);
    return result < 0 ? -errno : static_cast<int>(result);
}

int ring::register_op(unsigned opcode, void* argument, unsigned count) noexcept {
    long result = ::syscall(SYS_io_uring_register, fd_, opcode, argument, count);
    return result < 0 ? -errno : static_cast<int>(result);
}

int ring::cancel_now(std::uint64_t user_data) noexcept {
    io_uring_sync_cancel_reg request{};
    request.addr = user_data;
    request.fd = -1;
    // Zero, and not "none": otherwise the call would wait for what cannot be given up, such as a running disk read.
    request.timeout = {.tv_sec = 0, .tv_nsec = 0};
    return register_op(IORING_REGISTER_SYNC_CANCEL, &request, 1);
}

bool ring::work_pending() const noexcept {
    return std::atomic_ref(*sq_flags_).load(std::memory_order_relaxed) & IORING_SQ_TASKRUN;
}

bool ring::overflowed() const noexcept {
    return std::atomic_ref(*sq_flags_).load(std::memory_order_relaxed) & IORING_SQ_CQ_OVERFLOW;
}

bool ring::needs_enter() const noexcept {
    return std::atomic_ref(*sq_flags_).load(std::memory_order_relaxed) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

}  // namespace belay::detail::uring
