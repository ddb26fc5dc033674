/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "host-record.h"

#include <dirent.h>
#include <limits.h>

#include "util/address.h"
#include "util/fs.h"

#define RECORD_FILE_MAX (256U * 1024U)

HostRecord *host_record_new(const char *gpu, const char *identity) {
        _cleanup_(host_record_freep) HostRecord *record = calloc(1, sizeof(HostRecord));

        if (!record)
                return NULL;
        record->gpu = strdup(gpu);
        record->identity = strdup(identity);
        if (!record->gpu || !record->identity)
                return NULL;
        return TAKE_PTR(record);
}

HostRecord *host_record_free(HostRecord *r) {
        if (!r)
                return NULL;
        free(r->gpu);
        free(r->identity);
        strv_free(r->functions);
        strv_free(r->units);
        strv_free(r->modules);
        saved_done(&r->saved);
        free(r);
        return NULL;
}

static int record_path(const char *run_dir, const char *gpu, char ret[static PATH_MAX]) {
        if (!pci_address_valid(gpu))
                return -EINVAL;
        return snprintf(ret, PATH_MAX, "%s/gpu-%s", run_dir, gpu) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static void write_list(FILE *f, const char *key, char *const *list) {
        for (; list && *list; list++)
                words_write(f, key, *list, NULL);
}

void host_record_write(const HostRecord *record, FILE *f) {
        fputs("gpuptd-gpu 1\n", f);
        words_write(f, "gpu", record->gpu, record->identity, NULL);
        write_list(f, "function", record->functions);
        write_list(f, "unit", record->units);
        write_list(f, "module", record->modules);
        if (record->access)
                fprintf(f, "access %u\n", record->access_uid);
        saved_write(&record->saved, f);
        fputs("end\n", f);
}

int host_record_store(const char *run_dir, const HostRecord *record) {
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
        host_record_write(record, f);
        if (fclose(f) != 0)
                return -ENOMEM;
        return write_file_atomic(path, text, size);
}

static int read_line(char *const *w, void *userdata) {
        HostRecord *record = ASSERT_PTR(userdata);
        size_t n = strv_length(w);
        uint64_t uid;

        if (streq(w[0], "gpu") && n == 3 && pci_address_valid(w[1]) && !record->gpu) {
                int r = free_and_strdup(&record->gpu, w[1]);

                return r < 0 ? r : free_and_strdup(&record->identity, w[2]);
        }
        if (streq(w[0], "function") && n == 2 && pci_address_valid(w[1]))
                return strv_extend(&record->functions, w[1]);
        if (streq(w[0], "unit") && n == 2)
                return strv_extend(&record->units, w[1]);
        if (streq(w[0], "module") && n == 2)
                return strv_extend(&record->modules, w[1]);
        if (streq(w[0], "access") && n == 2 && parse_u64(w[1], UINT32_MAX, &uid) >= 0) {
                record->access = true;
                record->access_uid = (uint32_t) uid;
                return 0;
        }
        if (streq(w[0], "saved"))
                return saved_read_line(&record->saved, w);
        return -EBADMSG;
}

int host_record_read(const char *text, size_t size, HostRecord **ret) {
        _cleanup_(host_record_freep) HostRecord *record = calloc(1, sizeof(HostRecord));
        int r;

        if (!record)
                return -ENOMEM;
        r = words_read_file(text, size, "gpuptd-gpu", read_line, record);
        if (r < 0)
                return r;
        if (!record->gpu || !record->functions)
                return -EBADMSG;
        *ret = TAKE_PTR(record);
        return 0;
}

int host_record_load(const char *run_dir, const char *gpu, HostRecord **ret) {
        _cleanup_(host_record_freep) HostRecord *record = NULL;
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX];
        size_t size;
        int r;

        r = record_path(run_dir, gpu, path);
        if (r < 0)
                return r;
        r = read_file_at(AT_FDCWD, path, RECORD_FILE_MAX, &text, &size);
        if (r < 0)
                return r;
        r = host_record_read(text, size, &record);
        if (r < 0)
                return r;
        if (!streq(record->gpu, gpu))
                return -EBADMSG;
        *ret = TAKE_PTR(record);
        return 0;
}

int host_record_remove(const char *run_dir, const char *gpu) {
        char path[PATH_MAX];
        int r;

        r = record_path(run_dir, gpu, path);
        if (r < 0)
                return r;
        return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int host_record_list(const char *run_dir, char ***ret) {
        return pci_address_list_files(run_dir, "gpu-", ret);
}
