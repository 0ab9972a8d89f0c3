// reports never-awaited
// A session prepares its farewell as a member when it begins, and ends without saying it.
#include <belay/belay.hpp>

#include <string>
#include <utility>

namespace {

belay::task<> farewell(std::string) { co_await belay::yield(); }  // <- here

class session {
public:
    explicit session(std::string user) : log_out_{farewell(std::move(user))} {}
    static belay::task<> run() { co_await belay::yield(); }

private:
    belay::task<> log_out_;
};

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 2}};
    runtime.block_on([]() -> belay::task<> {
        session alice{"alice"};
        co_await alice.run();
    });
    return 0;
}
