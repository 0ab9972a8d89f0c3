// reports guard-across-suspension
// needs guard
// A transaction has the lock of its database as a member, so nothing where it is awaited looks like a lock.
#include <belay/belay.hpp>

#include <mutex>
#include <string>
#include <vector>

namespace {

struct database {
    std::mutex mutex;
    std::vector<std::string> rows;
};

class transaction {
public:
    explicit transaction(database& db) : db_{db}, guard_{db.mutex} {}
    void insert(std::string row) { db_.rows.push_back(std::move(row)); }
    static belay::task<> commit() { co_await belay::yield(); }

private:
    database& db_;
    std::lock_guard<std::mutex> guard_;
};

belay::task<> transfer(database& db) {
    transaction changes{db};
    changes.insert("alice -10");
    changes.insert("bob +10");
    co_await changes.commit();  // <- here
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    database db;
    runtime.block_on(transfer(db));
    return 0;
}
