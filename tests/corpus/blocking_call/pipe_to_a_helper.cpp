// reports blocking-call
// needs guard
// policy stall=off
// Questions go to a helper through one pipe, and the answer is read from another: read() waits for it.
#include <belay/belay.hpp>

#include <unistd.h>

#include <array>
#include <chrono>
#include <thread>

namespace {

struct pipe_ends {
    std::array<int, 2> fds{-1, -1};
    pipe_ends() { (void)!::pipe(fds.data()); }
    pipe_ends(const pipe_ends&) = delete;
    pipe_ends& operator=(const pipe_ends&) = delete;
    ~pipe_ends() {
        ::close(fds[0]);
        ::close(fds[1]);
    }
};

belay::task<char> ask(int question, int answer) {
    co_await belay::yield();  // <- here
    char text = '?';
    (void)!::write(question, &text, 1);
    (void)!::read(answer, &text, 1);
    co_return text;
}

}  // namespace

int main() {
    pipe_ends question;
    pipe_ends answer;
    std::jthread helper{[&] {
        char text = 0;
        (void)!::read(question.fds[0], &text, 1);
        std::this_thread::sleep_for(std::chrono::milliseconds{60});
        (void)!::write(answer.fds[1], "!", 1);
    }};
    belay::runtime runtime{{.workers = 1}};
    runtime.block_on(ask(question.fds[1], answer.fds[0]));
    return 0;
}
