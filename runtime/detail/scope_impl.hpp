// The awaiting side of scopes: with_scope and spawn_when_free. Included by scope.hpp.
#pragma once

#include <belay/runtime/scope.hpp>

#include <coroutine>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <utility>

namespace belay {
namespace detail {

std::size_t worker_count(const runtime_core& core) noexcept;
/// Where the running task awaits, or awaited last. Only inside a task.
std::source_location awaiting_site() noexcept;
/// For a function of the library that is what `rec` runs: where it is awaited itself. Where its task was spawned, or awaited, if nothing is
/// around it.
inline std::source_location site_of_caller(const record& rec) noexcept {
    const promise_base* caller = rec.leaf->parent;
    return caller != nullptr ? caller->site : rec.spawn_site();
}

/// Lets the coroutine that owns a scope put it under its own record before anything is spawned. Never suspends.
struct open_scope : native_awaitable {
    static bool await_ready() noexcept { return false; }
    template <task_promise P>
    bool await_suspend(std::coroutine_handle<P> h) noexcept {
        rec = h.promise().rec;
        return false;
    }
    [[nodiscard]] record& await_resume() const noexcept { return *rec; }
    record* rec = nullptr;
};

struct scope_access {
    static void open(scope& s, record& parent) noexcept { s.open_under(parent); }
    static stop_node& node(scope& s) noexcept { return s.node; }
    /// A child that belongs to the same task as the body does: pinned where that is.
    template <class F>
    static void spawn_beside_body(scope& s, std::source_location at, F&& f) {
        s.reserve_or_throw();
        s.spawn_reserved({at, s.body_->home}, std::forward<F>(f));
    }
    static void reserve_or_throw(scope& s) { s.reserve_or_throw(); }
    static void adopt(scope& s, child_record& child) noexcept { s.adopt(child); }
    static void list_children(scope& s, wait_sources& out) { s.list_children(out, true); }
};

/// Runs the body as a branch of the scope and waits until it and all children have ended.
template <class T>
class [[nodiscard]] scope_body final : public record, public native_awaitable {
public:
    scope_body(scope& s, record& parent, std::source_location site, task<T>&& work) noexcept
        : record{s.core_, s.node, site}, scope_{s}, work_{std::move(work)} {
        task_access::make_root(*work_, *this);
        belongs_to(*this, parent);
        s.body_ = this;
    }
    /// `body` need not be a coroutine: it may spawn, and throw, when it is called. So that is done inside the scope, in begin().
    template <class F>
    scope_body(scope& s, record& parent, std::source_location site, F& body) noexcept
        : record{s.core_, s.node, site},
          scope_{s},
          callable_{std::addressof(body)},
          call_{[](void* f, scope& in) -> task<T> { return (*static_cast<F*>(f))(in); }} {
        belongs_to(*this, parent);
        s.body_ = this;
    }

    bool begin() noexcept override {
        try {
            work_.emplace(call_(callable_, scope_));
        } catch (...) {
            result_.set_error(std::current_exception());
            return false;
        }
        task_access::make_root(*work_, *this);
        return true;
    }
    static bool await_ready() noexcept { return false; }
    template <task_promise P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> awaiting) noexcept {
        if (!scope_.suspend_parent(*awaiting.promise().rec)) return std::noop_coroutine();
        return continue_in(*this);
    }
    T await_resume() { return take(); }

    /// The outcome: the scope's error, or the body's value.
    T take() {
        scope_.throw_outcome();
        if constexpr (std::is_void_v<T>) {
            if (ended_ == outcome::value) result_.take();
        } else {
            if (ended_ != outcome::value) throw task_stopped{scope_.node.reason.load(std::memory_order_relaxed)};
            return result_.take();
        }
    }
    /// The scope's own deadline ended it.
    [[nodiscard]] bool overran() const noexcept { return scope_.overran(); }

    /// Awaits the end without taking the outcome.
    struct joined_awaiter : native_awaitable {
        explicit joined_awaiter(scope_body& b) noexcept : body{b} {}
        static bool await_ready() noexcept { return false; }
        template <task_promise P>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<P> awaiting) noexcept {
            return body.await_suspend(awaiting);
        }
        static void await_resume() noexcept {}
        scope_body& body;
    };
    [[nodiscard]] joined_awaiter joined() noexcept { return joined_awaiter{*this}; }

    record* on_done(outcome how) noexcept override {
        if (how == outcome::stopped) scope_.any_stopped_.store(true, std::memory_order_relaxed);  // ordered by pending_
        if (work_) {
            // The frame goes now and not with the scope: its parameters may be what a child waits for.
            if (how != outcome::stopped && !result_.take_from(task_access::result(*work_))) how = outcome::error;
            task_access::destroy(*work_);
        }
        ended_ = how;
        if (how == outcome::error) scope_.failed(result_.error(), *this, nullptr);
        return scope_.leave(scope::body_unit);
    }

private:
    scope& scope_;
    std::optional<task<T>> work_;
    void* callable_ = nullptr;
    task<T> (*call_)(void*, scope&) = nullptr;
    result_slot<T> result_;
    outcome ended_ = outcome::stopped;
};

/// A place in a scope's queue for room.
class scope_room : public operation {
public:
    explicit scope_room(scope& s) noexcept : scope_{&s} {}
    scope_room(scope_room&& other) noexcept : operation(std::move(other)), scope_{other.scope_} {}
    void request_stop(stop_walk&) noexcept final;
    [[nodiscard]] const char* what() const noexcept final { return "scope.spawn_when_free"; }
    void waits_for(wait_sources& out) final;

protected:
    ~scope_room() = default;
    bool try_reserve();
    bool start() noexcept;
    scope* scope_;
    bool closed_ = false;

private:
    friend class belay::scope;
    scope_room* prev_ = nullptr;
    scope_room* next_ = nullptr;
    bool linked_ = false;  // guarded by the scope's lock_
    bool stopped_early_ = false;  // guarded by the scope's lock_
};

template <class F, class... Args>
class [[nodiscard("belay: write co_await scope.spawn_when_free(...)")]] spawn_when_free_awaiter final : public scope_room,
                                                                                                        public native_awaitable {
public:
    template <class G, class... Bs>
    explicit spawn_when_free_awaiter(scope& s, G&& f, Bs&&... args)
        : scope_room{s}, payload_{std::forward<G>(f), std::forward<Bs>(args)...} {}
    spawn_when_free_awaiter(spawn_when_free_awaiter&&) = default;

    bool await_ready() {
        auto now = next_pace();
        return now != pace::stop && try_reserve() && now == pace::go;
    }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> awaiting) {
        static_assert(task_promise<P>, "belay: spawn_when_free can be awaited only inside a belay::task");
        if (reserved_) {  // it was free, but the budget is used up
            schedule_fair(*awaiting.promise().rec);
            return true;
        }
        return !suspend_on(*awaiting.promise().rec) || start();
    }
    auto await_resume() {
        if (closed_) throw scope_closed{};
        // Here and not in await_suspend(), which is not called when there is room at once.
        auto at = awaiting_site();
        return std::apply([&](auto&... parts) { return scope_->spawn_reserved(at, std::move(parts)...); }, payload_);
    }

private:
    bool try_reserve() { return reserved_ = scope_room::try_reserve(); }
    std::tuple<F, Args...> payload_;
    bool reserved_ = false;
};

template <class T, class F>
task<T> run_in_scope(scope_options options, F body) {
    record& parent = co_await open_scope{};
    scope s{parent.core(), options};
    scope_access::open(s, parent);
    co_return co_await scope_body<T>{s, parent, site_of_caller(parent), body};
}

}  // namespace detail

template <class F>
void scope::for_each_pinned(std::size_t most, F&& f) {
    auto visit = [&](shard& s) {
        std::scoped_lock guard(s.lock);  // a child cannot unlink itself, hence not be freed, meanwhile
        for (detail::child_record* c = s.head; c != nullptr && most > 0; c = c->next_sibling_, --most) f(*c);
    };
    visit(first_);
    if (shard* more = shards_.load(std::memory_order_acquire))
        for (std::size_t i = 0; i + 1 < detail::worker_count(core_); ++i) visit(more[i]);
}

/// Runs body(scope&) and returns when it and every child have ended and all their frames are destroyed. Returns the body's
/// value. Throws the first error of body or children (by policy), deadline_exceeded after the scope's own deadline,
/// task_stopped for task<T> after the scope's own request_stop. On a stop of an enclosing scope: everything inside is
/// stopped and awaited, then the caller unwinds. The body is moved into the task: its captures live until the end. Its own
/// locals do not: they end with the body, and the children may run on. What children use by reference is declared before
/// with_scope().
template <class F>
    requires std::invocable<F&, scope&>
auto with_scope(scope_options options, F body) {
    using result = std::invoke_result_t<F&, scope&>;
    static_assert(detail::is_task<result>,
                  "belay: with_scope needs a body that returns belay::task<T>: write "
                  "[&](belay::scope& s) -> belay::task<> { ... co_return; }");
    return detail::run_in_scope<typename result::value_type, F>(options, std::move(body));
}
template <class F>
    requires std::invocable<F&, scope&>
auto with_scope(F body) {
    return with_scope(scope_options{}, std::move(body));
}

}  // namespace belay
