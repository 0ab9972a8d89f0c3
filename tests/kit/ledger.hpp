// Objects that know whether they were lost: messages that were sent and never arrived, or arrived twice, or were never destroyed.
//
//     kit::ledger ledger;
//     auto message = ledger.make();
//     auto id = message.id();
//     if (co_await tx.send(std::move(message)) == send_status::sent) ledger.sent(id);
//     ...
//     while (auto got = co_await rx.recv()) ledger.received(std::move(*got));
//     ...
//     EXPECT_EQ(ledger.complaint(), "");          // or .check = [&] { return ledger.complaint(); }
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace belay::kit {

/// Thread-safe. Messages may outlive it.
class ledger {
    struct book;

public:
    /// Move-only; one object owns a message at a time. Destroying the owner is noted, and complained of if that loses it.
    class message {
    public:
        message() noexcept = default;
        message(message&& other) noexcept : book_{std::move(other.book_)}, id_{std::exchange(other.id_, 0)} {}
        message& operator=(message&& other) noexcept {
            message old{std::move(*this)};
            book_ = std::move(other.book_);
            id_ = std::exchange(other.id_, 0);
            return *this;
        }
        ~message();
        /// From 1 on; 0 when it was moved from.
        [[nodiscard]] std::size_t id() const noexcept { return id_; }

    private:
        friend class ledger;
        message(std::shared_ptr<book> of, std::size_t id) noexcept : book_{std::move(of)}, id_{id} {}
        std::shared_ptr<book> book_;
        std::size_t id_ = 0;
    };

    ledger();
    [[nodiscard]] message make();
    /// The sender was told that the message is on its way: from now on it must arrive.
    void sent(std::size_t id);
    /// It has arrived.
    void received(message&& arrived);
    /// Of what was made by now and has not been received, any may be lost: the receiver has gone, and the sender could not know. What is made
    /// afterwards may not.
    void receiver_gone();

    [[nodiscard]] std::size_t made() const;
    [[nodiscard]] std::size_t arrived() const;
    /// Empty, or a line for each message that was sent and did not arrive, that arrived twice, or that still exists although nobody
    /// should have it.
    [[nodiscard]] std::string complaint() const;

private:
    struct entry {
        bool sent = false;
        bool excused = false;
        bool alive = true;
        unsigned received = 0;
    };
    struct book {
        mutable std::mutex lock;
        std::vector<entry> entries;
    };
    std::shared_ptr<book> book_;
};

}  // namespace belay::kit
