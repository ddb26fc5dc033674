/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-lease: a lease from its beginning to its end, over a restart of the daemon, and with files that do not fit. */

#include "lease.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "loop.h"

typedef struct Fixture {
        sd_event *event;
        char *dir;
        Lease *lease;
        int fd; /* the holder's */
        bool released;
        unsigned releases;
} Fixture;

static void on_release(Lease *lease, void *userdata) {
        Fixture *f = userdata;

        g_assert_true(lease->released);
        f->released = true;
        f->releases++;
}

static void set_up(Fixture *f, const void *data) {
        f->fd = -EBADF;
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        f->dir = loop_make_dir();
        g_assert_cmpint(lease_new(f->event, f->dir, 7, "0000:01:00.0", 1000, ":1.5", on_release, f, &f->lease, &f->fd),
                        ==, 0);
}

static void tear_down(Fixture *f, const void *data) {
        (void) lease_end(f->lease);
        (void) safe_close(f->fd);
        sd_event_unref(f->event);
        loop_remove_dir(f->dir);
}

static char *path_of(const Fixture *f, const char *name) {
        return g_build_filename(f->dir, name, NULL);
}

static void assert_exists(const Fixture *f, const char *name, bool exists) {
        g_autofree char *path = path_of(f, name);

        g_assert_cmpint(access(path, F_OK) == 0, ==, exists);
}

static short poll_holder(const Fixture *f) {
        struct pollfd p = { .fd = f->fd };

        g_assert_cmpint(poll(&p, 1, 0), >=, 0);
        return p.revents;
}

static nlink_t links_of_holder(const Fixture *f) {
        struct stat st;

        g_assert_cmpint(fstat(f->fd, &st), ==, 0);
        return st.st_nlink;
}

static void restart(Fixture *f) {
        f->lease = lease_free(f->lease);
        g_assert_cmpint(lease_load(f->event, f->dir, 7, on_release, f, &f->lease), ==, 0);
}

static void test_new(Fixture *f, const void *data) {
        g_autofree char *fifo = path_of(f, "lease-7.fifo"), *record = path_of(f, "lease-7"), *text = NULL;
        struct stat st;

        g_assert_cmpint(lstat(fifo, &st), ==, 0);
        g_assert_true(S_ISFIFO(st.st_mode));
        g_assert_cmpint(st.st_mode & 07777, ==, 0600);
        g_assert_cmpint(fcntl(f->fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
        g_assert_cmpint(fcntl(f->fd, F_GETFL) & O_ACCMODE, ==, O_WRONLY);
        g_assert_true(g_file_get_contents(record, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "version 1\ngpu 0000:01:00.0\nuid 1000\n");

        loop_drain(f->event);
        g_assert_false(f->released);
        g_assert_cmpint(poll_holder(f), ==, 0);
}

static void test_release(Fixture *f, const void *data) {
        f->fd = safe_close(f->fd);
        loop_until(f->event, f->released);
        loop_drain(f->event);
        g_assert_cmpuint(f->releases, ==, 1);
        assert_exists(f, "lease-7", true);
}

/* A descriptor that was handed on counts. */
static void test_two_holders(Fixture *f, const void *data) {
        int second = dup(f->fd);

        f->fd = safe_close(f->fd);
        loop_drain(f->event);
        g_assert_false(f->released);
        (void) close(second);
        loop_until(f->event, f->released);
}

/* What a holder writes is not read, does not wake the daemon and does not hide that it left. */
static void test_hostile_writer(Fixture *f, const void *data) {
        char junk[4096] = {};

        while (write(f->fd, junk, sizeof(junk)) > 0)
                ;
        g_assert_cmpint(errno, ==, EAGAIN);
        g_assert_cmpint(sd_event_run(f->event, 0), ==, 0);

        f->fd = safe_close(f->fd);
        loop_until(f->event, f->released);
        g_assert_cmpuint(f->releases, ==, 1);
}

static void test_end(Fixture *f, const void *data) {
        f->lease = lease_end(f->lease);
        assert_exists(f, "lease-7", false);
        assert_exists(f, "lease-7.fifo", false);
        g_assert_cmpint(poll_holder(f) & POLLERR, ==, POLLERR);
        g_assert_cmpuint(links_of_holder(f), ==, 0);
        loop_drain(f->event);
        g_assert_false(f->released);
}

static void test_restart_held(Fixture *f, const void *data) {
        f->lease = lease_free(f->lease);
        assert_exists(f, "lease-7", true);
        assert_exists(f, "lease-7.fifo", true);
        g_assert_cmpint(poll_holder(f) & POLLERR, ==, POLLERR);
        g_assert_cmpuint(links_of_holder(f), ==, 1);

        restart(f);
        g_assert_cmpint(poll_holder(f), ==, 0);
        g_assert_cmpuint(f->lease->id, ==, 7);
        g_assert_cmpstr(f->lease->gpu, ==, "0000:01:00.0");
        g_assert_cmpuint(f->lease->uid, ==, 1000);
        g_assert_null(f->lease->sender);
        loop_drain(f->event);
        g_assert_false(f->released);

        f->fd = safe_close(f->fd);
        loop_until(f->event, f->released);
        g_assert_cmpuint(f->releases, ==, 1);
}

static void test_restart_held_with_bytes(Fixture *f, const void *data) {
        g_assert_cmpint(write(f->fd, "abc", 3), ==, 3);
        restart(f);
        loop_drain(f->event);
        g_assert_false(f->released);
        f->fd = safe_close(f->fd);
        loop_until(f->event, f->released);
}

/* The holder left while nobody looked. */
static void test_restart_left(Fixture *f, const void *data) {
        f->lease = lease_free(f->lease);
        f->fd = safe_close(f->fd);
        restart(f);
        g_assert_false(f->released);
        loop_until(f->event, f->released);
        loop_drain(f->event);
        g_assert_cmpuint(f->releases, ==, 1);
}

/* The daemon died between the two unlinks of lease_end(). */
static void test_restart_without_fifo(Fixture *f, const void *data) {
        g_autofree char *fifo = path_of(f, "lease-7.fifo");

        g_assert_cmpint(unlink(fifo), ==, 0);
        restart(f);
        g_assert_false(f->released);
        loop_until(f->event, f->released);
}

static void test_restart_not_a_fifo(Fixture *f, const void *data) {
        g_autofree char *fifo = path_of(f, "lease-7.fifo"), *elsewhere = path_of(f, "elsewhere");

        f->lease = lease_free(f->lease);
        g_assert_cmpint(rename(fifo, elsewhere), ==, 0);
        g_assert_cmpint(symlink(elsewhere, fifo), ==, 0);
        g_assert_cmpint(lease_load(f->event, f->dir, 7, on_release, f, &f->lease), ==, -EBADMSG);
        g_assert_cmpint(unlink(fifo), ==, 0);
        g_assert_true(g_file_set_contents(fifo, "", 0, NULL));
        g_assert_cmpint(lease_load(f->event, f->dir, 7, on_release, f, &f->lease), ==, -EBADMSG);
}

static void test_bad_records(Fixture *f, const void *data) {
        static const char *const records[] = {
                "",
                "version 1\n",
                "version 2\ngpu 0000:01:00.0\nuid 0\n",
                "version 1\ngpu 0000:01:00.0\nuid 0",
                "version 1\ngpu 01:00.0\nuid 0\n",
                "version 1\ngpu ../../etc\nuid 0\n",
                "version 1\ngpu 0000:01:00.0\nuid -1\n",
                "version 1\ngpu 0000:01:00.0\nuid 4294967295\n",
                "version 1\ngpu 0000:01:00.0\nuid 0\nmore 1\n",
                "version 1\ngpu 0000:01:00.0 0000:02:00.0\nuid 0\n",
                "version 1\nuid 0\ngpu 0000:01:00.0\n",
                "\n",
        };
        g_autofree char *record = path_of(f, "lease-7"), *large = g_strnfill(8192, 'a');

        f->lease = lease_free(f->lease);
        for (size_t i = 0; i < ELEMENTSOF(records); i++) {
                g_assert_true(g_file_set_contents(record, records[i], -1, NULL));
                g_assert_cmpint(lease_load(f->event, f->dir, 7, on_release, f, &f->lease), ==, -EBADMSG);
        }
        g_assert_true(g_file_set_contents(record, large, -1, NULL));
        g_assert_cmpint(lease_load(f->event, f->dir, 7, on_release, f, &f->lease), ==, -EBADMSG);
        g_assert_cmpint(unlink(record), ==, 0);
        g_assert_cmpint(lease_load(f->event, f->dir, 7, on_release, f, &f->lease), ==, -ENOENT);
        g_assert_cmpint(mkdir(record, 0700), ==, 0);
        g_assert_cmpint(lease_load(f->event, f->dir, 7, on_release, f, &f->lease), ==, -EBADMSG);
}

/* Another lease's files are left alone. */
static void test_id_taken(Fixture *f, const void *data) {
        Lease *second = NULL;
        int fd = -EBADF;

        g_assert_cmpint(lease_new(f->event, f->dir, 7, "0000:02:00.0", 0, NULL, on_release, f, &second, &fd), ==,
                        -EEXIST);
        g_assert_null(second);
        g_assert_cmpint(fd, ==, -EBADF);
        assert_exists(f, "lease-7", true);
        assert_exists(f, "lease-7.fifo", true);
}

/* The record cannot be written: nothing is left behind. */
static void test_record_refused(Fixture *f, const void *data) {
        g_autofree char *record = path_of(f, "lease-8");
        Lease *second = NULL;
        int fd = -EBADF;

        g_assert_cmpint(mkdir(record, 0700), ==, 0);
        g_assert_cmpint(lease_new(f->event, f->dir, 8, "0000:02:00.0", 0, NULL, on_release, f, &second, &fd), <, 0);
        g_assert_null(second);
        g_assert_cmpint(fd, ==, -EBADF);
        assert_exists(f, "lease-8.fifo", false);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add("/lease/" path, Fixture, NULL, set_up, function, tear_down)
        ADD("new", test_new);
        ADD("release", test_release);
        ADD("two-holders", test_two_holders);
        ADD("hostile-writer", test_hostile_writer);
        ADD("end", test_end);
        ADD("restart/held", test_restart_held);
        ADD("restart/held-with-bytes", test_restart_held_with_bytes);
        ADD("restart/left", test_restart_left);
        ADD("restart/without-fifo", test_restart_without_fifo);
        ADD("restart/not-a-fifo", test_restart_not_a_fifo);
        ADD("bad-records", test_bad_records);
        ADD("id-taken", test_id_taken);
        ADD("record-refused", test_record_refused);
#undef ADD
        return g_test_run();
}
