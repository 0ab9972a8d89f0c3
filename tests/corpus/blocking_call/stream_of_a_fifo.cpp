// reports blocking-call
// needs guard
// policy stall=off
// A std::ifstream on a fifo: the read() is inside the standard library, and waits for the one who writes.
#include <belay/belay.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace {

std::atomic<bool> asked{false};

belay::task<std::string> first_line(std::string path) {
    std::ifstream in{path};
    asked = true;
    std::string line;
    std::getline(in, line);
    co_return line;
}

belay::task<> follow(std::string path) {
    auto line = co_await first_line(path);  // <- here
}

}  // namespace

int main() {
    std::string path = std::filesystem::temp_directory_path() / ("belay_corpus_stream_" + std::to_string(::getpid()));
    if (::mkfifo(path.c_str(), 0600) != 0) return 1;
    {
        int writer = ::open(path.c_str(), O_RDWR | O_CLOEXEC);  // so that nobody waits for the other end
        std::jthread logger{[&] {
            while (!asked) std::this_thread::yield();
            std::this_thread::sleep_for(std::chrono::milliseconds{60});
            (void)!::write(writer, "started\n", 8);
        }};
        belay::runtime runtime{{.workers = 1}};
        runtime.block_on(follow(path));
        logger.join();
        ::close(writer);
    }
    std::filesystem::remove(path);
    return 0;
}
