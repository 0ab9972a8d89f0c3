#include <belay/tests/model/model.hpp>

#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace model {
namespace {

constexpr std::size_t stack_bytes = 256 * 1024;
constexpr int longest_burst = 40;  // operations of one thread in a row before another one must go on: it may be spinning
constexpr std::size_t most_operations = 5'000;  // in a run: then it does not end

struct buffered {
    void* where;
    std::array<unsigned char, 8> bytes;
    std::size_t size;
    void commit() const { std::memcpy(where, bytes.data(), size); }
};

struct fiber {
    ucontext_t context{};
    std::unique_ptr<char[]> stack = std::make_unique<char[]>(stack_bytes);
    std::function<void()> body;
    std::function<bool()> waits_for;  // empty: it can go on
    std::deque<buffered> buffer;
    bool ended = false;
    std::size_t ran = 0;  // when it was last chosen
};

}  // namespace

/// One for a whole exploration; the choices of a run are kept, and the last one that has another alternative is changed for the next.
class explorer {
public:
    explorer(const limits& within, const std::function<void(run&)>& program) : limits_{within}, program_{program} {}

    outcome explore() {
        do {
            ++result_.runs;
            one_run();
            if (!result_.failure.empty()) return result_;
            if (result_.runs == limits_.runs) {
                result_.complete = false;
                return result_;
            }
        } while (backtrack());
        return result_;
    }

    void add(std::function<void()> body) {
        if (used_ == fibers_.size()) fibers_.push_back(std::make_unique<fiber>());
        fiber& f = *fibers_[used_++];
        f.body = std::move(body);
        f.waits_for = nullptr;
        f.buffer.clear();
        f.ended = false;
        f.ran = 0;
    }
    void set_check(std::function<std::string()> check) { check_ = std::move(check); }

    [[nodiscard]] bool inside() const noexcept { return current_ != nullptr && !looking_; }
    fiber& current() noexcept { return *current_; }

    void fail(std::string what) {
        if (result_.failure.empty()) result_.failure = std::move(what);
        leave();
    }
    /// The running thread is about to do something that others can see.
    void point() {
        if (++operations_ > most_operations) fail("a run does not end");
        ++burst_;
        reschedule(true);
    }
    void wait(std::function<bool()> holds) {
        point();
        if (look(holds)) return;
        current_->waits_for = std::move(holds);
        burst_ = 0;
        reschedule(false);
        current_->waits_for = nullptr;
    }
    bool delay(const buffered& store) {
        if (current_->buffer.empty() && (delays_ == limits_.delays || choose(2) == 0)) return false;
        if (current_->buffer.empty()) ++delays_;
        current_->buffer.push_back(store);
        return true;
    }

private:
    struct choice {
        unsigned taken;
        unsigned count;
    };

    unsigned choose(unsigned count) {
        if (count == 1) return 0;
        if (at_ == choices_.size()) choices_.push_back({0, count});
        return choices_[at_++].taken;
    }
    bool backtrack() {
        while (!choices_.empty() && choices_.back().taken + 1 == choices_.back().count) choices_.pop_back();
        if (choices_.empty()) return false;
        ++choices_.back().taken;
        return true;
    }

    void one_run() {
        at_ = used_ = operations_ = 0;
        preemptions_ = delays_ = burst_ = 0;
        check_ = nullptr;
        run r{*this};
        program_(r);
        for (std::size_t i = 0; i < used_; ++i) prepare(*fibers_[i]);
        next_ = nullptr;
        over_ = false;
        while (!over_) {
            fiber* chosen = next_ != nullptr ? std::exchange(next_, nullptr) : first();
            if (chosen == nullptr) break;
            current_ = chosen;
            ::swapcontext(&main_, &chosen->context);
            current_ = nullptr;
        }
        for (std::size_t i = 0; i < used_; ++i)
            for (const buffered& store : std::exchange(fibers_[i]->buffer, {})) store.commit();
        if (result_.failure.empty() && check_) result_.failure = check_();
        if (!result_.failure.empty()) return;
        for (std::size_t i = 0; i < used_; ++i) fibers_[i]->body = nullptr;
    }

    void prepare(fiber& f) {
        ::getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack.get();
        f.context.uc_stack.ss_size = stack_bytes;
        f.context.uc_link = nullptr;
        self_ = this;
        ::makecontext(&f.context, &explorer::begin, 0);
    }
    static void begin() {
        explorer& self = *self_;
        self.current_->body();
        self.current_->ended = true;
        self.burst_ = 0;
        self.reschedule(false);
        std::abort();  // nobody comes back to a thread that has ended
    }

    /// Not as a step of a thread.
    bool look(const std::function<bool()>& holds) {
        looking_ = true;
        bool result = holds();
        looking_ = false;
        return result;
    }
    [[nodiscard]] bool can_run(const fiber& f) { return !f.ended && (!f.waits_for || look(f.waits_for)); }

    /// At the beginning, and where a thread has ended or waits: who goes on, or null when all have ended.
    fiber* first() { return pick(nullptr, false); }

    /// Who goes on: `running` if it may, or another one; before that, buffered stores may become visible.
    fiber* pick(fiber* running, bool may_stay) {
        for (;;) {
            std::vector<fiber*> threads;
            bool stay = running != nullptr && may_stay;
            std::vector<fiber*> others;
            for (std::size_t i = 0; i < used_; ++i)
                if (fibers_[i].get() != running && can_run(*fibers_[i])) others.push_back(fibers_[i].get());
            std::vector<fiber*> buffers;
            for (std::size_t i = 0; i < used_; ++i)
                if (!fibers_[i]->buffer.empty()) buffers.push_back(fibers_[i].get());
            // It may be spinning, on what is in a buffer, or on what another one does; of several that may spin, too, each has its turn.
            bool forced = stay && burst_ > longest_burst && (!others.empty() || !buffers.empty());
            if (forced && !buffers.empty()) others.clear();
            if (forced && !others.empty()) {
                others = {*std::ranges::min_element(others, {}, &fiber::ran)};
                buffers.clear();
            }
            if (stay && !forced) threads.push_back(running);
            if (!stay && running != nullptr && can_run(*running)) threads.push_back(running);
            if (!stay || forced || preemptions_ < limits_.preemptions)
                threads.insert(threads.end(), others.begin(), others.end());
            auto count = threads.size() + buffers.size();
            if (count == 0) {
                bool all = std::ranges::all_of(fibers_.begin(), fibers_.begin() + static_cast<std::ptrdiff_t>(used_),
                                               [](const auto& f) { return f->ended; });
                if (!all) result_.failure = "a deadlock: no thread can go on, and one waits for what never comes";
                return nullptr;
            }
            unsigned chosen = choose(static_cast<unsigned>(count));
            if (chosen >= threads.size()) {
                fiber& f = *buffers[chosen - threads.size()];
                f.buffer.front().commit();
                f.buffer.pop_front();
                burst_ = 0;
                continue;
            }
            fiber* next = threads[chosen];
            if (stay && !forced && next != running) ++preemptions_;
            if (next != running) burst_ = 0;
            next->ran = operations_;
            return next;
        }
    }

    void reschedule(bool may_stay) {
        fiber* self = current_;
        fiber* next = pick(self, may_stay);
        if (next == self && !self->ended) return;
        if (next == nullptr) return leave();
        next_ = next;
        ::swapcontext(&self->context, &main_);
    }

    /// The run is over: nobody goes on.
    void leave() {
        over_ = true;
        ::swapcontext(&current_->context, &main_);
    }

    const limits limits_;
    const std::function<void(run&)>& program_;
    outcome result_;
    std::vector<choice> choices_;
    std::size_t at_ = 0;
    std::vector<std::unique_ptr<fiber>> fibers_;
    std::size_t used_ = 0;
    std::function<std::string()> check_;
    ucontext_t main_{};
    fiber* current_ = nullptr;
    fiber* next_ = nullptr;
    bool over_ = false;
    bool looking_ = false;
    std::size_t operations_ = 0;
    int preemptions_ = 0;
    int delays_ = 0;
    int burst_ = 0;
    inline static explorer* self_ = nullptr;
};

namespace {
explorer* active = nullptr;
}

void run::thread(std::function<void()> body) { of_.add(std::move(body)); }
void run::at_end(std::function<std::string()> check) { of_.set_check(std::move(check)); }

outcome explore(const limits& within, const std::function<void(run&)>& program) {
    explorer all{within, program};
    active = &all;
    outcome result = all.explore();
    active = nullptr;
    return result;
}

void require(bool holds, const char* what) {
    if (!holds) active->fail(what);
}
void wait_until(const std::function<bool()>& holds) { active->wait(holds); }

namespace detail {

namespace {
bool scheduled() noexcept { return active != nullptr && active->inside(); }
}  // namespace

void point() {
    if (scheduled()) active->point();
}
bool delay(void* where, const void* bytes, std::size_t size) {
    if (!scheduled()) return false;
    buffered store{where, {}, size};
    std::memcpy(store.bytes.data(), bytes, size);
    return active->delay(store);
}
bool own_store(const void* where, void* bytes, std::size_t size) {
    if (!scheduled()) return false;
    auto& buffer = active->current().buffer;
    for (auto at = buffer.rbegin(); at != buffer.rend(); ++at) {
        if (at->where != where) continue;
        std::memcpy(bytes, at->bytes.data(), size);
        return true;
    }
    return false;
}
void drain() {
    if (!scheduled()) return;
    auto& buffer = active->current().buffer;
    for (; !buffer.empty(); buffer.pop_front()) buffer.front().commit();
}

}  // namespace detail
}  // namespace model
