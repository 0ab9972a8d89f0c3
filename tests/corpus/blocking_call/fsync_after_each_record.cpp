// reports blocking-call
// needs guard
// policy stall=off,block=log:any
// A journal makes each record durable with fsync(), which waits for the disk. (Here every call counts: the temporary directory
// may be in memory.)
#include <belay/belay.hpp>

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace {

class journal {
public:
    journal() : path_{std::filesystem::temp_directory_path() / "belay_corpus_XXXXXX"}, fd_{::mkstemp(path_.data())} {}
    journal(const journal&) = delete;
    journal& operator=(const journal&) = delete;
    ~journal() {
        ::close(fd_);
        ::unlink(path_.c_str());
    }
    void add(const std::string& record) const {
        (void)!::write(fd_, record.data(), record.size());
        ::fsync(fd_);
    }

private:
    std::string path_;
    int fd_;
};

belay::task<> commit(const journal& to, int id) {
    co_await belay::yield();  // <- here
    to.add("commit " + std::to_string(id) + "\n");
}

}  // namespace

int main() {
    journal to;
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(commit(to, 1));
    return 0;
}
