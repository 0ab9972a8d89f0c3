#include <belay/observability/impl/symbols.hpp>

#include <belay/observability/impl/source_text.hpp>

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

namespace belay::detail {
namespace {

struct module_at {
    bool found = false;
    std::uint64_t base = 0;  // what was added to the file's addresses
    const char* path = "";
};

module_at find_module(std::uint64_t address) noexcept {
    auto* pointer = reinterpret_cast<void*>(address);
#ifdef DLFO_STRUCT_HAS_EH_DBASE  // glibc 2.35 and later: lock-free
    dl_find_object found{};
    if (_dl_find_object(pointer, &found) != 0 || found.dlfo_link_map == nullptr) return {};
    return {true, found.dlfo_link_map->l_addr, found.dlfo_link_map->l_name};
#else
    Dl_info info{};
    link_map* map = nullptr;
    if (dladdr1(pointer, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) == 0 || map == nullptr) return {};
    return {true, map->l_addr, map->l_name};
#endif
}

class mapped_file {
public:
    explicit mapped_file(const char* path) noexcept {
        int fd = ::open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return;
        struct stat info{};
        if (::fstat(fd, &info) == 0 && info.st_size > 0) {
            void* at = ::mmap(nullptr, static_cast<std::size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
            if (at != MAP_FAILED) {
                bytes_ = static_cast<const char*>(at);
                size_ = static_cast<std::size_t>(info.st_size);
            }
        }
        ::close(fd);
    }
    mapped_file(const mapped_file&) = delete;
    mapped_file& operator=(const mapped_file&) = delete;
    ~mapped_file() {
        if (bytes_ != nullptr) ::munmap(const_cast<char*>(bytes_), size_);
    }

    /// `count` objects at `offset`, or null if the file is too short for them.
    template <class T>
    [[nodiscard]] const T* at(std::uint64_t offset, std::uint64_t count = 1) const noexcept {
        if (bytes_ == nullptr || offset % alignof(T) != 0 || offset > size_ || count > (size_ - offset) / sizeof(T))
            return nullptr;
        return reinterpret_cast<const T*>(bytes_ + offset);
    }
    /// The zero-terminated text at `offset`; empty if there is none.
    [[nodiscard]] const char* text(std::uint64_t offset) const noexcept {
        if (offset >= size_ || std::memchr(bytes_ + offset, 0, size_ - offset) == nullptr) return "";
        return bytes_ + offset;
    }

private:
    const char* bytes_ = nullptr;
    std::size_t size_ = 0;
};

using elf_header = ElfW(Ehdr);
using elf_section = ElfW(Shdr);
using elf_segment = ElfW(Phdr);
using elf_note = ElfW(Nhdr);
using elf_symbol = ElfW(Sym);

// The function that covers `address` in one symbol table, or null.
const char* search(const mapped_file& file, const elf_section& table, const elf_section& strings,
                   std::uint64_t address) noexcept {
    auto count = table.sh_size / sizeof(elf_symbol);
    const auto* symbols = file.at<elf_symbol>(table.sh_offset, count);
    if (symbols == nullptr) return nullptr;
    for (std::size_t i = 0; i < count; ++i) {
        const auto& s = symbols[i];
        if ((s.st_info & 15U) != STT_FUNC || s.st_shndx == SHN_UNDEF) continue;
        if (address < s.st_value || address >= s.st_value + s.st_size) continue;
        return file.text(strings.sh_offset + s.st_name);
    }
    return nullptr;
}

// Null if it is no ELF file of this machine's kind.
const elf_header* header_of(const mapped_file& file) noexcept {
    const auto* header = file.at<elf_header>(0);
    bool is_elf = header != nullptr && std::memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
                  header->e_ident[EI_CLASS] == (sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32);
    return is_elf ? header : nullptr;
}

// The note that the linker makes with --build-id, in hexadecimal; empty when there is none.
std::string build_id_of(const mapped_file& file) {
    const auto* header = header_of(file);
    if (header == nullptr || header->e_phentsize != sizeof(elf_segment)) return {};
    const auto* segments = file.at<elf_segment>(header->e_phoff, header->e_phnum);
    for (unsigned i = 0; segments != nullptr && i < header->e_phnum; ++i) {
        if (segments[i].p_type != PT_NOTE) continue;
        auto end = segments[i].p_offset + segments[i].p_filesz;
        auto aligned = [](std::uint64_t size) { return (size + 3) & ~std::uint64_t{3}; };
        for (auto at = segments[i].p_offset; at + sizeof(elf_note) <= end;) {
            const auto* note = file.at<elf_note>(at);
            if (note == nullptr) return {};
            auto name = at + sizeof(elf_note);
            auto content = name + aligned(note->n_namesz);
            const auto* bytes = file.at<unsigned char>(content, note->n_descsz);
            if (note->n_type == NT_GNU_BUILD_ID && std::strcmp(file.text(name), "GNU") == 0 && bytes != nullptr) {
                std::string id;
                constexpr std::string_view digits = "0123456789abcdef";
                for (std::uint64_t b = 0; b < note->n_descsz; ++b) id.append({digits[bytes[b] >> 4U], digits[bytes[b] & 15U]});
                return id;
            }
            at = content + aligned(note->n_descsz);
        }
    }
    return {};
}

std::string function_at(const mapped_file& file, std::uint64_t address) {
    const auto* header = header_of(file);
    if (header == nullptr || header->e_shentsize != sizeof(elf_section)) return "?";
    const auto* sections = file.at<elf_section>(header->e_shoff, header->e_shnum);
    if (sections == nullptr) return "?";
    for (auto wanted : {SHT_SYMTAB, SHT_DYNSYM}) {  // the full table first; a stripped file has only the other
        for (unsigned i = 0; i < header->e_shnum; ++i) {
            if (sections[i].sh_type != static_cast<unsigned>(wanted) || sections[i].sh_link >= header->e_shnum) continue;
            if (const char* name = search(file, sections[i], sections[sections[i].sh_link], address)) return demangled(name);
        }
    }
    return "?";
}

std::string base_name(const char* path) {
    std::array<char, 4096> program{};
    if (path[0] == '\0') {
        auto n = ::readlink("/proc/self/exe", program.data(), program.size() - 1);
        path = n > 0 ? program.data() : "program";
    }
    std::string_view all{path};
    auto slash = all.rfind('/');
    return std::string{slash == std::string_view::npos ? all : all.substr(slash + 1)};
}

}  // namespace

bool is_module_address(std::uint64_t address) noexcept { return find_module(address).found; }

std::uint64_t module_offset(std::uint64_t address) noexcept {
    auto module = find_module(address);
    return module.found ? address - module.base : 0;
}

report_frame symbolise(std::uint64_t address) {
    std::array<char, 32> offset{};
    auto module = find_module(address);
    if (!module.found) {
        std::snprintf(offset.data(), offset.size(), "0x%lx", static_cast<unsigned long>(address));
        return {"?", offset.data(), "", false, ""};
    }
    std::snprintf(offset.data(), offset.size(), "+0x%lx", static_cast<unsigned long>(address - module.base));
    mapped_file file{module.path[0] == '\0' ? "/proc/self/exe" : module.path};
    auto function = function_at(file, address - module.base);
    return {function_text(function), base_name(module.path) + offset.data(), "", false, build_id_of(file)};
}

}  // namespace belay::detail
