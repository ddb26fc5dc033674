/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-host-record: that what the host looked like is remembered whole, or not at all. */

#include "loop.h"

#include "host-record.h"
#include "snapshot-builder.h"

static HostRecord *make_record(void) {
        HostRecord *record = host_record_new("0000:01:00.0", "10de:2204:1458:403b");

        g_assert_nonnull(record);
        build_strv(&record->functions, "0000:01:00.0");
        build_strv(&record->functions, "0000:01:00.1");
        build_strv(&record->units, "nvidia-persistenced.service");
        build_strv(&record->modules, "nvidia_drm");
        build_strv(&record->modules, "nvidia");
        record->access = true;
        record->access_uid = 1000;
        g_assert_cmpint(saved_add(&record->saved, "0000:01:00.0", "driver", "nvidia"), ==, 0);
        g_assert_cmpint(saved_add(&record->saved, "0000:01:00.0", "override", ""), ==, 0);
        g_assert_cmpint(saved_add(&record->saved, "vtcon1", "console", "bound"), ==, 0);
        return record;
}

static char *text_of(const HostRecord *record, size_t *ret_size) {
        char *text = NULL;
        FILE *f = open_memstream(&text, ret_size);

        g_assert_nonnull(f);
        host_record_write(record, f);
        g_assert_cmpint(fclose(f), ==, 0);
        return text;
}

static void assert_same(const HostRecord *a, const HostRecord *b) {
        _cleanup_free_ char *x = NULL, *y = NULL;
        size_t n, m;

        x = text_of(a, &n);
        y = text_of(b, &m);
        g_assert_cmpstr(x, ==, y);
}

static void test_files(void) {
        char *dir = loop_make_dir();
        _cleanup_(host_record_freep) HostRecord *record = make_record(), *again = NULL, *moved = NULL;
        g_autofree char *path = g_build_filename(dir, "gpu-0000:01:00.0", NULL);
        g_autofree char *other = g_build_filename(dir, "gpu-0000:02:00.0", NULL);

        g_assert_cmpint(host_record_load(dir, "0000:01:00.0", &again), ==, -ENOENT);
        g_assert_cmpint(host_record_store(dir, record), ==, 0);
        g_assert_cmpint(host_record_load(dir, "0000:01:00.0", &again), ==, 0);
        assert_same(record, again);
        g_assert_cmpstr(again->identity, ==, "10de:2204:1458:403b");
        g_assert_cmpuint(strv_length(again->functions), ==, 2);
        g_assert_cmpstr(again->modules[1], ==, "nvidia");
        g_assert_cmpuint(again->access_uid, ==, 1000);
        g_assert_cmpstr(saved_get(&again->saved, "0000:01:00.0", "override"), ==, "");

        /* A record under another card's name is nobody's. */
        g_assert_cmpint(rename(path, other), ==, 0);
        g_assert_cmpint(host_record_load(dir, "0000:02:00.0", &moved), ==, -EBADMSG);
        g_assert_cmpint(rename(other, path), ==, 0);
        g_assert_cmpint(host_record_remove(dir, "0000:01:00.0"), ==, 0);
        g_assert_cmpint(host_record_remove(dir, "0000:01:00.0"), ==, 0);
        g_assert_cmpint(host_record_load(dir, "0000:01:00.0", &moved), ==, -ENOENT);

        /* Never a path of somebody's making. */
        g_assert_cmpint(host_record_load(dir, "../etc/passwd", &moved), ==, -EINVAL);
        g_assert_cmpint(host_record_remove(dir, "../etc/passwd"), ==, -EINVAL);
        loop_remove_dir(dir);
}

static void test_list(void) {
        static const char *const names[] = {
                "gpu-0000:01:00.0",       "gpu-0001:c5:00.0", "gpu-0000:01:00.0.lock", "gpu-x", "gpu-", "job-1",
                "gpu-0000:01:00.0.Ab12Cd"
        };
        char *dir = loop_make_dir();
        _cleanup_strv_free_ char **list = NULL, **none = NULL;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                g_autofree char *path = g_build_filename(dir, names[i], NULL);

                g_assert_true(g_file_set_contents(path, "", 0, NULL));
        }
        g_assert_cmpint(host_record_list(dir, &list), ==, 0);
        g_assert_cmpuint(strv_length(list), ==, 2);
        g_assert_true(strv_contains(list, "0000:01:00.0") && strv_contains(list, "0001:c5:00.0"));
        g_assert_cmpint(host_record_list("/nonexistent", &none), ==, 0);
        g_assert_null(none);
        loop_remove_dir(dir);
}

static void test_truncated(void) {
        _cleanup_(host_record_freep) HostRecord *record = make_record();
        _cleanup_free_ char *text = NULL;
        size_t size;

        text = text_of(record, &size);
        for (size_t n = 0; n < size; n++) {
                g_autofree char *part = g_memdup2(text, n);

                g_assert_cmpint(host_record_read(part, n, &(HostRecord *) { NULL }), ==, -EBADMSG);
        }
}

static void test_mutated(void) {
        _cleanup_(host_record_freep) HostRecord *record = make_record();
        _cleanup_free_ char *text = NULL;
        size_t size;

        text = text_of(record, &size);
        for (size_t i = 0; i < size; i++)
                for (unsigned c = 0; c < 256; c += 3) {
                        _cleanup_(host_record_freep) HostRecord *read = NULL, *again = NULL;
                        _cleanup_free_ char *written = NULL;
                        char was = text[i];
                        size_t n;
                        int r;

                        text[i] = (char) c;
                        r = host_record_read(text, size, &read);
                        text[i] = was;
                        g_assert_true(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
                        if (r < 0)
                                continue;
                        written = text_of(read, &n);
                        g_assert_cmpint(host_record_read(written, n, &again), ==, 0);
                        assert_same(read, again);
                }
}

static void test_bad(void) {
#define HEAD "gpuptd-gpu 1\ngpu 0000:01:00.0 10de:2204:1458:403b\n"
#define TAIL "function 0000:01:00.0\nend\n"
        static const struct {
                const char *text;
                int r;
        } cases[] = {
                { HEAD TAIL, 0 },
                { HEAD "end\n", -EBADMSG },
                { "gpuptd-gpu 1\n" TAIL, -EBADMSG },
                { "gpuptd-gpu 2\ngpu 0000:01:00.0 x\n" TAIL, -EPROTONOSUPPORT },
                { "gpuptd-job 1\ngpu 0000:01:00.0 x\n" TAIL, -EBADMSG },
                { HEAD "gpu 0000:02:00.0 x\n" TAIL, -EBADMSG },
                { HEAD "function 01:00.1\n" TAIL, -EBADMSG },
                { HEAD "unit\n" TAIL, -EBADMSG },
                { HEAD "unit a b\n" TAIL, -EBADMSG },
                { HEAD "module\n" TAIL, -EBADMSG },
                { HEAD "access -1\n" TAIL, -EBADMSG },
                { HEAD "access 4294967296\n" TAIL, -EBADMSG },
                { HEAD "saved a\n" TAIL, -EBADMSG },
                { HEAD "colour blue\n" TAIL, -EBADMSG },
                { HEAD TAIL "end\n", -EBADMSG },
                { HEAD TAIL "unit x\n", -EBADMSG },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(host_record_freep) HostRecord *record = NULL;

                g_test_message("%zu", i);
                g_assert_cmpint(host_record_read(cases[i].text, strlen(cases[i].text), &record), ==, cases[i].r);
        }
}

static void test_identity(void) {
        Function f = { .vendor = 0x10de, .device = 0x2204, .subsystem_vendor = 0x1458, .subsystem_device = 0x3b };
        _cleanup_free_ char *identity = function_identity(&f);

        g_assert_cmpstr(identity, ==, "10de:2204:1458:003b");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/host-record/files", test_files);
        g_test_add_func("/host-record/list", test_list);
        g_test_add_func("/host-record/truncated", test_truncated);
        g_test_add_func("/host-record/mutated", test_mutated);
        g_test_add_func("/host-record/bad", test_bad);
        g_test_add_func("/host-record/identity", test_identity);
        return g_test_run();
}
