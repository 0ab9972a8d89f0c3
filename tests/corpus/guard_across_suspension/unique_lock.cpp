// reports guard-across-suspension
// needs guard
// A cache keeps its std::mutex locked while it fetches what it does not have.
#include <belay/belay.hpp>

#include <chrono>
#include <map>
#include <mutex>
#include <string>

namespace {

class page_cache {
public:
    belay::task<std::string> get(std::string key) {
        std::unique_lock lock{mutex_};
        if (auto found = pages_.find(key); found != pages_.end()) co_return found->second;
        auto page = co_await fetch(key);  // <- here
        pages_.emplace(key, page);
        co_return page;
    }

private:
    static belay::task<std::string> fetch(std::string key) {
        co_await belay::sleep_for(std::chrono::milliseconds{1});
        co_return "page of " + key;
    }
    std::mutex mutex_;
    std::map<std::string, std::string> pages_;
};

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    page_cache cache;
    runtime.block_on(cache.get("index"));
    return 0;
}
