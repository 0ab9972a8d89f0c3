#include <belay/runtime/detail/task_list.hpp>

#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/detail/snapshot.hpp>
#include <belay/runtime/detail/wait_sources.hpp>
#include <belay/runtime/operation.hpp>
#include <belay/runtime/scope.hpp>

#include <source_location>
#include <string_view>
#include <vector>

namespace belay::detail {
namespace {

constexpr std::size_t most_listed = 200;

std::string place(std::source_location at) {
    std::string_view file = at.file_name();
    return std::string{file.substr(file.rfind('/') + 1)} + ':' + std::to_string(at.line());
}

/// The innermost frame that is not the library's own.
const std::source_location* users_frame(const task_snapshot& task) {
    for (std::size_t i = 0; i < task.depth; ++i) {
        if (!is_own_code(task.stack[i])) return &task.stack[i];
    }
    return task.depth != 0 ? &task.stack[0] : nullptr;
}

std::string describe(const record& rec, std::size_t depth) {
    task_snapshot task;
    snapshot_record(rec, task);
    std::string line(2 + 2 * depth, ' ');
    line += "task " + std::to_string(task.id);
    if (task.name[0] != '\0') line += std::string{" \""} + task.name.data() + '"';
    line += ", spawned at " + place(task.spawned) + ", waits on " + task.waiting_on;
    if (const std::source_location* at = users_frame(task)) line += " at " + place(*at);
    return line + '\n';
}

}  // namespace

bool is_own_code(std::source_location at) noexcept {
    std::string_view file = at.file_name();
    for (std::string_view room : {"belay/runtime/", "belay/sync/", "belay/io/", "belay/tests/kit/"})
        if (file.find(room) != file.npos) return true;
    return false;
}

std::string list_tasks(const runtime_core& core) {
    struct entry {
        const record* rec;
        std::size_t depth;
    };
    std::string text;
    wait_sources sources;
    scope_access::list_children(*core.root, sources);
    std::vector<entry> open;
    for (std::size_t i = sources.size(); i > 0; --i) open.push_back({static_cast<const record*>(sources[i - 1].at), 0});
    std::size_t listed = 0;
    for (; !open.empty(); ++listed) {
        auto [rec, depth] = open.back();
        open.pop_back();
        if (listed >= most_listed) continue;
        text += describe(*rec, depth);
        auto word = rec->slot.load(std::memory_order_acquire);  // pairs with suspend_on(): the operation is visible
        if (word <= record::completed || (word & (record::claimed_bit | record::released_bit)) != 0) continue;
        wait_sources below;
        reinterpret_cast<operation*>(word)->waits_for(below);
        for (std::size_t i = below.size(); i > 0; --i) {
            const auto& source = below[i - 1];
            bool own = source.what != wait_sources::kind::handle && source.what != wait_sources::kind::end;
            if (own) open.push_back({static_cast<const record*>(source.at), depth + 1});
        }
    }
    if (listed > most_listed) text += "  and " + std::to_string(listed - most_listed) + " more\n";
    return text;
}

}  // namespace belay::detail
