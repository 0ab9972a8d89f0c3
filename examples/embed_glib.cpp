// belay inside a GLib main loop, as in a GTK program: tasks run on the thread of the user interface, between its events, so that
// they may touch what belongs to it. Here the "user interface" is a GLib timer that counts frames. Ends by itself.
#include <belay/belay.hpp>

#include <glib-unix.h>
#include <glib.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <span>

namespace {

using namespace std::chrono_literals;
namespace io = belay::io;

/// What a window would show. Only the thread of the main loop touches it, hence no lock.
struct window {
    GMainLoop* loop = nullptr;
    int frames = 0;
    int downloads = 0;
};

belay::task<> serve_one(io::tcp_listener* listener) {
    auto peer = co_await listener->accept();
    co_await peer.write_all(std::as_bytes(std::span("hello", 5)));
}

belay::task<> download(io::endpoint from, window* shown) {
    auto stream = co_await io::tcp_stream::connect(from);
    std::array<std::byte, 5> text{};
    co_await stream.read_exact(text);
    co_await belay::sleep_for(5ms);  // the interface goes on drawing
    ++shown->downloads;
}

belay::task<> program(window* shown) {
    auto listener = io::tcp_listener::bind("127.0.0.1:0");
    for (int i = 0; i < 5; ++i) co_await belay::when_all(serve_one(&listener), download(listener.local(), shown));
    co_await belay::spawn_blocking([] {});  // work that a user interface must never do itself
}

/// However the program ends, the main loop does, too.
belay::task<> program_and_quit(window* shown) {
    co_await belay::finally(program(shown), [shown]() -> belay::task<> {
        g_main_loop_quit(shown->loop);
        co_return;
    });
}

gboolean poll_tasks(gint, GIOCondition, gpointer tasks) {
    // At most a millisecond, so that no frame is late; what is left makes the descriptor ready again.
    static_cast<belay::local_runtime*>(tasks)->poll({.max_time = 1ms});
    return G_SOURCE_CONTINUE;
}

gboolean draw(gpointer shown) {
    ++static_cast<window*>(shown)->frames;
    return G_SOURCE_CONTINUE;
}

}  // namespace

int main() {
    window shown;
    shown.loop = g_main_loop_new(nullptr, FALSE);
    belay::local_runtime tasks{{.name = "interface"}};
    guint frames = g_timeout_add(2, draw, &shown);
    guint belay_source = g_unix_fd_add(tasks.native_handle(), G_IO_IN, poll_tasks, &tasks);
    tasks.spawn(program_and_quit, &shown);

    g_main_loop_run(shown.loop);

    g_source_remove(belay_source);  // before the shutdown: the descriptor goes with the runtime
    g_source_remove(frames);
    bool clean = tasks.shutdown(5s).clean();
    g_main_loop_unref(shown.loop);
    std::printf("embed_glib: %d downloads while %d frames were drawn, on one thread; ended %s\n", shown.downloads, shown.frames,
                clean ? "cleanly" : "with tasks left");
    return clean && shown.downloads == 5 && shown.frames > 0 ? 0 : 1;
}
