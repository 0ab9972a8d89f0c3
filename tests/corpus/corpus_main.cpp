// Runs one program of the corpus: corpus_guarded blocking_call/dns_lookup. Without an argument it lists them.
#include <cstdio>
#include <cstring>

#define CORPUS_PROGRAM(kind, name) int corpus_##kind##_##name();
#include "programs.inc"
#undef CORPUS_PROGRAM

namespace {

struct program {
    const char* name;
    int (*run)();
};

constexpr program programs[] = {
#define CORPUS_PROGRAM(kind, name) {#kind "/" #name, &corpus_##kind##_##name},
#include "programs.inc"
#undef CORPUS_PROGRAM
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        for (const auto& p : programs) std::puts(p.name);
        return 0;
    }
    for (const auto& p : programs)
        if (std::strcmp(p.name, argv[1]) == 0) return p.run();
    std::fprintf(stderr, "there is no program \"%s\"\n", argv[1]);
    return 2;
}
