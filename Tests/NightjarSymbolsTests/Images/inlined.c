// A program of known lines, so that a test can say which function was inlined where:
//
//     clang -O2 -gdwarf-5 -nostdlib -static -ffreestanding -Wl,--build-id,-z,noseparate-code inlined.c -o inlined-clang-5.bin
//
// and the same with gcc, and with -gdwarf-4; `stripped.bin` and `stripped.debug` are inlined-clang-5.bin parted by objcopy.
static volatile int sink;

__attribute__((noinline)) int leaf(int number) {
    sink = number;
    return sink;
}

static inline __attribute__((always_inline)) int inner(int number) {
    sink = number + 7;
    return leaf(sink) + leaf(number);
}

static inline __attribute__((always_inline)) int middle(int number) {
    sink = number + 3;
    return inner(number) + 1;
}

__attribute__((noinline)) int outer(int number) {
    sink = 5;
    return middle(number) * 3;
}

void _start(void) {
    outer(sink);
    for (;;) sink++;
}

// The images with -zlib in their names were packed by objcopy --compress-debug-sections=zlib.
