// What a test asks of the simulated disks.
#include <belay/io/sim/disks.hpp>
#include <belay/io/sim/network.hpp>
#include <belay/io/sim/sim_driver.hpp>
#include <belay/runtime/detail/core.hpp>
#include <belay/runtime/simulation.hpp>

#include <stdexcept>

namespace belay::io {

sim_files& sim_files::of(simulation& sim) {
    return static_cast<belay::detail::sim_driver&>(*sim.core().io).network().files.control;
}

void sim_files::set_faults(const file_fault_options& faults) noexcept { disks_.faults = faults; }
void sim_files::set_disk(const disk_options& options) { disks_.add("/", options); }
void sim_files::add_disk(std::string_view path, const disk_options& options) {
    if (!path.starts_with('/'))
        throw std::invalid_argument("belay: sim_files::add_disk: " + std::string{path} + " is not an absolute path");
    disks_.add(path, options);
}
void sim_files::fail_next(file_call call, int error) { disks_.scripted[call].push_back(error); }
void sim_files::crash(std::string_view disk) { disks_.crash(disks_.at(disk)); }
void sim_files::restart(std::string_view disk) { disks_.at(disk).crashed = false; }

bool sim_files::exists(std::string_view path) const { return disks_.find(path) != nullptr; }
std::string sim_files::contents(std::string_view path) const {
    const sim::inode* found = disks_.find(path);
    if (found == nullptr || found->is_directory)
        throw std::invalid_argument("belay: sim_files::contents: there is no file " + std::string{path});
    return found->now;
}
void sim_files::put(std::string_view path, std::string contents) { disks_.put(path, std::move(contents)); }
std::size_t sim_files::open_files() const noexcept { return disks_.open_files(); }

}  // namespace belay::io
