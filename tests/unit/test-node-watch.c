/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-node-watch: opens, closes, and directories that come and go, in a directory that stands for /dev. */

#include "node-watch.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "loop.h"

typedef struct Fixture {
        sd_event *event;
        char *dir;
        NodeWatch *watch;
        GPtrArray *names; /* what the handler was told; "(all)" for NULL */
        bool told;
} Fixture;

static void on_node(const char *name, void *userdata) {
        Fixture *f = userdata;

        g_ptr_array_add(f->names, g_strdup(name ?: "(all)"));
        f->told = true;
}

static void start(Fixture *f) {
        g_assert_cmpint(node_watch_new(f->event, f->dir, on_node, f, &f->watch), ==, 0);
}

static void set_up(Fixture *f, const void *data) {
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        f->dir = loop_make_dir();
        f->names = g_ptr_array_new_with_free_func(g_free);
}

static void tear_down(Fixture *f, const void *data) {
        g_assert_null(node_watch_free(f->watch));
        g_ptr_array_unref(f->names);
        sd_event_unref(f->event);
        loop_remove_dir(f->dir);
}

static void make_directory(const Fixture *f, const char *name) {
        g_autofree char *path = g_build_filename(f->dir, name, NULL);

        g_assert_cmpint(mkdir(path, 0700), ==, 0);
}

static void remove_path(const Fixture *f, const char *name) {
        g_autofree char *path = g_build_filename(f->dir, name, NULL);

        g_assert_cmpint(remove(path), ==, 0);
}

static int open_node(const Fixture *f, const char *name) {
        g_autofree char *path = g_build_filename(f->dir, name, NULL);
        int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);

        g_assert_cmpint(fd, >=, 0);
        return fd;
}

static void list_directory(const Fixture *f, const char *name) {
        g_autofree char *path = g_build_filename(f->dir, name, NULL);
        GDir *d = g_dir_open(path, 0, NULL);

        g_assert_nonnull(d);
        while (g_dir_read_name(d))
                ;
        g_dir_close(d);
}

/* Takes what inotify has queued so far (it queues synchronously) and compares. */
static void assert_told(Fixture *f, const char *expected) {
        g_autofree char *told = NULL;

        loop_drain(f->event);
        g_ptr_array_add(f->names, NULL);
        told = g_strjoinv(" ", (char **) f->names->pdata);
        g_assert_cmpstr(told, ==, expected);
        g_ptr_array_set_size(f->names, 0);
        f->told = false;
}

static void test_open_close(Fixture *f, const void *data) {
        int group, device;

        make_directory(f, "vfio");
        make_directory(f, "vfio/devices");
        start(f);
        assert_told(f, "");

        group = open_node(f, "vfio/7");
        loop_until(f->event, f->told);
        assert_told(f, "7");
        device = open_node(f, "vfio/devices/vfio0");
        assert_told(f, "devices/vfio0");
        (void) close(device);
        assert_told(f, "devices/vfio0");
        (void) close(group);
        assert_told(f, "7");
}

/* Listing the directories is not opening a node, and the rest of /dev is nobody's business. */
static void test_irrelevant(Fixture *f, const void *data) {
        make_directory(f, "vfio");
        make_directory(f, "vfio/devices");
        start(f);
        list_directory(f, "vfio");
        list_directory(f, "vfio/devices");
        (void) close(open_node(f, "null"));
        assert_told(f, "");
}

static void test_directories_appear(Fixture *f, const void *data) {
        int fd;

        start(f);
        make_directory(f, "dri");
        assert_told(f, "");
        make_directory(f, "vfio");
        assert_told(f, "(all)");
        fd = open_node(f, "vfio/vfio");
        assert_told(f, "vfio");
        (void) close(fd);
        assert_told(f, "vfio");
        make_directory(f, "vfio/devices");
        assert_told(f, "(all)");
        fd = open_node(f, "vfio/devices/vfio3");
        assert_told(f, "devices/vfio3");
        (void) close(fd);
        assert_told(f, "devices/vfio3");
}

/* Both at once, before the loop runs: what happened in between is covered by "look at everything". */
static void test_directories_appear_at_once(Fixture *f, const void *data) {
        int early, late;

        start(f);
        make_directory(f, "vfio");
        make_directory(f, "vfio/devices");
        early = open_node(f, "vfio/devices/vfio0");
        assert_told(f, "(all)");
        late = open_node(f, "vfio/devices/vfio1");
        assert_told(f, "devices/vfio1");
        (void) close(early);
        (void) close(late);
        assert_told(f, "devices/vfio0 devices/vfio1");
}

static void test_directories_vanish(Fixture *f, const void *data) {
        make_directory(f, "vfio");
        make_directory(f, "vfio/devices");
        start(f);
        remove_path(f, "vfio/devices");
        loop_until(f->event, f->told);
        loop_drain(f->event);
        g_ptr_array_set_size(f->names, 0);
        make_directory(f, "vfio/devices");
        assert_told(f, "(all)");

        remove_path(f, "vfio/devices");
        remove_path(f, "vfio");
        loop_drain(f->event);
        g_assert_cmpuint(f->names->len, >, 0);
        g_ptr_array_set_size(f->names, 0);
        (void) close(open_node(f, "null"));
        assert_told(f, "");

        make_directory(f, "vfio");
        assert_told(f, "(all)");
        (void) close(open_node(f, "vfio/9"));
        assert_told(f, "9 9");
}

/* More events than inotify queues: the receiver is told to look at everything. */
static void test_overflow(Fixture *f, const void *data) {
        g_autofree char *limit_text = NULL;
        guint64 limit;
        bool all = false;

        g_assert_true(g_file_get_contents("/proc/sys/fs/inotify/max_queued_events", &limit_text, NULL, NULL));
        limit = g_ascii_strtoull(limit_text, NULL, 10);
        make_directory(f, "vfio");
        start(f);
        /* Equal events that follow each other are merged by the kernel, so two nodes take turns. */
        for (guint64 i = 0; i <= limit / 2; i++) {
                (void) close(open_node(f, "vfio/1"));
                (void) close(open_node(f, "vfio/2"));
        }
        loop_drain(f->event);
        for (guint i = 0; i < f->names->len; i++)
                if (streq(f->names->pdata[i], "(all)"))
                        all = true;
        g_assert_true(all);
}

static void test_no_dev(Fixture *f, const void *data) {
        g_autofree char *nowhere = g_build_filename(f->dir, "nowhere", NULL);

        g_assert_cmpint(node_watch_new(f->event, nowhere, on_node, f, &f->watch), ==, -ENOENT);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add("/node-watch/" path, Fixture, NULL, set_up, function, tear_down)
        ADD("open-close", test_open_close);
        ADD("irrelevant", test_irrelevant);
        ADD("directories/appear", test_directories_appear);
        ADD("directories/appear-at-once", test_directories_appear_at_once);
        ADD("directories/vanish", test_directories_vanish);
        ADD("overflow", test_overflow);
        ADD("no-dev", test_no_dev);
#undef ADD
        return g_test_run();
}
