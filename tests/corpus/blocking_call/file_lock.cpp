// reports blocking-call
// needs guard
// policy stall=off
// The spool directory is protected by flock(), which waits while another process is in there.
#include <belay/belay.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

namespace {

std::atomic<bool> asked{false};

void deliver(const std::string& lock_file) {
    int spool = ::open(lock_file.c_str(), O_RDWR | O_CLOEXEC);
    asked = true;
    ::flock(spool, LOCK_EX);
    ::close(spool);
}

belay::task<> deliver_mail(std::string lock_file) {
    co_await belay::yield();  // <- here
    deliver(lock_file);
}

}  // namespace

int main() {
    std::string path = std::filesystem::temp_directory_path() / ("belay_corpus_flock_" + std::to_string(::getpid()));
    int other = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    ::flock(other, LOCK_EX);
    {
        std::jthread other_process{[&] {
            while (!asked) std::this_thread::yield();
            std::this_thread::sleep_for(std::chrono::milliseconds{60});
            ::flock(other, LOCK_UN);
        }};
        belay::runtime runtime{{.workers = 1}};
        runtime.block_on(deliver_mail(path));
    }
    ::close(other);
    std::filesystem::remove(path);
    return 0;
}
