/* SPDX-License-Identifier: GPL-2.0-or-later */

/* lease: one FIFO and one record in the run directory. It owns the read end, both files and the event source; it
 * never reads what a holder writes (the bytes stay in the holder's own pipe) and it does not know what a release
 * leads to.
 *
 * How the kernel tells that the last writer is gone (fs/pipe.c pipe_poll(), fifo_open()): a reader sees EPOLLHUP,
 * whatever is left unread, if there was a writer at any time since it opened the FIFO, or at that moment. A reader
 * that opens a FIFO nobody writes to gets no EPOLLHUP ever; it is told apart by read(), which then returns 0 instead
 * of EAGAIN. */

#include "lease.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "util/address.h"
#include "util/fs.h"
#include "util/words.h"

/* First line of the record; a record of another version is not ours to interpret. */
#define RECORD_VERSION "1"
#define RECORD_SIZE_MAX 4096U

Lease *lease_free(Lease *lease) {
        if (!lease)
                return NULL;
        (void) sd_event_source_disable_unref(lease->source);
        (void) sd_event_unref(lease->event);
        (void) safe_close(lease->fd);
        free(lease->fifo);
        free(lease->record);
        free(lease->gpu);
        free(lease->sender);
        free(lease);
        return NULL;
}

Lease *lease_end(Lease *lease) {
        if (!lease)
                return NULL;
        /* The FIFO goes before the read end is closed: a holder that sees POLLERR finds st_nlink 0, while it is 1 if
         * the daemon is only restarting. The record goes last: a record without a FIFO is a lease that has ended. */
        (void) unlink(lease->fifo);
        (void) unlink(lease->record);
        return lease_free(lease);
}

static int lease_allocate(sd_event *event, const char *run_dir, unsigned id, lease_handler_t handler, void *userdata,
                          Lease **ret) {
        _cleanup_(lease_freep) Lease *lease = NULL;

        lease = calloc(1, sizeof(Lease));
        if (!lease)
                return -ENOMEM;
        lease->id = id;
        lease->fd = -EBADF;
        lease->handler = handler;
        lease->userdata = userdata;
        lease->event = sd_event_ref(event);
        if (asprintf(&lease->record, "%s/lease-%u", run_dir, id) < 0) {
                lease->record = NULL;
                return -ENOMEM;
        }
        if (asprintf(&lease->fifo, "%s.fifo", lease->record) < 0) {
                lease->fifo = NULL;
                return -ENOMEM;
        }
        *ret = TAKE_PTR(lease);
        return 0;
}

static int release(Lease *lease) {
        (void) sd_event_source_set_enabled(lease->source, SD_EVENT_OFF);
        lease->released = true;
        lease->handler(lease, lease->userdata);
        return 0;
}

static int on_hangup(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        return release(ASSERT_PTR(userdata));
}

static int on_never_held(sd_event_source *source, void *userdata) {
        return release(ASSERT_PTR(userdata));
}

/* EPOLLHUP is reported without being asked for. EPOLLIN is not wanted: a holder could keep the daemon busy with it.
 * */
static int watch_writers(Lease *lease) {
        int r;

        r = sd_event_add_io(lease->event, &lease->source, lease->fd, 0, on_hangup, lease);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(lease->source, "lease");
        return 0;
}

static int write_record(const Lease *lease) {
        _cleanup_free_ char *data = NULL;
        _cleanup_fclose_ FILE *f = NULL;
        char uid[16];
        size_t size;

        (void) snprintf(uid, sizeof(uid), "%u", lease->uid);
        f = open_memstream(&data, &size);
        if (!f)
                return -ENOMEM;
        words_write(f, "version", RECORD_VERSION, NULL);
        words_write(f, "gpu", lease->gpu, NULL);
        words_write(f, "uid", uid, NULL);
        if (ferror(f) || fflush(f) != 0)
                return -ENOMEM;
        return write_file_atomic(lease->record, data, size);
}

/* One line of the record: the word that is expected, and its one value. */
static int read_record_line(WordsReader *reader, const char *key, char **ret) {
        _cleanup_strv_free_ char **words = NULL;
        int r;

        r = words_reader_next(reader, &words);
        if (r < 0)
                return r;
        if (r == 0 || strv_length(words) != 2 || !streq(words[0], key))
                return -EBADMSG;
        *ret = TAKE_PTR(words[1]);
        return 0;
}

static int read_record(Lease *lease) {
        _cleanup_free_ char *data = NULL, *version = NULL, *uid = NULL;
        WordsReader reader = {};
        uint64_t v;
        int r;

        r = read_file_at(AT_FDCWD, lease->record, RECORD_SIZE_MAX, &data, &reader.size);
        if (r == -EFBIG || r == -EISDIR || r == -ENXIO)
                return -EBADMSG;
        if (r < 0)
                return r;
        reader.text = data;

        r = read_record_line(&reader, "version", &version);
        if (r < 0)
                return r;
        if (!streq(version, RECORD_VERSION))
                return -EBADMSG;
        r = read_record_line(&reader, "gpu", &lease->gpu);
        if (r < 0)
                return r;
        r = read_record_line(&reader, "uid", &uid);
        if (r < 0)
                return r;
        if (reader.position != reader.size || !pci_address_valid(lease->gpu))
                return -EBADMSG;
        /* (uid_t) -1 is nobody's. */
        if (parse_u64(uid, UINT32_MAX - 1, &v) < 0)
                return -EBADMSG;
        lease->uid = (uint32_t) v;
        return 0;
}

static int open_read_end(Lease *lease) {
        struct stat st;

        lease->fd = RET_NERRNO(open(lease->fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY));
        if (lease->fd < 0)
                return lease->fd == -ELOOP ? -EBADMSG : lease->fd;
        if (fstat(lease->fd, &st) < 0)
                return -errno;
        return S_ISFIFO(st.st_mode) ? 0 : -EBADMSG;
}

static int lease_create_files(Lease *lease, int *ret_fd) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = open_read_end(lease);
        if (r < 0)
                return r;
        fd = RET_NERRNO(open(lease->fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY));
        if (fd < 0)
                return fd;
        r = watch_writers(lease);
        if (r < 0)
                return r;
        /* Last: a FIFO without a record is forgotten, a record without a FIFO would be a release. */
        r = write_record(lease);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int lease_new(sd_event *event, const char *run_dir, unsigned id, const char *gpu, uint32_t uid, const char *sender,
              lease_handler_t handler, void *userdata, Lease **ret, int *ret_fd) {
        _cleanup_(lease_freep) Lease *lease = NULL;
        int r;

        r = lease_allocate(event, run_dir, id, handler, userdata, &lease);
        if (r < 0)
                return r;
        lease->uid = uid;
        lease->gpu = strdup(gpu);
        if (!lease->gpu)
                return -ENOMEM;
        r = free_and_strdup(&lease->sender, sender);
        if (r < 0)
                return r;

        if (mkfifo(lease->fifo, 0600) < 0)
                return -errno;
        r = lease_create_files(lease, ret_fd);
        if (r < 0) {
                lease_end(TAKE_PTR(lease));
                return r;
        }
        *ret = TAKE_PTR(lease);
        return 0;
}

int lease_load(sd_event *event, const char *run_dir, unsigned id, lease_handler_t handler, void *userdata,
               Lease **ret) {
        _cleanup_(lease_freep) Lease *lease = NULL;
        bool held = false;
        int r;

        r = lease_allocate(event, run_dir, id, handler, userdata, &lease);
        if (r < 0)
                return r;
        r = read_record(lease);
        if (r < 0)
                return r;

        r = open_read_end(lease);
        if (r < 0 && r != -ENOENT)
                return r;
        if (r >= 0) {
                char byte;

                /* A holder's byte is lost by this, which nobody reads anyway. */
                held = read(lease->fd, &byte, 1) != 0;
        }

        if (held)
                r = watch_writers(lease);
        else
                r = sd_event_add_defer(lease->event, &lease->source, on_never_held, lease);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(lease);
        return 0;
}
