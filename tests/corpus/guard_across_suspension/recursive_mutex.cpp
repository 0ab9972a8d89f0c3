// reports guard-across-suspension
// needs guard
// The inner function gives its recursive_mutex back before it awaits. The outer one has locked it too.
#include <belay/belay.hpp>

#include <mutex>
#include <string>
#include <vector>

namespace {

class document {
public:
    belay::task<> append(std::string line) {
        {
            std::lock_guard lock{mutex_};
            lines_.push_back(std::move(line));
        }
        co_await belay::yield();  // <- here
    }
    belay::task<> append_twice(std::string line) {
        std::lock_guard lock{mutex_};
        co_await append(line);
        co_await append(line);
    }

private:
    std::recursive_mutex mutex_;
    std::vector<std::string> lines_;
};

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    document letter;
    runtime.block_on(letter.append_twice("yours"));
    return 0;
}
