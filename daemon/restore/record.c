/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "restore/record.h"

#include "util/address.h"
#include "util/fs.h"
#include "util/words.h"
#include "xorg-file.h"

#define FILE_MAX (64U * 1024U)
#define FILES_MAX 32U
#define PREFIX "xorg-"

void xorg_record_done(XorgRecord *r) {
        free(r->gpu);
        free(r->identity);
        strv_free(r->files);
        *r = (XorgRecord) {};
}

static int record_path(const char *state_dir, const char *gpu, char **ret) {
        if (!pci_address_valid(gpu))
                return -EINVAL;
        return asprintf(ret, "%s/" PREFIX "%s", state_dir, gpu) < 0 ? (*ret = NULL, -ENOMEM) : 0;
}

static int sync_directory(const char *path) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : RET_NERRNO(fsync(fd));
}

int xorg_record_store(const char *state_dir, const XorgRecord *r) {
        _cleanup_free_ char *text = NULL, *path = NULL;
        char boot[33];
        size_t size;
        FILE *f;
        int k;

        k = record_path(state_dir, r->gpu, &path);
        if (k >= 0)
                k = boot_id(boot);
        if (k < 0)
                return k;
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        fprintf(f, "gpuptd-xorg 1\nboot %s\n", boot);
        words_write(f, "gpu", r->gpu, r->identity, NULL);
        for (char **file = r->files; file && *file; file++)
                words_write(f, "file", *file, NULL);
        fputs("end\n", f);
        if (fclose(f) != 0)
                return -ENOMEM;
        k = write_file_atomic(path, text, size);
        return k < 0 ? k : sync_directory(state_dir);
}

static int read_line(char *const *w, void *userdata) {
        XorgRecord *r = ASSERT_PTR(userdata);
        size_t n = strv_length(w);

        if (streq(w[0], "boot") && n == 2)
                return 0;
        if (streq(w[0], "gpu") && n == 3 && pci_address_valid(w[1]) && !r->gpu) {
                int k = free_and_strdup(&r->gpu, w[1]);

                return k < 0 ? k : free_and_strdup(&r->identity, w[2]);
        }
        if (streq(w[0], "file") && n == 2 && xorg_file_valid(w[1]) && strv_length(r->files) < FILES_MAX)
                return strv_extend(&r->files, w[1]);
        return -EBADMSG;
}

int xorg_record_load(const char *state_dir, const char *gpu, XorgRecord *ret) {
        _cleanup_free_ char *text = NULL, *path = NULL;
        _cleanup_(xorg_record_done) XorgRecord r = {};
        size_t size;
        int k;

        k = record_path(state_dir, gpu, &path);
        if (k >= 0)
                k = read_file_at(AT_FDCWD, path, FILE_MAX, &text, &size);
        if (k >= 0)
                k = words_read_file(text, size, "gpuptd-xorg", read_line, &r);
        if (k < 0)
                return k == -EFBIG ? -EBADMSG : k;
        if (!r.gpu || !streq(r.gpu, gpu))
                return -EBADMSG;
        *ret = r;
        r = (XorgRecord) {};
        return 0;
}

int xorg_record_remove(const char *state_dir, const char *gpu) {
        _cleanup_free_ char *path = NULL;
        int k;

        k = record_path(state_dir, gpu, &path);
        if (k < 0)
                return k;
        if (unlink(path) < 0)
                return errno == ENOENT ? 0 : -errno;
        return sync_directory(state_dir);
}

int xorg_record_list(const char *state_dir, char ***ret) {
        return pci_address_list_files(state_dir, PREFIX, ret);
}
