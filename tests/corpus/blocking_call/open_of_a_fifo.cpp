// reports blocking-call
// needs guard
// policy stall=off
// open() of a fifo waits until somebody opens the other end.
#include <belay/belay.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

namespace {

std::atomic<bool> asked{false};

belay::task<> receive_command(std::string path) {
    asked = true;
    int commands = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    ::close(commands);
    co_return;
}

}  // namespace

int main() {
    std::string path = std::filesystem::temp_directory_path() / ("belay_corpus_fifo_" + std::to_string(::getpid()));
    if (::mkfifo(path.c_str(), 0600) != 0) return 1;
    {
        std::jthread controller{[&] {
            while (!asked) std::this_thread::yield();
            std::this_thread::sleep_for(std::chrono::milliseconds{60});
            ::close(::open(path.c_str(), O_RDWR | O_CLOEXEC));
        }};
        belay::runtime runtime{{.workers = 1}};
        runtime.block_on(receive_command(path));  // <- here
    }
    std::filesystem::remove(path);
    return 0;
}
