/* SPDX-License-Identifier: GPL-2.0-or-later */

/* rom: the firmware image of a GPU, into a file or to stdout. It is looked at here again, so that what does not fit is told to
 * whoever has to live with it. */

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "client/agent.h"
#include "client/gpu-choice.h"
#include "client/report.h"
#include "client/verbs.h"
#include "dbus/names.h"
#include "rom.h"
#include "util/fs.h"

typedef struct Image {
        void *data;
        size_t size;
} Image;

static void image_done(Image *i) {
        if (i->data)
                (void) munmap(i->data, i->size);
}

/* 0, or the exit status of what has been reported. */
static int fetch(Client *c, const GpuChoice *gpu, Image *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        struct stat st;
        void *data;
        int fd, r;

        agent_open(c->options);
        r = client_new_call(c, gpu->path, GPUPT_GPU_INTERFACE, "ReadRom", &m, &error);
        if (r >= 0)
                r = options_append(c->options, m);
        if (r >= 0)
                r = sd_bus_call(c->bus, m, POLKIT_TIMEOUT_USEC, &error, &reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "h", &fd);
        if (r >= 0)
                r = RET_NERRNO(fstat(fd, &st));
        if (r >= 0 && (st.st_size <= 0 || st.st_size > ROM_SIZE_MAX))
                r = -EBADMSG;
        if (r < 0)
                return (int) report_error(gpu->address, &error, r);
        /* It is sealed: it does not become shorter under our eyes. */
        data = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
                return (int) report_error(gpu->address, NULL, -errno);
        *ret = (Image) { .data = data, .size = (size_t) st.st_size };
        return 0;
}

static int check(Client *c, const GpuChoice *gpu, const Image *i, unsigned *ret_images) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(json_object_putp) json_object *properties = NULL;
        _cleanup_(rom_verdict_done) RomVerdict v = {};
        int r;

        r = client_get_properties(c, gpu->path, GPUPT_GPU_INTERFACE, &properties, &error);
        if (r < 0)
                return (int) report_error(gpu->address, &error, r);
        r = rom_check(i->data, i->size, (uint16_t) json_number(properties, "vendor-id"),
                      (uint16_t) json_number(properties, "device-id"), &v);
        if (r < 0)
                return r;
        if (v.error) {
                report_note("The firmware image of %s cannot be used: %s.", gpu->address, v.error);
                return EXIT_FAILED;
        }
        for (char **w = v.warnings; w && *w; w++)
                report_note("Warning: %s.", *w);
        *ret_images = v.n_images;
        return 0;
}

static int write_all(int fd, const Image *i) {
        for (size_t n = 0; n < i->size;) {
                ssize_t k = write(fd, (const char *) i->data + n, i->size - n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                n += (size_t) k;
        }
        return 0;
}

/* A file is replaced as a whole; what is there and no file (a pipe, /dev/stdout, a link) is written to. */
static int write_to(const char *path, const Image *i) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        mode_t mask;
        int r;

        if (lstat(path, &st) >= 0 && !S_ISREG(st.st_mode)) {
                fd = RET_NERRNO(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY));
                if (fd < 0)
                        return fd;
                return isatty(fd) ? -ENOTSUP : write_all(fd, i);
        }
        r = write_file_atomic(path, i->data, i->size);
        if (r < 0)
                return r;
        /* As any other program would have made it: a hypervisor has to read it. */
        mask = umask(0);
        (void) umask(mask);
        return RET_NERRNO(chmod(path, 0666 & ~mask));
}

static bool is_stdout(const Options *o) {
        return !o->output || streq(o->output, "-");
}

int verb_rom(Client *c, char **args) {
        _cleanup_(gpu_choice_done) GpuChoice gpu = {};
        _cleanup_(image_done) Image image = {};
        const Options *o = c->options;
        unsigned n_images = 0;
        int r;

        if (is_stdout(o) && isatty(STDOUT_FILENO))
                return report_usage("A firmware image is nothing for a terminal: name a file with --output=FILE.");
        r = gpu_choose(c, args[0], /* operation= */ NULL, &gpu);
        if (r == 0)
                r = fetch(c, &gpu, &image);
        if (r == 0)
                r = check(c, &gpu, &image, &n_images);
        if (r != 0)
                return r;
        r = is_stdout(o) ? write_all(STDOUT_FILENO, &image) : write_to(o->output, &image);
        if (r < 0) {
                report_note("Cannot write the image to %s: %s", is_stdout(o) ? "stdout" : o->output, strerror(-r));
                return EXIT_FAILED;
        }
        if (!is_stdout(o) && !o->quiet)
                (void) printf("%s: %zu bytes, %u image%s\n", o->output, image.size, n_images, n_images == 1 ? "" : "s");
        return EXIT_DONE;
}
