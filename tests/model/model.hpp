// A small model checker for the lock-free parts: it runs the code itself, not a model of it, in every interleaving up to a bound.
//
//     #include <belay/tests/model/model.hpp>
//     #define atomic model_atomic                    // the headers below get atomics that are scheduled
//     #include <belay/runtime/detail/work_queue.hpp>
//     #undef atomic
//
//     auto result = model::explore({}, [](model::run& r) {
//         auto queue = std::make_shared<belay::detail::work_queue<int>>();
//         r.thread([=] { queue->push(&one); });
//         r.thread([=] { took = queue->steal(); });
//         r.at_end([=] { return took == &one || queue->steal() == &one ? "" : "it is lost"; });
//     });
//     EXPECT_EQ(result.failure, "");
//
// Threads are fibers on one thread. At each atomic operation the checker chooses who goes on, and backtracks over all choices with at
// most `preemptions` switches away from a thread that could go on (most bugs need two: Musuvathi and Qadeer, PLDI 2007). A thread that
// has made 40 steps in a row while others could go on, or while a store waits to be seen, has to let them, the store first and then
// who has waited for longest: it may be spinning. Memory
// is that of x86 (Sewell et al., CACM 2010): a store that is not seq_cst may stay in its thread's buffer, at most `delays` of them in a run, while others
// and later loads of its own thread overtake it; everything else is sequentially consistent. So a missing seq_cst edge between a store and
// a load is found; what only weaker machines may do is left to ThreadSanitizer and to the arguments in the comments.
#pragma once

#include <atomic>
#include <bit>
#include <concepts>
#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <source_location>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace model {

struct limits {
    int preemptions = 3;
    int delays = 2;
    std::size_t runs = 3'000'000;
};

struct outcome {
    std::size_t runs = 0;
    bool complete = true;  ///< all of them, within the limits
    std::string failure;
};

class explorer;

/// What one run is made of. Threads begin when all are there.
class run {
public:
    explicit run(explorer& of) noexcept : of_{of} {}
    void thread(std::function<void()> body);
    /// When all threads have ended: empty, or what is wrong.
    void at_end(std::function<std::string()> check);

private:
    explorer& of_;
};

outcome explore(const limits& within, const std::function<void(run&)>& program);

/// Inside a thread: the run has failed if it does not hold.
void require(bool holds, const char* what);
/// Inside a thread: it cannot go on until this holds. If it never does, the run has failed.
void wait_until(const std::function<bool()>& holds);

namespace detail {

/// Before each operation on an atomic: somebody else may go on.
void point();
/// A store of the running thread that others may see later. False: do it now.
bool delay(void* where, const void* bytes, std::size_t size);
/// What the running thread sees there, if it has a store of its own in its buffer.
bool own_store(const void* where, void* bytes, std::size_t size);
/// All stores of the running thread become visible.
void drain();

}  // namespace detail
}  // namespace model

namespace std {

/// As std::atomic, under the checker.
template <class T>
class model_atomic {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);

public:
    constexpr model_atomic() noexcept : value_{} {}
    constexpr model_atomic(T value) noexcept : value_{value} {}  // NOLINT: as std::atomic
    model_atomic(const model_atomic&) = delete;
    model_atomic& operator=(const model_atomic&) = delete;

    T load(memory_order = memory_order_seq_cst) const noexcept {
        model::detail::point();
        T seen;
        return model::detail::own_store(&value_, &seen, sizeof seen) ? seen : value_;
    }
    void store(T value, memory_order order = memory_order_seq_cst) noexcept {
        model::detail::point();
        if (order != memory_order_seq_cst && model::detail::delay(&value_, &value, sizeof value)) return;
        model::detail::drain();
        value_ = value;
    }
    T exchange(T value, memory_order = memory_order_seq_cst) noexcept {
        return change([&](T) { return value; });
    }
    bool compare_exchange_strong(T& expected, T desired, memory_order = memory_order_seq_cst,
                                 memory_order = memory_order_seq_cst) noexcept {
        begin_change();
        if (std::memcmp(&value_, &expected, sizeof(T)) == 0) {
            value_ = desired;
            return true;
        }
        expected = value_;
        return false;
    }
    bool compare_exchange_weak(T& expected, T desired, memory_order success = memory_order_seq_cst,
                               memory_order failure = memory_order_seq_cst) noexcept {
        return compare_exchange_strong(expected, desired, success, failure);
    }
    T fetch_add(T by, memory_order = memory_order_seq_cst) noexcept {
        return change([&](T v) { return static_cast<T>(v + by); });
    }
    T fetch_sub(T by, memory_order = memory_order_seq_cst) noexcept {
        return change([&](T v) { return static_cast<T>(v - by); });
    }
    T fetch_or(T by, memory_order = memory_order_seq_cst) noexcept {
        return change([&](T v) { return static_cast<T>(v | by); });
    }
    T fetch_and(T by, memory_order = memory_order_seq_cst) noexcept {
        return change([&](T v) { return static_cast<T>(v & by); });
    }
    operator T() const noexcept { return load(); }  // NOLINT: as std::atomic

private:
    static void begin_change() noexcept {
        model::detail::point();
        model::detail::drain();
    }
    template <class F>
    T change(F f) noexcept {
        begin_change();
        T before = value_;
        value_ = f(before);
        return before;
    }
    T value_;
};

}  // namespace std
