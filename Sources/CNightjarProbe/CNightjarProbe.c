#include "CNightjarProbe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(struct nj_slot) == 1024, "the wire says 1024 bytes a slot");
_Static_assert(offsetof(struct nj_slot, state) == 64, "the watchdog's half begins at 64");
_Static_assert(offsetof(struct nj_slot, name) == 192, "the name lies at 192");
_Static_assert(offsetof(struct nj_slot, open_since) == 640, "the open stall lies at 640");

static __thread pid_t own_tid;
static __thread uint64_t own_stack_low, own_stack_high;

uint64_t nj_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t nj_load64(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
void nj_store64(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
uint32_t nj_load32(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
void nj_store32(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

// Once a thread: where its stack lies. On the main thread glibc reads /proc/self/maps for it.
static void __attribute__((noinline)) learn_thread(void) {
    int saved = errno;
    pthread_attr_t attributes;
    void *low;
    size_t size;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        if (pthread_attr_getstack(&attributes, &low, &size) == 0) {
            own_stack_low = (uint64_t)(uintptr_t)low;
            own_stack_high = own_stack_low + size;
        }
        pthread_attr_destroy(&attributes);
    }
    own_tid = (pid_t)syscall(SYS_gettid);
    errno = saved;
}

void nj_beat(struct nj_slot *slot, uint64_t answered) {
    if (own_tid == 0) learn_thread();
    if (__atomic_load_n(&slot->tid, __ATOMIC_RELAXED) != (uint32_t)own_tid) {
        __atomic_store_n(&slot->stack_low, own_stack_low, __ATOMIC_RELAXED);
        __atomic_store_n(&slot->stack_high, own_stack_high, __ATOMIC_RELAXED);
        __atomic_store_n(&slot->tid, (uint32_t)own_tid, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&slot->beat, nj_now(), __ATOMIC_RELAXED);
    if (answered != 0) __atomic_store_n(&slot->answered, answered, __ATOMIC_RELEASE);
}

pid_t nj_own_tid(void) {
    if (own_tid == 0) learn_thread();
    return own_tid;
}

// ---- capture -------------------------------------------------------------------------------------------------------
//
//     watchdog                         target thread
//     token = new, state = asked
//     rt_tgsigqueueinfo(token) ──────▶ handler: token ours? state asked → copying, copy, copying → done
//     naps until done                  (a late handler finds another token or state and does nothing)

enum { idle, asked, copying, done };

// A thread that has not answered for so long (ns) may have ended.
static const uint64_t question_lasts = 2000000000;

static const uint64_t token_mark = 0x4E6A000000000000u; // the upper 16 bits of every token

// Several questions may be open at once: on a machine without a free processor an answer takes its time, and loops must
// not take turns in withdrawing each other's.
enum { desks = 4 };

struct desk {
    struct nj_capture capture;
    uint32_t state;
    uint64_t token;
    uint64_t asked_at, low, high;
    pid_t tid;
    uint64_t purpose;
};

static struct desk all_desks[desks];
static struct nj_capture peeked;
static uint8_t *peek_stack;
static struct sigaction former;
static uint32_t installed;

// /proc/self/mem, for where process_vm_readv is refused (system call filters of containers); -1 = not needed or not there.
static int own_memory = -1;
static struct nj_descriptor own_memory_file = {-1, 0, 0};

// Reads until the first page that is not mapped. Safe in a signal handler.
static ssize_t read_own(uint64_t address, void *buffer, size_t length) {
    int file = __atomic_load_n(&own_memory, __ATOMIC_RELAXED);
    if (file >= 0) return pread(file, buffer, length, (off_t)address);
    enum { page = 4096, most = nj_capture_bytes / 4096 + 2 };
    struct iovec remote[most];
    unsigned long pieces = 0;
    size_t wanted = 0;
    while (wanted < length && pieces < most) {
        uint64_t at = address + wanted;
        size_t piece = page - (size_t)(at & (page - 1));
        if (piece > length - wanted) piece = length - wanted;
        remote[pieces].iov_base = (void *)(uintptr_t)at;
        remote[pieces].iov_len = piece;
        pieces++;
        wanted += piece;
    }
    struct iovec local = {buffer, wanted};
    return syscall(SYS_process_vm_readv, (long)getpid(), &local, 1UL, remote, pieces, 0UL);
}

// 0, or -1 where this process may not read its own memory by a call that survives unmapped pages.
static int find_reader(void) {
    uint64_t word = 1, copy = 0;
    for (int attempt = 0; attempt < 2; attempt++) {
        if (read_own((uint64_t)(uintptr_t)&word, &copy, sizeof copy) == sizeof copy && copy == word) return 0;
        if (attempt > 0) continue;
        own_memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
        own_memory_file = nj_note(own_memory);
    }
    return -1;
}

int nj_read_own(uint64_t address, void *buffer, size_t length) {
    return length <= nj_capture_bytes && read_own(address, buffer, length) == (ssize_t)length;
}

static void copy_registers(struct nj_capture *capture, const ucontext_t *context) {
#if defined(__x86_64__)
    static const int order[16] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP,
                                  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    for (int i = 0; i < 16; i++) capture->registers[i] = (uint64_t)context->uc_mcontext.gregs[order[i]];
    capture->program_counter = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
    capture->registers[16] = capture->program_counter;
    capture->register_count = 17;
    capture->stack_low = (uint64_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    for (int i = 0; i < 31; i++) capture->registers[i] = context->uc_mcontext.regs[i];
    capture->registers[31] = context->uc_mcontext.sp;
    capture->program_counter = context->uc_mcontext.pc;
    capture->register_count = 32;
    capture->stack_low = context->uc_mcontext.sp;
#else
#error "stack capture knows x86_64 and arm64"
#endif
}

static void copy_thread(struct desk *desk, const ucontext_t *context) {
    struct nj_capture *capture = &desk->capture;
    copy_registers(capture, context);
    uint64_t low = capture->stack_low;
    if (low >= desk->low && low < desk->high) {
        uint64_t length = desk->high - low;
        if (length > nj_capture_bytes) length = nj_capture_bytes;
        memcpy(capture->stack, (const void *)(uintptr_t)low, length);
        capture->stack_bytes = length;
    } else {
        ssize_t got = read_own(low, capture->stack, nj_capture_bytes);
        capture->stack_bytes = got > 0 ? (uint64_t)got : 0;
    }
}

static void pass_on(int number, siginfo_t *info, void *context) {
    if (former.sa_flags & SA_SIGINFO) {
        if (former.sa_sigaction) former.sa_sigaction(number, info, context);
    } else if (former.sa_handler == SIG_DFL) {
        // Somebody sent a plain SIGPROF and nobody handles it: what would have happened without us happens.
        struct sigaction fallback = {.sa_handler = SIG_DFL};
        sigaction(number, &fallback, NULL);
        raise(number);
    } else if (former.sa_handler != SIG_IGN) {
        former.sa_handler(number);
    }
}

static void handle(int number, siginfo_t *info, void *context) {
    int saved = errno;
    uint64_t token = info ? (uint64_t)(uintptr_t)info->si_value.sival_ptr : 0;
    if (info == NULL || info->si_code != SI_QUEUE || info->si_pid != getpid() || token >> 48 != token_mark >> 48) {
        pass_on(number, info, context);
    } else {
        struct desk *desk = &all_desks[token % desks];
        uint32_t expected = asked;
        if (token == __atomic_load_n(&desk->token, __ATOMIC_ACQUIRE)
            && __atomic_compare_exchange_n(&desk->state, &expected, copying, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            desk->capture.delay_us = (uint32_t)((nj_now() - desk->asked_at) / 1000);
            copy_thread(desk, context);
            __atomic_store_n(&desk->state, done, __ATOMIC_RELEASE);
        }
    }
    errno = saved;
}

static uint8_t *stack_buffer(void) {
    void *memory = mmap(NULL, nj_capture_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static uint32_t reads_own; // 0 = not tried yet, 1 = no, 2 = yes

int nj_reads_own(void) {
    uint32_t known = __atomic_load_n(&reads_own, __ATOMIC_ACQUIRE);
    if (known == 0) {
        known = find_reader() == 0 ? 2 : 1;
        __atomic_store_n(&reads_own, known, __ATOMIC_RELEASE);
    }
    return known == 2;
}

int nj_capture_install(void) {
    nj_reads_own();
    if (__atomic_load_n(&installed, __ATOMIC_ACQUIRE)) return 0;
    for (int i = 0; i < desks; i++) {
        if (all_desks[i].capture.stack == NULL) all_desks[i].capture.stack = stack_buffer();
        if (all_desks[i].capture.stack == NULL) return -1;
    }
    if (peek_stack == NULL) peek_stack = stack_buffer();
    if (peek_stack == NULL) return -1;
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    if (sigaction(SIGPROF, &action, &former) != 0) return -1;
    __atomic_store_n(&installed, 1, __ATOMIC_RELEASE);
    return 0;
}

int nj_capture_is_ours(void) {
    struct sigaction current;
    return sigaction(SIGPROF, NULL, &current) == 0 && (current.sa_flags & SA_SIGINFO) && current.sa_sigaction == handle;
}

void nj_capture_remove(void) {
    if (__atomic_exchange_n(&installed, 0, __ATOMIC_ACQ_REL) == 0 || !nj_capture_is_ours()) return;
    sigaction(SIGPROF, &former, NULL);
}

void nj_nap(long nanoseconds) {
    struct timespec time = {0, nanoseconds};
    nanosleep(&time, NULL);
}

uint64_t nj_thread_time(pid_t tid) {
    // The clock of a thread by its id, as pthread_getcpuclockid(3) makes it.
    struct timespec time;
    if (clock_gettime((clockid_t)(~(clockid_t)tid << 3 | 6), &time) != 0) return 0;
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// Sends the signal with a new token. 0, or -1 where the thread is gone.
static int ask(struct desk *desk) {
    static uint64_t counter;
    desk->asked_at = nj_now();
    counter += desks;
    uint64_t token = token_mark | ((counter + (uint64_t)(desk - all_desks)) & 0xFFFFFFFFFFFFu);
    __atomic_store_n(&desk->state, asked, __ATOMIC_RELEASE);
    __atomic_store_n(&desk->token, token, __ATOMIC_RELEASE);

    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = SIGPROF;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = (void *)(uintptr_t)token;
    return (int)syscall(SYS_rt_tgsigqueueinfo, (long)getpid(), (long)desk->tid, (long)SIGPROF, &info);
}

// The desk on which this question lies already, else one that nobody uses: idle, or with an answer that nobody fetched,
// or with a question so old that its thread may have ended.
static struct desk *find_desk(pid_t tid, uint64_t purpose) {
    for (int i = 0; purpose != 0 && i < desks; i++) {
        struct desk *desk = &all_desks[i];
        if (desk->tid == tid && desk->purpose == purpose && __atomic_load_n(&desk->state, __ATOMIC_ACQUIRE) != idle) return desk;
    }
    uint64_t now = nj_now();
    for (int i = 0; i < desks; i++) {
        struct desk *desk = &all_desks[i];
        uint32_t state = __atomic_load_n(&desk->state, __ATOMIC_ACQUIRE);
        // A handler that was interrupted in the middle of its copy keeps the buffer.
        if (state == copying || (state == asked && now - desk->asked_at < question_lasts)) continue;
        if (state == done && desk->purpose != 0 && now - desk->asked_at < question_lasts) continue;
        uint32_t expected = asked;
        if (state == asked && !__atomic_compare_exchange_n(&desk->state, &expected, idle, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            continue;
        __atomic_store_n(&desk->state, idle, __ATOMIC_RELEASE);
        return desk;
    }
    return NULL;
}

const struct nj_capture *nj_capture_thread(
    pid_t tid, uint64_t purpose, uint64_t stack_low, uint64_t stack_high, uint32_t patience_us) {
    if (!__atomic_load_n(&installed, __ATOMIC_ACQUIRE) || !nj_capture_is_ours()) return NULL;
    struct desk *desk = find_desk(tid, purpose);
    if (desk == NULL) return NULL;
    if (__atomic_load_n(&desk->state, __ATOMIC_ACQUIRE) == idle) {
        desk->tid = tid;
        desk->purpose = purpose;
        desk->low = stack_low;
        desk->high = stack_high;
        if (ask(desk) != 0) {
            __atomic_store_n(&desk->state, idle, __ATOMIC_RELEASE);
            return NULL;
        }
    }
    uint64_t until = nj_now() + (uint64_t)patience_us * 1000u;
    while (__atomic_load_n(&desk->state, __ATOMIC_ACQUIRE) != done) {
        if (nj_now() >= until) return NULL;
        nj_nap(50000);
    }
    // Nobody writes into the buffer until the next question is asked on it.
    __atomic_store_n(&desk->state, idle, __ATOMIC_RELEASE);
    return &desk->capture;
}

const struct nj_capture *nj_peek_thread(uint64_t stack_pointer, uint64_t program_counter, uint64_t stack_high) {
    if (peek_stack == NULL) return NULL;
    size_t length = nj_capture_bytes;
    if (stack_high > stack_pointer && stack_high - stack_pointer < length) length = stack_high - stack_pointer;
    ssize_t got = read_own(stack_pointer, peek_stack, length);
    if (got <= 0) return NULL;
    peeked.register_count = 0;
    peeked.delay_us = 0;
    peeked.program_counter = program_counter;
    peeked.stack_low = stack_pointer;
    peeked.stack_bytes = (uint64_t)got;
    peeked.stack = peek_stack;
    return &peeked;
}

// ---- thread, page, fork --------------------------------------------------------------------------------------------

struct start {
    void (*body)(void *);
    void *argument;
};

static void *run(void *pointer) {
    struct start *start = pointer;
    pthread_setname_np(pthread_self(), "nightjar-probe");
    start->body(start->argument);
    return NULL;
}

int nj_thread_start(void (*body)(void *), void *argument) {
    static struct start start; // one watchdog a process
    start.body = body;
    start.argument = argument;
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error) return error;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 1 << 20);
    // The new thread inherits the mask: no signal of the service is delivered to it. What libdispatch leaves open stays
    // open, because a worker that is born when we ping a queue inherits our mask in turn and only ever adds to it.
    static const int open_signals[] = {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGPIPE, SIGPROF};
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof open_signals / sizeof open_signals[0]; i++) sigdelset(&all, open_signals[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    error = pthread_create(&thread, &attributes, run, &start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

struct nj_descriptor nj_note(int number) {
    struct nj_descriptor noted = {-1, 0, 0};
    struct stat file;
    if (number < 0 || fstat(number, &file) != 0) return noted;
    noted.number = number;
    noted.device = (uint64_t)file.st_dev;
    noted.inode = (uint64_t)file.st_ino;
    return noted;
}

int nj_is_ours(struct nj_descriptor descriptor) {
    struct stat file;
    return descriptor.number >= 0 && fstat(descriptor.number, &file) == 0 && (uint64_t)file.st_dev == descriptor.device &&
           (uint64_t)file.st_ino == descriptor.inode;
}

void nj_close_ours(struct nj_descriptor descriptor) {
    if (nj_is_ours(descriptor)) close(descriptor.number);
}

int nj_page_create(size_t length, void **page) {
    int descriptor = memfd_create("nightjar-probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (descriptor < 0) return -1;
    void *memory = MAP_FAILED;
    if (ftruncate(descriptor, (off_t)length) == 0)
        memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (memory == MAP_FAILED || fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
        int saved = errno;
        if (memory != MAP_FAILED) munmap(memory, length);
        close(descriptor);
        errno = saved;
        return -1;
    }
#ifdef F_SEAL_FUTURE_WRITE
    fcntl(descriptor, F_ADD_SEALS, F_SEAL_FUTURE_WRITE); // Linux 5.1: whoever gets it can only read
#endif
    fcntl(descriptor, F_ADD_SEALS, F_SEAL_SEAL);
    *page = memory;
    return descriptor;
}

void nj_page_destroy(int descriptor, void *page, size_t length) {
    if (descriptor >= 0) close(descriptor);
    munmap(page, length);
}

static struct {
    void *page;
    size_t length;
    struct nj_descriptor page_descriptor, socket_descriptor;
    uint32_t is_child;
} guarded = {NULL, 0, {-1, 0, 0}, {-1, 0, 0}, 0};

static void in_child(void) {
    __atomic_store_n(&guarded.is_child, 1, __ATOMIC_RELEASE);
    own_tid = 0;
    nj_close_ours(own_memory_file); // the parent's memory
    own_memory = own_memory_file.number = -1;
    __atomic_store_n(&reads_own, 0, __ATOMIC_RELEASE);
    if (guarded.page)
        mmap(guarded.page, guarded.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    nj_close_ours(guarded.page_descriptor);
    nj_close_ours(guarded.socket_descriptor);
    guarded.page_descriptor.number = guarded.socket_descriptor.number = -1;
    for (int i = 0; i < desks; i++) __atomic_store_n(&all_desks[i].state, idle, __ATOMIC_RELEASE);
}

static void register_child(void) { pthread_atfork(NULL, NULL, in_child); }

void nj_fork_guard(
    void *page, size_t length, struct nj_descriptor page_descriptor, struct nj_descriptor socket_descriptor) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_child);
    guarded.page = page;
    guarded.length = length;
    guarded.page_descriptor = page_descriptor;
    guarded.socket_descriptor = socket_descriptor;
    __atomic_store_n(&guarded.is_child, 0, __ATOMIC_RELEASE);
}

int nj_is_forked(void) { return (int)__atomic_load_n(&guarded.is_child, __ATOMIC_ACQUIRE); }

// ---- socket --------------------------------------------------------------------------------------------------------

int nj_connect(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, length + 1);
    int descriptor = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return -1;
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0) return descriptor;
    int saved = errno;
    close(descriptor);
    errno = saved;
    return -1;
}

ssize_t nj_send(int socket, const void *bytes, size_t length, int passed) {
    struct iovec piece = {(void *)bytes, length};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (passed >= 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &passed, sizeof(int));
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t nj_receive(int socket, void *bytes, size_t length) { return recv(socket, bytes, length, MSG_DONTWAIT); }

int nj_wait(int socket, int64_t nanoseconds) {
    struct timespec time = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    struct pollfd watched = {.fd = socket, .events = POLLIN};
    int ready = ppoll(&watched, socket >= 0 ? 1 : 0, &time, NULL);
    // Refused here: whoever calls this in a loop must not spin.
    if (ready < 0 && errno != EINTR) nanosleep(&time, NULL);
    return ready;
}

int nj_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

int nj_processor(void) { return sched_getcpu(); }
