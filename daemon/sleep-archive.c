/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sleep-archive.h"

#include <limits.h>
#include <sys/stat.h>

#include "util/fs.h"
#include "util/words.h"

/* The largest that sleep_record_write() makes: its limits, each line as long as it may be. */
#define RECORD_MAX (4U * 1024U * 1024U)
#define REPORTS_DIR "sleep-reports"

static int format_record(const SleepRecord *s, char **ret, size_t *ret_size) {
        FILE *f = open_memstream(ret, ret_size);

        if (!f)
                return -ENOMEM;
        sleep_record_write(s, f);
        if (fclose(f) != 0) {
                free(*ret);
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

static int store_at(const char *path, const SleepRecord *s) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        r = format_record(s, &text, &size);
        return r < 0 ? r : write_file_atomic(path, text, size);
}

static int load_at(const char *path, SleepRecord **ret) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        r = read_file_at(AT_FDCWD, path, RECORD_MAX, &text, &size);
        if (r < 0)
                return r == -EFBIG ? -EBADMSG : r;
        return sleep_record_read(text, size, ret);
}

int sleep_archive_store(const char *state_dir, const SleepRecord *s) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/sleep", state_dir) < 0)
                return -ENOMEM;
        return store_at(path, s);
}

int sleep_archive_load(const char *state_dir, SleepRecord **ret) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/sleep", state_dir) < 0)
                return -ENOMEM;
        return load_at(path, ret);
}

int sleep_archive_remove(const char *state_dir) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/sleep", state_dir) < 0)
                return -ENOMEM;
        return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* ---- reports ---- */

static int compare_numbers(const void *a, const void *b) {
        unsigned x = *(const unsigned *) a, y = *(const unsigned *) b;

        return x < y ? -1 : x > y;
}

/* Ascending; ended by 0. */
static int list_reports(const char *state_dir, unsigned **ret) {
        _cleanup_closedir_ DIR *dir = NULL;
        _cleanup_free_ unsigned *numbers = calloc(1, sizeof(unsigned));
        _cleanup_free_ char *path = NULL;
        struct dirent *entry;
        size_t n = 0;

        if (!numbers || asprintf(&path, "%s/" REPORTS_DIR, state_dir) < 0)
                return -ENOMEM;
        dir = opendir(path);
        if (!dir && errno != ENOENT)
                return -errno;
        while (dir && (entry = readdir(dir))) {
                unsigned *more;
                uint64_t number;

                if (parse_u64(entry->d_name, UINT_MAX - 1, &number) < 0 || number == 0)
                        continue;
                more = reallocarray(numbers, n + 2, sizeof(unsigned));
                if (!more)
                        return -ENOMEM;
                numbers = more;
                numbers[n++] = (unsigned) number;
                numbers[n] = 0;
        }
        qsort(numbers, n, sizeof(unsigned), compare_numbers);
        *ret = TAKE_PTR(numbers);
        return (int) n;
}

static char *report_path(const char *state_dir, unsigned number) {
        char *path;

        return asprintf(&path, "%s/" REPORTS_DIR "/%u", state_dir, number) < 0 ? NULL : path;
}

int sleep_archive_add_report(const char *state_dir, const SleepRecord *s) {
        _cleanup_free_ char *dir = NULL, *path = NULL;
        _cleanup_free_ unsigned *numbers = NULL;
        int n, r;

        if (asprintf(&dir, "%s/" REPORTS_DIR, state_dir) < 0)
                return -ENOMEM;
        if (mkdir(dir, 0700) < 0 && errno != EEXIST)
                return -errno;
        n = list_reports(state_dir, &numbers);
        if (n < 0)
                return n;
        path = report_path(state_dir, n > 0 ? numbers[n - 1] + 1 : 1);
        if (!path)
                return -ENOMEM;
        r = store_at(path, s);
        for (int i = 0; r >= 0 && i + (int) SLEEP_REPORTS_MAX <= n; i++) {
                _cleanup_free_ char *old = report_path(state_dir, numbers[i]);

                /* Somebody's "007" was counted, and is not ours. */
                if (old && unlink(old) < 0 && errno != ENOENT)
                        r = -errno;
        }
        return r;
}

int sleep_archive_last_report(const char *state_dir, SleepRecord **ret) {
        _cleanup_free_ unsigned *numbers = NULL;
        int n;

        n = list_reports(state_dir, &numbers);
        if (n < 0)
                return n;
        while (n-- > 0) {
                _cleanup_free_ char *path = report_path(state_dir, numbers[n]);

                if (path && load_at(path, ret) >= 0)
                        return 0;
        }
        return -ENOENT;
}
