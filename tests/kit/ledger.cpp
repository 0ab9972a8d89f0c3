#include <belay/tests/kit/ledger.hpp>

namespace belay::kit {

ledger::ledger() : book_{std::make_shared<book>()} {}

ledger::message::~message() {
    if (id_ == 0) return;
    std::scoped_lock guard(book_->lock);
    book_->entries[id_ - 1].alive = false;
}

ledger::message ledger::make() {
    std::scoped_lock guard(book_->lock);
    book_->entries.emplace_back();
    return message{book_, book_->entries.size()};
}

void ledger::sent(std::size_t id) {
    std::scoped_lock guard(book_->lock);
    book_->entries.at(id - 1).sent = true;
}

void ledger::received(message&& arrived) {
    message mine{std::move(arrived)};
    std::scoped_lock guard(book_->lock);
    if (mine.id_ != 0) ++book_->entries[mine.id_ - 1].received;
}

void ledger::receiver_gone() {
    std::scoped_lock guard(book_->lock);
    for (entry& e : book_->entries)
        if (e.received == 0) e.excused = true;
}

std::size_t ledger::made() const {
    std::scoped_lock guard(book_->lock);
    return book_->entries.size();
}

std::size_t ledger::arrived() const {
    std::scoped_lock guard(book_->lock);
    std::size_t count = 0;
    for (const entry& e : book_->entries) count += e.received != 0 ? 1 : 0;
    return count;
}

std::string ledger::complaint() const {
    std::scoped_lock guard(book_->lock);
    std::string text;
    for (std::size_t i = 0; i < book_->entries.size(); ++i) {
        const entry& e = book_->entries[i];
        auto say = [&](const char* what) { text += "message " + std::to_string(i + 1) + what + '\n'; };
        if (e.sent && e.received == 0 && !e.excused) say(" was sent and did not arrive");
        if (e.received > 1) say(" arrived more than once");
        if (e.alive) say(" was never destroyed");
    }
    return text;
}

}  // namespace belay::kit
