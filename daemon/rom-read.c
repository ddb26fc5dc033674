/* SPDX-License-Identifier: GPL-2.0-or-later */

/* rom-read: the worker is given a memfd to write to. What is in it afterwards is sealed before it is looked at, so it is what the
 * caller gets, byte by byte. */

#include "rom-read.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "dbus/errors.h"
#include "dbus/names.h"
#include "gpu.h"
#include "rom.h"
#include "util/log-ids.h"
#include "util/log.h"
#include "util/words.h"

/* Of Linux 6.3; where vm.memfd_noexec is 2 (mm/memfd.c), there is no memfd without it. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

struct RomRead {
        Gpu *gpu; /* weak */
        rom_handler_t handler;
        void *userdata;
        int fd;
        Worker *worker;
        sd_event_source *timer;
        bool late;
};

RomRead *rom_read_free(RomRead *q) {
        if (!q)
                return NULL;
        worker_free(q->worker);
        sd_event_source_disable_unref(q->timer);
        safe_close(q->fd);
        free(q);
        return NULL;
}

void rom_read_forget(RomRead *q) {
        if (q)
                q->handler = NULL;
}

bool rom_read_is_late(const RomRead *q) {
        return q->late;
}

static void answer(RomRead *q, const char *error, const char *message) {
        RomAnswer a = { .error = error, .message = message, .fd = error ? -EBADF : q->fd };
        rom_handler_t handler = q->handler;

        q->handler = NULL;
        if (handler)
                handler(&a, q->userdata);
}

/* ---- what was read ---- */

/* "rom" or "vfct", as the worker says. */
static int read_source(const WorkerAnswer *worker, char ret[static 16]) {
        WordsReader reader = { .text = worker->data, .size = worker->size };
        _cleanup_strv_free_ char **words = NULL;
        int r;

        r = words_reader_next(&reader, &words);
        if (r < 0)
                return r;
        if (r == 0 || strv_length(words) != 2 || !streq(words[0], "image") || strlen(words[1]) >= 16)
                return -EBADMSG;
        (void) strcpy(ret, words[1]);
        return 0;
}

static int check_image(const RomRead *q, RomVerdict *ret) {
        struct stat st;
        void *data;
        int r;

        if (fcntl(q->fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 || fstat(q->fd, &st) < 0)
                return -errno;
        if (st.st_size <= 0 || st.st_size > ROM_SIZE_MAX)
                return -EBADMSG;
        /* Not MAP_SHARED, which before Linux 6.7 needs a file that could be written to (mm/mmap.c). */
        data = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, q->fd, 0);
        if (data == MAP_FAILED)
                return -errno;
        r = rom_check(data, (size_t) st.st_size, q->gpu->vendor, q->gpu->device, ret);
        (void) munmap(data, (size_t) st.st_size);
        return r;
}

static int take(RomRead *q, const WorkerAnswer *worker) {
        _cleanup_(rom_verdict_done) RomVerdict v = {};
        const char *address = q->gpu->address;
        char source[16];
        int r;

        r = read_source(worker, source);
        if (r >= 0)
                r = check_image(q, &v);
        if (r < 0)
                return r;
        if (v.error) {
                (void) log_with(LOG_WARNING, 0, NULL, LOG_FIELDS({ GPUPT_FIELD_GPU, address }),
                                "The worker's firmware image of %s cannot be used: %s.", address, v.error);
                return -EBADMSG;
        }
        for (char **w = v.warnings; w && *w; w++)
                (void) log_with(LOG_WARNING, 0, NULL, LOG_FIELDS({ GPUPT_FIELD_GPU, address }),
                                "The firmware image of %s (%s): %s.", address, source, *w);
        (void) log_with(LOG_INFO, 0, NULL, LOG_FIELDS({ GPUPT_FIELD_GPU, address }),
                        "Read the firmware image of %s (%s): %zu bytes, images: %u.", address, source, v.size, v.n_images);
        return 0;
}

static void answer_failure(RomRead *q, int r, const char *text) {
        const char *address = q->gpu->address, *name = GPUPT_ERROR_FAILED;
        _cleanup_free_ char *message = NULL;
        int k;

        if (r == -ENOENT) {
                name = GPUPT_ERROR_NOT_SUPPORTED;
                k = asprintf(&message, "There is no firmware image of %s to be read: %s.", address, text);
        } else if (r == -EBADMSG)
                k = asprintf(&message, "There is no usable firmware image of %s: %s.", address,
                             isempty(text) ? "it was damaged on its way" : text);
        else {
                if (r == -ENODEV)
                        name = GPUPT_ERROR_UNREACHABLE;
                k = asprintf(&message, "Reading the firmware image of %s failed: %s%s%s.", address, text,
                             isempty(text) ? "" : ": ", strerror(-r));
        }
        if (k < 0)
                message = NULL;
        /* That a card has none is nobody's fault. */
        (void) log_with(r == -ENOENT ? LOG_INFO : LOG_WARNING, 0, NULL, LOG_FIELDS({ GPUPT_FIELD_GPU, address }), "%s",
                        strempty(message));
        answer(q, name, message ?: "Out of memory.");
}

static void come_back(RomRead *q) {
        Gpu *g = q->gpu;

        (void) log_with(LOG_NOTICE, 0, MESSAGE_ID_GPU_UNSTUCK, LOG_FIELDS({ GPUPT_FIELD_GPU, g->address }),
                        "The read of the firmware image of %s has returned.", g->address);
        g->rom_read = rom_read_free(q);
        gpu_update(g);
}

static void on_worker(const WorkerAnswer *worker, void *userdata) {
        RomRead *q = ASSERT_PTR(userdata);
        int r = worker->error;

        if (worker->event == WORKER_BEGUN)
                return;
        if (q->late) {
                come_back(q);
                return;
        }
        q->gpu->rom_read = NULL;
        if (r >= 0)
                r = take(q, worker);
        if (r < 0)
                answer_failure(q, r, worker->text);
        else
                answer(q, NULL, NULL);
        rom_read_free(q);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_free_ char *message = NULL;
        RomRead *q = ASSERT_PTR(userdata);

        q->late = true;
        if (asprintf(&message, "The read of the firmware image of %s by process %u has not returned from the kernel.",
                     q->gpu->address, worker_pid(q->worker)) < 0)
                message = NULL;
        (void) log_with(LOG_ERR, 0, MESSAGE_ID_GPU_STUCK, LOG_FIELDS({ GPUPT_FIELD_GPU, q->gpu->address }), "%s",
                        strempty(message));
        gpu_set_stuck(q->gpu, message);
        answer(q, GPUPT_ERROR_TIMEOUT, message ?: "Out of memory.");
        return 0;
}

/* ---- asking for it ---- */

static int new_memfd(void) {
        int fd = RET_NERRNO(memfd_create("gpuptd-rom", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL));

        return fd == -EINVAL ? RET_NERRNO(memfd_create("gpuptd-rom", MFD_CLOEXEC | MFD_ALLOW_SEALING)) : fd;
}

int rom_read_start(Gpu *g, rom_handler_t handler, void *userdata, RomRead **ret) {
        Step step = { .verb = VERB_ROM, .target = g->address };
        _cleanup_(rom_read_freep) RomRead *q = NULL;
        WorkerSetup setup;
        int r;

        if (g->rom_read)
                return -EALREADY;
        q = calloc(1, sizeof(RomRead));
        if (!q)
                return -ENOMEM;
        *q = (RomRead) { .gpu = g, .handler = handler, .userdata = userdata, .fd = -EBADF };
        q->fd = new_memfd();
        if (q->fd < 0)
                return q->fd;
        setup = (WorkerSetup) { .program = g->host->worker_program, .run_dir = g->host->run_dir, .output_fd = &q->fd };
        r = worker_new(g->host->event, &setup, on_worker, q, &q->worker);
        if (r >= 0)
                r = worker_send(q->worker, 0, &step);
        if (r >= 0)
                r = sd_event_add_time_relative(g->host->event, &q->timer, CLOCK_MONOTONIC,
                                               verb_info(VERB_ROM)->stuck_sec * 1000000ULL, 0, on_timeout, q);
        if (r < 0)
                return r;
        *ret = g->rom_read = TAKE_PTR(q);
        return 0;
}
