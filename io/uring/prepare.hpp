// Translates a neutral io_request into a submission queue entry. Private to io/uring.
#pragma once

#include <belay/runtime/driver.hpp>

struct io_uring_sqe;

namespace belay::detail::uring {

void prepare(io_uring_sqe& sqe, const io_request& request, std::uint64_t user_data) noexcept;
/// Waits until `request` can make progress, without doing it: for files that answer -EAGAIN instead of waiting.
void prepare_readiness(io_uring_sqe& sqe, const io_request& request, std::uint64_t user_data) noexcept;
void prepare_cancel(io_uring_sqe& sqe, std::uint64_t target, std::uint64_t user_data) noexcept;
void prepare_multishot_poll(io_uring_sqe& sqe, int fd, std::uint64_t user_data) noexcept;

enum class retry : std::uint8_t { no, at_once, when_ready };
/// What to do about a result that says that nothing happened although nobody asked for a stop.
[[nodiscard]] retry retry_after(const io_request& request, std::int32_t result) noexcept;
/// The CQE's flags say that more can be received, or that the ring's poll stays armed.
[[nodiscard]] bool socket_nonempty(std::uint32_t cqe_flags) noexcept;
[[nodiscard]] bool has_more(std::uint32_t cqe_flags) noexcept;

}  // namespace belay::detail::uring
