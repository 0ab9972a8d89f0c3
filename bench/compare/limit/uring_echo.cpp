// The physical limit, completion flavour: one thread, DEFER_TASKRUN, multishot accept, one-shot RECV and SEND, and everything
// that a turn produced is submitted with the wait for the next turn, in one io_uring_enter. No spinning.
#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/tcp.h>

#include <cstdint>
#include <cstdio>

namespace {

struct connection {
    enum class state : std::uint8_t { receiving, sending };
    int fd;
    state doing = state::receiving;
    char buffer[4096];
};

io_uring ring;

io_uring_sqe* next_sqe() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring);
    if (sqe == nullptr) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    return sqe;
}

void receive(connection* c) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_recv(sqe, c->fd, c->buffer, sizeof c->buffer, 0);
    io_uring_sqe_set_data(sqe, c);
    c->doing = connection::state::receiving;
}

void send(connection* c, unsigned bytes) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_send(sqe, c->fd, c->buffer, bytes, MSG_NOSIGNAL | MSG_WAITALL);
    io_uring_sqe_set_data(sqe, c);
    c->doing = connection::state::sending;
}

void accept_all(int listener) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_multishot_accept(sqe, listener, nullptr, nullptr, 0);
    io_uring_sqe_set_data(sqe, nullptr);
}

}  // namespace

int main() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener, 4096) != 0)
        return std::perror("listen"), 1;
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);

    io_uring_params parameters{};
    parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
    parameters.cq_entries = 4096;
    if (io_uring_queue_init_params(1024, &ring, &parameters) != 0) return std::perror("io_uring"), 1;
    accept_all(listener);
    std::printf("{\"port\":%d}\n", ntohs(address.sin_port));
    std::fflush(stdout);

    for (;;) {
        io_uring_submit_and_wait(&ring, 1);
        unsigned head, seen = 0;
        io_uring_cqe* cqe;
        io_uring_for_each_cqe(&ring, head, cqe) {
            ++seen;
            auto* c = static_cast<connection*>(io_uring_cqe_get_data(cqe));
            if (c == nullptr) {
                if (cqe->res >= 0) {
                    setsockopt(cqe->res, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                    receive(new connection{.fd = cqe->res, .buffer = {}});
                }
                if (!(cqe->flags & IORING_CQE_F_MORE)) accept_all(listener);
            } else if (cqe->res <= 0) {
                close(c->fd);
                delete c;
            } else if (c->doing == connection::state::receiving) {
                send(c, static_cast<unsigned>(cqe->res));
            } else {
                receive(c);
            }
        }
        io_uring_cq_advance(&ring, seen);
    }
}
