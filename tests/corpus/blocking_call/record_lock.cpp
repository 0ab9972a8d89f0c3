// reports blocking-call
// needs guard
// policy stall=off
// A record of a file is locked with fcntl(F_OFD_SETLKW): the W is for wait.
#include <belay/belay.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

namespace {

std::atomic<bool> asked{false};

void set_lock(int fd, short type) {
    struct flock record{};
    record.l_type = type;
    record.l_whence = SEEK_SET;
    record.l_len = 64;
    ::fcntl(fd, F_OFD_SETLKW, &record);
}

belay::task<> update_record(std::string path) {
    int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    asked = true;
    set_lock(fd, F_WRLCK);
    ::close(fd);
    co_return;
}

}  // namespace

int main() {
    std::string path = std::filesystem::temp_directory_path() / ("belay_corpus_record_" + std::to_string(::getpid()));
    int other = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    set_lock(other, F_WRLCK);
    {
        std::jthread other_process{[&] {
            while (!asked) std::this_thread::yield();
            std::this_thread::sleep_for(std::chrono::milliseconds{60});
            set_lock(other, F_UNLCK);
        }};
        belay::runtime runtime{{.workers = 1}};
        runtime.block_on(update_record(path));  // <- here
    }
    ::close(other);
    std::filesystem::remove(path);
    return 0;
}
