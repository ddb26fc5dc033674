/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "display-record.h"

#include <ctype.h>
#include <limits.h>
#include <unistd.h>

#include "util/address.h"
#include "util/fs.h"
#include "util/words.h"

#define RECORD_FILE_MAX 4096U
#define IDENTITY_MAX 64U

DisplayRecord *display_record_new(const char *gpu, const char *identity) {
        _cleanup_(display_record_freep) DisplayRecord *record = calloc(1, sizeof(DisplayRecord));

        if (!record)
                return NULL;
        record->gpu = strdup(gpu);
        record->identity = strdup(identity);
        return record->gpu && record->identity ? TAKE_PTR(record) : NULL;
}

DisplayRecord *display_record_free(DisplayRecord *r) {
        if (!r)
                return NULL;
        free(r->gpu);
        free(r->identity);
        strv_free(r->screens);
        free(r);
        return NULL;
}

bool display_connector_valid(const char *s) {
        size_t n = strlen(s);

        for (size_t i = 0; i < n; i++)
                if (!isalnum((unsigned char) s[i]) && s[i] != '-' && s[i] != '_')
                        return false;
        return n > 0 && n <= 32;
}

static int record_path(const char *run_dir, const char *gpu, char ret[static PATH_MAX]) {
        if (!pci_address_valid(gpu))
                return -EINVAL;
        return snprintf(ret, PATH_MAX, "%s/display-%s", run_dir, gpu) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

void display_record_write(const DisplayRecord *record, FILE *f) {
        fputs("gpuptd-display 1\n", f);
        words_write(f, "gpu", record->gpu, record->identity, NULL);
        fprintf(f, "wait %s\nuntil %llu\n", display_wait_to_string(record->wait), (unsigned long long) record->until_usec);
        if (record->job > 0)
                fprintf(f, "job %u\n", record->job);
        if (record->healed)
                fputs("healed\n", f);
        for (char **screen = record->screens; screen && *screen; screen++)
                words_write(f, "screen", *screen, NULL);
        fputs("end\n", f);
}

int display_record_store(const char *run_dir, const DisplayRecord *record) {
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX];
        size_t size;
        FILE *f;
        int r;

        r = record_path(run_dir, record->gpu, path);
        if (r < 0)
                return r;
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        display_record_write(record, f);
        if (fclose(f) != 0)
                return -ENOMEM;
        return write_file_atomic(path, text, size);
}

/* Each line but those of screens comes once. */
typedef struct Reading {
        DisplayRecord *record;
        bool has_wait, has_until;
} Reading;

static int read_screen(DisplayRecord *record, const char *name) {
        if (!display_connector_valid(name) || strv_contains(record->screens, name) ||
            strv_length(record->screens) >= DISPLAY_SCREENS_MAX)
                return -EBADMSG;
        return strv_extend(&record->screens, name);
}

static int read_line(char *const *w, void *userdata) {
        Reading *reading = ASSERT_PTR(userdata);
        DisplayRecord *record = reading->record;
        size_t n = strv_length(w);
        uint64_t v;

        if (streq(w[0], "gpu") && n == 3 && pci_address_valid(w[1]) && strlen(w[2]) <= IDENTITY_MAX && !record->gpu) {
                int r = free_and_strdup(&record->gpu, w[1]);

                return r < 0 ? r : free_and_strdup(&record->identity, w[2]);
        }
        if (streq(w[0], "wait") && n == 2 && !reading->has_wait) {
                record->wait = display_wait_from_string(w[1]);
                reading->has_wait = true;
                return record->wait < 0 ? -EBADMSG : 0;
        }
        if (streq(w[0], "until") && n == 2 && !reading->has_until) {
                reading->has_until = true;
                return parse_u64(w[1], INT64_MAX, &record->until_usec) < 0 ? -EBADMSG : 0;
        }
        if (streq(w[0], "job") && n == 2 && record->job == 0 && parse_u64(w[1], UINT32_MAX, &v) >= 0 && v > 0) {
                record->job = (unsigned) v;
                return 0;
        }
        if (streq(w[0], "healed") && n == 1 && !record->healed) {
                record->healed = true;
                return 0;
        }
        return streq(w[0], "screen") && n == 2 ? read_screen(record, w[1]) : -EBADMSG;
}

int display_record_read(const char *text, size_t size, DisplayRecord **ret) {
        _cleanup_(display_record_freep) DisplayRecord *record = calloc(1, sizeof(DisplayRecord));
        Reading reading = { .record = record };
        bool runs;
        int r;

        if (!record)
                return -ENOMEM;
        r = words_read_file(text, size, "gpuptd-display", read_line, &reading);
        if (r < 0)
                return r;
        if (!record->gpu || !reading.has_wait || !reading.has_until)
                return -EBADMSG;
        runs = record->wait == DISPLAY_WAIT_ATTACH || record->wait == DISPLAY_WAIT_RECOVERY;
        if (record->job > 0 && !runs)
                return -EBADMSG;
        *ret = TAKE_PTR(record);
        return 0;
}

int display_record_load(const char *run_dir, const char *gpu, DisplayRecord **ret) {
        _cleanup_(display_record_freep) DisplayRecord *record = NULL;
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX];
        size_t size;
        int r;

        r = record_path(run_dir, gpu, path);
        if (r >= 0)
                r = read_file_at(AT_FDCWD, path, RECORD_FILE_MAX, &text, &size);
        if (r >= 0)
                r = display_record_read(text, size, &record);
        if (r < 0)
                return r == -EFBIG ? -EBADMSG : r;
        if (!streq(record->gpu, gpu))
                return -EBADMSG;
        *ret = TAKE_PTR(record);
        return 0;
}

int display_record_remove(const char *run_dir, const char *gpu) {
        char path[PATH_MAX];
        int r;

        r = record_path(run_dir, gpu, path);
        if (r < 0)
                return r;
        return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int display_record_list(const char *run_dir, char ***ret) {
        return pci_address_list_files(run_dir, "display-", ret);
}
