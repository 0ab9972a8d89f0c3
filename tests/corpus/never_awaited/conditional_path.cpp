// reports never-awaited
// The write is prepared in any case, and awaited if there is something to write.
#include <belay/belay.hpp>

#include <string>
#include <utility>

namespace {

belay::task<> write_back(std::string) { co_await belay::yield(); }  // <- here

belay::task<> close_document(bool changed) {
    auto write = write_back("text");
    if (changed) co_await std::move(write);
}

}  // namespace

int main() {
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on([]() -> belay::task<> {
        co_await close_document(true);
        co_await close_document(false);
    });
    return 0;
}
