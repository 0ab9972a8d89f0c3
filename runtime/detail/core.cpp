#include <belay/runtime/detail/core.hpp>

#include <belay/runtime/blocking.hpp>
#include <belay/runtime/detail/cpus.hpp>
#include <belay/runtime/detail/deadline.hpp>
#include <belay/runtime/detail/host_turn.hpp>
#include <belay/runtime/detail/live_runtimes.hpp>
#include <belay/runtime/detail/lock_order.hpp>
#include <belay/runtime/detail/simulator.hpp>
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/detail/wake_cost.hpp>
#include <belay/runtime/detail/watchdog.hpp>
#include <belay/runtime/detail/worker.hpp>
#include <belay/runtime/observer.hpp>
#include <belay/runtime/runtime.hpp>

#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace belay::detail {
namespace {

void check(const runtime_options& o) {
    using namespace std::chrono_literals;
    if (o.workers > max_workers) throw std::invalid_argument("belay: runtime_options.workers must be at most 256");
    if (o.name.empty())
        throw std::invalid_argument("belay: runtime_options.name must not be empty: it labels metrics and reports");
    if (o.takeover_tick != 0ns && (o.takeover_tick < 100us || o.takeover_tick > 1s))
        throw std::invalid_argument("belay: runtime_options.takeover_tick must be 0 (off) or between 100 us and 1 s");
    if (o.blocking_threads == 0) throw std::invalid_argument("belay: runtime_options.blocking_threads must be at least 1");
    if (o.blocking_queue == 0) throw std::invalid_argument("belay: runtime_options.blocking_queue must be at least 1");
    if (o.shutdown_grace < 0ms) throw std::invalid_argument("belay: runtime_options.shutdown_grace must not be negative");
    if (o.blocking_keep_alive < 0ms)
        throw std::invalid_argument("belay: runtime_options.blocking_keep_alive must not be negative");
}

}  // namespace

void worker_list::reserve(std::size_t capacity) {
    all_ = std::make_unique<std::unique_ptr<worker>[]>(capacity);
    capacity_ = capacity;
}

void worker_list::push_back(std::unique_ptr<worker> one) noexcept {
    std::size_t n = size_.load(std::memory_order_relaxed);  // only changed here
    all_[n] = std::move(one);
    size_.store(n + 1, std::memory_order_release);  // pairs with size(): the worker is there
}

runtime_core::runtime_core(const runtime_options& options, flavour flavour_of) : runtime_core{options, flavour_of, nullptr} {}
runtime_core::runtime_core(const runtime_options& options, std::unique_ptr<simulator> by)
    : runtime_core{options, flavour::simulated, std::move(by)} {}

runtime_core::runtime_core(const runtime_options& options, flavour flavour_of, std::unique_ptr<simulator> by)
    : how{flavour_of}, setup{options}, name{options.name}, sim{std::move(by)}, process_{::getpid()} {
    check(options);
    if (!sim && this_thread_clock() != nullptr)
        throw std::logic_error(
            "belay: a runtime was made on a thread that has a simulation, whose clock is not the runtime's: make it before the simulation, or on "
            "another thread");
    cpus = allowed_cpus();
    unsigned count = how == flavour::hosted ? 1 : options.workers != 0 ? options.workers : std::min(cpus, max_workers);
    watcher = make_observer(options.name, options.guardrails);
    io = sim ? make_simulated_driver(*sim)
             : make_driver({.backend = options.io, .workers = count, .hosted = how == flavour::hosted});
    takeover_tick_ns = options.takeover_tick.count();
    shutdown_grace_ns = saturating_ns(options.shutdown_grace);
    // Spinning pays only while a worker has a CPU of its own, and whoever it waits for another one.
    if (!sim && count <= cpus && ::sysconf(_SC_NPROCESSORS_ONLN) > 1)
        spin_limit_ns = options.spin_us < 0 ? calibrated_spin_ns() : std::int64_t{options.spin_us} * 1000;
    regular_workers = count;
    serving.store(count, std::memory_order_relaxed);
    unsigned stand_ins = how != flavour::threads ? 0 : std::min(options.max_stand_ins, max_workers - count);
    workers.reserve(count + stand_ins);
    for (unsigned i = 0; i < count; ++i) workers.push_back(std::make_unique<worker>(*this, i));
    root = std::make_unique<belay::scope>(*this, scope_options{.name = "root", .on_error = on_error::isolate});
    dog = std::make_unique<watchdog>(*this);
    blocking_options_ = {.name = "blocking",
                         .max_threads = options.blocking_threads,
                         .max_queued = options.blocking_queue,
                         .keep_alive = options.blocking_keep_alive};
    list_runtime(*this);  // last: what a debugger finds is complete
}

runtime_core::~runtime_core() {
    report_orders(*this);  // what the last polls found; nobody else reads what was found here
    unlist_runtime(*this);
}

void runtime_core::start() {
    blocking = std::make_unique<blocking_pool>(*this, blocking_options_);
    if (sim) return sim->attach(*this);
    try {
        if (how == flavour::hosted) {
            // Nobody drives it. Its port's handle is readable until somebody does: the first who does binds the port, and not this
            // thread, which may do something else from now on.
            idle_.add(0);
        } else {
            for (auto& w : workers) w->thread = std::thread([self = shared_from_this(), w = w.get()] { w->run(); });
            setup.await_all(static_cast<unsigned>(workers.size()));
        }
        dog->start();
    } catch (...) {
        stop_workers(no_deadline);
        throw;
    }
}

void runtime_core::inject(record& rec) noexcept {
    if (rec.pinned()) [[unlikely]]
        return deliver(rec);
    // The record keeps the runtime alive only until it is in the queue. Relaxed: the queue's lock publishes it with the record.
    injecting_.fetch_add(1, std::memory_order_relaxed);
    {
        std::scoped_lock guard(inject_lock_);
        rec.next = nullptr;
        (inject_tail_ != nullptr ? inject_tail_->next : inject_head_) = &rec;
        inject_tail_ = &rec;
        // seq_cst: before the look at the idle set in notify_one(), see worker::park().
        injected_count_.fetch_add(1, std::memory_order_seq_cst);
    }
    notify_one();
    injecting_.fetch_sub(1, std::memory_order_release);  // pairs with shutdown(): we are done with the runtime
}

void runtime_core::deliver(record& rec) noexcept {
    injecting_.fetch_add(1, std::memory_order_relaxed);  // as in inject()
    unsigned index = rec.home - 1U;
    workers[index].pinned.put(rec);  // from here on the record may be gone
    rouse(index);
    injecting_.fetch_sub(1, std::memory_order_release);
}

void runtime_core::rouse(unsigned index) noexcept {
    if (!idle_.has(index)) return;
    // Counted before it is claimed, as in notify_one(): a worker that finds itself claimed is a searcher.
    searching_.fetch_add(1, std::memory_order_seq_cst);
    if (idle_.claim(index)) {
        workers[index].port().wake();
        dog->notify();
        return;
    }
    searching_.fetch_sub(1, std::memory_order_seq_cst);
    // As there: another notifier may have taken our count for a searcher.
    if (injected_seq_cst() != 0 && idle_.any()) notify_one();
}

record* runtime_core::take_injected(worker& taker) noexcept {
    if (injected() == 0) return nullptr;
    record* batch = nullptr;
    std::size_t want = 0;
    {
        std::scoped_lock guard(inject_lock_);
        std::size_t count = injected_count_.load(std::memory_order_relaxed);  // written under the lock
        if (count == 0) return nullptr;
        want = std::min<std::size_t>(count / serving.load(std::memory_order_relaxed) + 1, 32);
        want = std::min(want, count);
        batch = inject_head_;
        record* last = batch;
        for (std::size_t i = 1; i < want; ++i) last = last->next;
        inject_head_ = last->next;
        if (inject_head_ == nullptr) inject_tail_ = nullptr;
        last->next = nullptr;
        injected_count_.fetch_sub(want, std::memory_order_seq_cst);
        // release, pairs with taken_from_injected(): whoever sees them counted here does not count them as queued.
        taken_count_.store(taken_count_.load(std::memory_order_relaxed) + want, std::memory_order_release);
    }
    record* first = batch;
    for (record* rec = first->next; rec != nullptr;) {
        record* next = rec->next;
        rec->next = nullptr;
        taker.push_fair(*rec);
        rec = next;
    }
    first->next = nullptr;
    return first;
}

void runtime_core::notify_one() noexcept {
    for (;;) {
        if (searching_.load(std::memory_order_seq_cst) != 0) return;
        // The woken worker counts as a searcher before it runs, so that a burst of notifications wakes one.
        searching_.fetch_add(1, std::memory_order_seq_cst);
        int index = idle_.claim();
        if (index >= 0) {
            workers[static_cast<unsigned>(index)].port().wake();
            dog->notify();
            return;
        }
        searching_.fetch_sub(1, std::memory_order_seq_cst);
        // Another notifier may have taken our count for a real searcher and left; its work, and a worker that fell asleep
        // meanwhile, are visible now because its look at the count came before our fetch_sub.
        if (injected_seq_cst() == 0 || !idle_.any()) return;
    }
}

void runtime_core::add_pool(const std::shared_ptr<blocking_core>& pool) {
    std::scoped_lock guard(pools_lock_);
    std::erase_if(pools_, [](const auto& p) { return p.expired(); });
    pools_.push_back(pool);
}

}  // namespace belay::detail
