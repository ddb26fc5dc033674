/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-sleep-archive: the sleep that is not over is on disk until it is removed, and of those that are over the newest reports are kept and
 * found, whatever else is there. */

#include "sleep-archive.h"

#include <sys/stat.h>

#include "loop.h"

typedef struct Fixture {
        char *dir;
} Fixture;

static void set_up(Fixture *f, const void *data) {
        f->dir = loop_make_dir();
}

static void tear_down(Fixture *f, const void *data) {
        loop_remove_dir(f->dir);
}

/* Known by the id of its cycle. */
static SleepRecord *make_record(unsigned id) {
        SleepRecord *s = sleep_record_new();

        g_assert_nonnull(s);
        s->cycle = (SleepCycle) { .id = id, .opened = DOOR_GATE };
        memcpy(s->boot, "0123456789abcdef0123456789abcdef", sizeof(s->boot));
        return s;
}

static char *path_of(const Fixture *f, const char *name) {
        return g_build_filename(f->dir, name, NULL);
}

static char *report_path(const Fixture *f, const char *name) {
        return g_build_filename(f->dir, "sleep-reports", name, NULL);
}

static void put(const char *path, const char *text) {
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void add_report(const Fixture *f, unsigned id) {
        _cleanup_(sleep_record_freep) SleepRecord *s = make_record(id);

        g_assert_cmpint(sleep_archive_add_report(f->dir, s), ==, 0);
}

/* The id of the newest one; 0: there is none. */
static unsigned last_report(const Fixture *f) {
        _cleanup_(sleep_record_freep) SleepRecord *s = NULL;
        int r = sleep_archive_last_report(f->dir, &s);

        if (r == -ENOENT)
                return 0;
        g_assert_cmpint(r, ==, 0);
        return s->cycle.id;
}

static bool report_exists(const Fixture *f, const char *name) {
        g_autofree char *path = report_path(f, name);

        return g_file_test(path, G_FILE_TEST_EXISTS);
}

static unsigned count_reports(const Fixture *f) {
        g_autofree char *path = path_of(f, "sleep-reports");

        return loop_count_files(path);
}

/* ---- the one that is not over ---- */

static void test_unfinished(Fixture *f, const void *data) {
        _cleanup_(sleep_record_freep) SleepRecord *first = make_record(1), *second = make_record(2), *none = NULL;
        g_autofree char *path = path_of(f, "sleep");
        struct stat st;

        g_assert_cmpint(sleep_archive_load(f->dir, &none), ==, -ENOENT);
        g_assert_cmpint(sleep_archive_remove(f->dir), ==, 0);
        for (unsigned i = 0; i < 2; i++) {
                _cleanup_(sleep_record_freep) SleepRecord *read = NULL;

                g_assert_cmpint(sleep_archive_store(f->dir, i == 0 ? first : second), ==, 0);
                g_assert_cmpint(sleep_archive_load(f->dir, &read), ==, 0);
                g_assert_cmpuint(read->cycle.id, ==, i + 1);
        }
        /* What a VM is called is nobody else's business. */
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
        /* It is no report. */
        g_assert_cmpuint(last_report(f), ==, 0);
        g_assert_cmpint(sleep_archive_remove(f->dir), ==, 0);
        g_assert_cmpint(sleep_archive_load(f->dir, &none), ==, -ENOENT);
        g_assert_cmpint(sleep_archive_remove(f->dir), ==, 0);
        g_assert_null(none);
}

static void test_unusable(Fixture *f, const void *data) {
        static const struct {
                const char *text;
                int r;
        } cases[] = {
                { "", -EBADMSG },
                { "gpuptd-sleep 1\n", -EBADMSG },
                { "gpuptd-sleep 2\nend\n", -EPROTONOSUPPORT },
                { "something else\n", -EBADMSG },
        };
        g_autofree char *path = path_of(f, "sleep"), *huge = g_strnfill(64 << 20, 'x');
        SleepRecord *s = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                put(path, cases[i].text);
                g_assert_cmpint(sleep_archive_load(f->dir, &s), ==, cases[i].r);
        }
        put(path, huge);
        g_assert_cmpint(sleep_archive_load(f->dir, &s), ==, -EBADMSG);
        /* It is left where it is. */
        g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
        g_assert_null(s);
}

static void test_no_directory(Fixture *f, const void *data) {
        _cleanup_(sleep_record_freep) SleepRecord *s = make_record(1);
        g_autofree char *nowhere = path_of(f, "nowhere");

        g_assert_cmpint(sleep_archive_store(nowhere, s), ==, -ENOENT);
        g_assert_cmpint(sleep_archive_add_report(nowhere, s), ==, -ENOENT);
        g_assert_cmpint(sleep_archive_last_report(nowhere, &s), ==, -ENOENT);
        g_assert_cmpint(sleep_archive_remove(nowhere), ==, 0);
}

static void fill(char **p, char c, size_t n) {
        g_autofree char *text = g_strnfill(n, c);

        g_assert_cmpint(free_and_strdup(p, text), ==, 0);
}

/* Whatever a record may be, it can be read again. */
static void test_largest(Fixture *f, const void *data) {
        _cleanup_(sleep_record_freep) SleepRecord *s = make_record(1), *read = NULL;
        g_autofree char *text = g_strnfill(2 * SLEEP_TEXT_MAX, ' ');

        for (unsigned i = 0; i < SLEEP_VMS_MAX; i++) {
                SleepVm *v;

                g_assert_cmpint(sleep_record_add_vm(s, "libvirt", "x", text, 1, &v), ==, 0);
                fill(&v->id, ' ', VM_ID_MAX);
                fill(&v->message, '\\', 2 * SLEEP_TEXT_MAX);
                for (unsigned k = 0; k < SLEEP_CARDS_MAX; k++)
                        g_assert_cmpint(strv_extend(&v->gpus, "00010000:01:00.0"), ==, 0);
        }
        for (unsigned i = 0; i < SLEEP_CARDS_MAX; i++) {
                g_autofree char *address = g_strdup_printf("%08x:01:00.0", 0x10000 + i);
                SleepCard *c;

                g_assert_cmpint(sleep_record_add_card(s, address, "10de:2204:1458:403b", &c), ==, 0);
                c->before = GPU_ASSIGNED;
                fill(&c->message, '\x7f', 2 * SLEEP_TEXT_MAX);
        }
        for (unsigned i = 0; i < SLEEP_KERNEL_LINES_MAX; i++)
                g_assert_cmpint(strv_extend(&s->kernel_lines, text), ==, 0);
        for (unsigned i = 0; i < SLEEP_STATISTICS_MAX; i++)
                g_assert_cmpint(sleep_record_add_statistic(s, "fail", text), ==, 0);
        g_assert_cmpint(sleep_record_veto(s, "0000:01:00.0", "org.gpupt1.Error.InUse", text), ==, 0);

        g_assert_cmpint(sleep_archive_store(f->dir, s), ==, 0);
        g_assert_cmpint(sleep_archive_load(f->dir, &read), ==, 0);
        g_assert_cmpuint(read->n_vms, ==, SLEEP_VMS_MAX);
        g_assert_cmpuint(strv_length(read->kernel_lines), ==, SLEEP_KERNEL_LINES_MAX);
}

/* ---- those that are ---- */

static void test_reports(Fixture *f, const void *data) {
        g_assert_cmpuint(last_report(f), ==, 0);
        for (unsigned id = 1; id <= 3 * SLEEP_REPORTS_MAX; id++) {
                add_report(f, id);
                g_assert_cmpuint(last_report(f), ==, id);
                g_assert_cmpuint(count_reports(f), ==, MIN(id, SLEEP_REPORTS_MAX));
        }
        /* The newest ones, by number and not by name. */
        g_assert_false(report_exists(f, "40"));
        g_assert_true(report_exists(f, "41"));
        g_assert_true(report_exists(f, "60"));
}

/* More than there should be, as a former version may have kept. */
static void test_too_many(Fixture *f, const void *data) {
        g_autofree char *dir = path_of(f, "sleep-reports");

        g_assert_cmpint(mkdir(dir, 0700), ==, 0);
        for (unsigned i = 1; i <= 50; i++) {
                g_autofree char *name = g_strdup_printf("%u", i), *path = report_path(f, name);

                put(path, "");
        }
        g_assert_cmpuint(last_report(f), ==, 0);
        add_report(f, 7);
        g_assert_cmpuint(count_reports(f), ==, SLEEP_REPORTS_MAX);
        g_assert_true(report_exists(f, "51"));
        g_assert_cmpuint(last_report(f), ==, 7);
}

static void test_damaged(Fixture *f, const void *data) {
        static const char *const texts[] = { "", "gpuptd-sleep 1\nend\n", "gpuptd-sleep 2\nend\n", "\xff\n" };
        g_autofree char *last = report_path(f, "3"), *before = report_path(f, "2"), *first = report_path(f, "1");

        for (unsigned id = 1; id <= 3; id++)
                add_report(f, id);
        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                put(last, texts[i]);
                g_assert_cmpuint(last_report(f), ==, 2);
        }
        /* The number is taken, all the same. */
        add_report(f, 4);
        g_assert_true(report_exists(f, "4"));
        g_assert_cmpuint(last_report(f), ==, 4);
        {
                g_autofree char *newest = report_path(f, "4");

                put(newest, "");
        }
        put(before, "");
        g_assert_cmpuint(last_report(f), ==, 1);
        g_assert_cmpint(unlink(first), ==, 0);
        g_assert_cmpuint(last_report(f), ==, 0);
}

/* What is not ours is not counted, not read and not removed. */
static void test_strange_names(Fixture *f, const void *data) {
        static const char *const names[] = { "0", "-1", "x", "1x", ".hidden", "99.Ab12Cd", "4294967296", "99999999999999999999", " 5", "+5", "0x5" };

        add_report(f, 1);
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *path = report_path(f, names[i]);

                put(path, "");
        }
        g_assert_cmpuint(last_report(f), ==, 1);
        for (unsigned id = 2; id <= 2 * SLEEP_REPORTS_MAX; id++)
                add_report(f, id);
        g_assert_cmpuint(last_report(f), ==, 2 * SLEEP_REPORTS_MAX);
        g_assert_cmpuint(count_reports(f), ==, SLEEP_REPORTS_MAX + G_N_ELEMENTS(names));
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                g_assert_true(report_exists(f, names[i]));
}

/* A number that nobody of us writes so names no file of ours, and keeps none of ours from being removed. */
static void test_leading_zeros(Fixture *f, const void *data) {
        add_report(f, 1);
        {
                g_autofree char *path = report_path(f, "002");

                put(path, "");
        }
        for (unsigned id = 2; id <= 3 * SLEEP_REPORTS_MAX; id++)
                add_report(f, id);
        g_assert_cmpuint(last_report(f), ==, 3 * SLEEP_REPORTS_MAX);
        g_assert_cmpuint(count_reports(f), <=, SLEEP_REPORTS_MAX + 1);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add("/sleep-archive/" path, Fixture, NULL, set_up, function, tear_down)
        ADD("unfinished", test_unfinished);
        ADD("unusable", test_unusable);
        ADD("no-directory", test_no_directory);
        ADD("largest", test_largest);
        ADD("reports", test_reports);
        ADD("too-many", test_too_many);
        ADD("damaged", test_damaged);
        ADD("strange-names", test_strange_names);
        ADD("leading-zeros", test_leading_zeros);
#undef ADD
        return g_test_run();
}
