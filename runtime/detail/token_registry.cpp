#include <belay/runtime/detail/token_registry.hpp>

#include <belay/runtime/detail/held_guards.hpp>
#include <belay/runtime/detail/stop_walk.hpp>

#include <utility>

namespace belay::detail {

void stop_node::drop_tokens() noexcept { tokens.load(std::memory_order_relaxed)->release(); }

token_registry& token_registry::of(stop_node& node) {
    token_registry* found = node.tokens.load(std::memory_order_seq_cst);
    if (found != nullptr) return *found;
    auto* made = new token_registry;
    // seq_cst, pairs with hold(): a stopper that finds none is one that the task sees when it asks after this.
    if (node.tokens.compare_exchange_strong(found, made, std::memory_order_seq_cst)) return *made;
    delete made;
    return *found;
}

std::stop_token token_registry::token_for(record& rec) {
    std::stop_token token;
    {
        own_code mine;
        std::scoped_lock guard(lock_);
        token = sources_[&rec].get_token();
    }
    rec.set_has_token();
    // Whichever of us and the stopper comes second finds the source; stopping it twice is stopping it once.
    if (rec.stop_asked()) stop(rec);
    return token;
}

void token_registry::forget(const record& rec) noexcept {
    sources::node_type gone;  // is destroyed after the lock is released
    own_code mine;
    std::scoped_lock guard(lock_);
    gone = sources_.extract(&rec);
}

std::stop_source token_registry::source_of(const record& rec) noexcept {
    own_code mine;
    std::scoped_lock guard(lock_);
    auto found = sources_.find(&rec);
    return found != sources_.end() ? found->second : std::stop_source{std::nostopstate};
}

void token_registry::stop(const record& rec) noexcept { source_of(rec).request_stop(); }

// Taken out in one step, so that nothing needs memory here. A task that asks again gets a new source, which token_for() stops at
// once because the node is marked.
void token_registry::begin_stop_of_all() noexcept {
    own_code mine;
    std::scoped_lock guard(lock_);
    stopping_.swap(sources_);
}

void token_registry::stop_all() noexcept {
    sources all;
    {
        own_code mine;
        std::scoped_lock guard(lock_);
        all.swap(stopping_);
    }
    for (auto& [rec, source] : all) source.request_stop();
}

void stop_walk::add_tokens_of(stop_node& node) noexcept {
    token_registry* found = token_registry::hold(node);
    if (found == nullptr) return;
    found->begin_stop_of_all();
    found->next = tokens_;
    tokens_ = found;
}

void stop_walk::stop_tokens() noexcept {
    while (token_registry* found = tokens_) {
        tokens_ = found->next;
        found->stop_all();
        found->release();
    }
}

}  // namespace belay::detail
