// What the tests of simulated I/O share.
#pragma once

#include <belay/runtime/task.hpp>

#include <system_error>
#include <utility>

namespace belay::io {

/// The errno of what the task throws, or 0.
template <class T>
task<int> error_of(task<T> work) {
    try {
        co_await std::move(work);
    } catch (const std::system_error& error) {
        co_return error.code().value();
    }
    co_return 0;
}

}  // namespace belay::io
