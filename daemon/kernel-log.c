/* SPDX-License-Identifier: GPL-2.0-or-later */

/* kernel-log: reads the files of the journal backwards from their ends, since that is what a reader of "what is new"
 * wants and costs the same however much is old: seeking to a time makes sd-journal 252 walk through every file that ends
 * before it. What a file says is not believed to be short, text, or ours. */

#include "kernel-log.h"

#include <systemd/sd-journal.h>

#include "util/fs.h"

struct KernelLog {
        char *directory;
};

/* What one call has collected so far, newest first. */
typedef struct Reading {
        sd_journal *journal;
        char *const *addresses;
        uint64_t since_usec;
        KernelLines *lines;
        size_t bytes;
} Reading;

int kernel_log_new(const char *directory, KernelLog **ret) {
        _cleanup_(kernel_log_freep) KernelLog *l = calloc(1, sizeof(KernelLog));

        if (!l || free_and_strdup(&l->directory, directory) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(l);
        return 0;
}

KernelLog *kernel_log_free(KernelLog *l) {
        if (!l)
                return NULL;
        free(l->directory);
        free(l);
        return NULL;
}

/* The value of a field of the current entry, cut and made printable: it ends up on the bus, where only UTF-8 may go. NULL
 * without an error: the entry has no such field, or is damaged. */
static int read_field(sd_journal *j, const char *name, char **ret) {
        size_t size, length = strlen(name) + 1;
        const char *data;
        const void *p;
        char *value;

        *ret = NULL;
        if (sd_journal_get_data(j, name, &p, &size) < 0 || size < length)
                return 0;
        data = (const char *) p + length;
        size = MIN(size - length, (size_t) KERNEL_LINE_TEXT_MAX);
        value = malloc(size + 1);
        if (!value)
                return -ENOMEM;
        for (size_t i = 0; i < size; i++)
                value[i] = data[i] >= ' ' && data[i] <= '~' ? data[i] : '?';
        value[size] = 0;
        *ret = value;
        return 0;
}

/* Takes over the text. */
static int add_line(Reading *r, uint64_t monotonic_usec, const char *address, char **text) {
        KernelLine *lines, l = { .monotonic_usec = monotonic_usec };

        (void) sd_journal_get_realtime_usec(r->journal, &l.realtime_usec);
        if (address) {
                l.address = strdup(address);
                if (!l.address)
                        return -ENOMEM;
        }
        lines = reallocarray(r->lines->lines, r->lines->n + 1, sizeof(KernelLine));
        if (!lines) {
                free(l.address);
                return -ENOMEM;
        }
        l.text = TAKE_PTR(*text);
        r->lines->lines = lines;
        r->lines->lines[r->lines->n++] = l;
        r->bytes += strlen(l.text);
        return 0;
}

/* The function that the kernel has marked the current entry with, if it is one of ours: drivers/base/core.c
 * set_dev_info(). */
static int marked_function(Reading *r, const char **ret) {
        _cleanup_free_ char *device = NULL;
        const char *address;
        int k;

        *ret = NULL;
        k = read_field(r->journal, "_KERNEL_DEVICE", &device);
        if (k < 0 || !device)
                return k;
        address = startswith(device, "+pci:");
        for (char *const *a = r->addresses; address && a && *a; a++)
                if (streq(*a, address))
                        *ret = *a;
        return 0;
}

/* The text of the current entry, and the function that it is marked with; either may be NULL. */
static int read_entry(Reading *r, const char **ret_address, char **ret_text) {
        int k = marked_function(r, ret_address);

        return k < 0 ? k : read_field(r->journal, "MESSAGE", ret_text);
}

static int take_marked(Reading *r, uint64_t monotonic_usec) {
        _cleanup_free_ char *text = NULL;
        const char *address;
        int k;

        k = read_entry(r, &address, &text);
        return k >= 0 && address && text ? add_line(r, monotonic_usec, address, &text) : k;
}

/* Those that only name the function in their text: of NVRM, of the IOMMU, of the port above it. */
static int take_text(Reading *r, uint64_t monotonic_usec) {
        _cleanup_free_ char *text = NULL;
        const char *address, *marked;
        KernelMeaning meaning;
        int k;

        k = read_field(r->journal, "MESSAGE", &text);
        if (k < 0 || !text)
                return k;
        address = kernel_line_address(text, r->addresses);
        if (!address) {
                kernel_line_classify(text, &meaning);
                if (!meaning.unaddressed)
                        return 0;
        }
        k = marked_function(r, &marked);
        if (k < 0 || marked)
                return k;
        return add_line(r, monotonic_usec, address, &text);
}

/* Of a sleep every line counts that is about it, whatever it is about besides. */
static int take_sleep(Reading *r, uint64_t monotonic_usec) {
        _cleanup_free_ char *text = NULL;
        const char *address;
        int k;

        k = read_entry(r, &address, &text);
        if (k < 0 || !text)
                return k;
        if (!address)
                address = kernel_line_address(text, r->addresses);
        if (address || kernel_line_is_of_sleep(text))
                k = add_line(r, monotonic_usec, address, &text);
        return k;
}

/* Goes backwards through the entries that match. */
static int walk(Reading *r, int (*take)(Reading *r, uint64_t monotonic_usec)) {
        size_t bytes_before = r->bytes;
        uint64_t monotonic_usec;
        sd_id128_t boot;
        int k;

        k = sd_journal_seek_tail(r->journal);
        for (unsigned i = 0; k >= 0; i++) {
                k = sd_journal_previous(r->journal);
                if (k <= 0)
                        break;
                /* A damaged entry is none. */
                if (sd_journal_get_monotonic_usec(r->journal, &monotonic_usec, &boot) < 0)
                        continue;
                if (monotonic_usec < r->since_usec)
                        break;
                if (i >= KERNEL_LOG_ENTRIES_MAX || r->bytes - bytes_before > KERNEL_LOG_BYTES_MAX / 2) {
                        r->lines->more = true;
                        break;
                }
                k = take(r, monotonic_usec);
        }
        return k < 0 ? k : 0;
}

static int match(sd_journal *j, char *const *addresses) {
        char boot[33], text[64];
        int k;

        sd_journal_flush_matches(j);
        k = boot_id(boot);
        if (k >= 0) {
                (void) snprintf(text, sizeof(text), "_BOOT_ID=%s", boot);
                k = sd_journal_add_match(j, text, 0);
        }
        if (k >= 0)
                k = sd_journal_add_match(j, "_TRANSPORT=kernel", 0);
        for (; k >= 0 && addresses && *addresses; addresses++) {
                (void) snprintf(text, sizeof(text), "_KERNEL_DEVICE=+pci:%s", *addresses);
                k = sd_journal_add_match(j, text, 0);
        }
        return k;
}

/* Both walks went from new to old: the lines before `first` and those from it on, made one list from old to new. */
static int merge(KernelLines *l, size_t first) {
        KernelLine *merged = calloc(l->n + 1, sizeof(KernelLine));
        size_t i = first, j = l->n;

        if (!merged)
                return -ENOMEM;
        for (size_t n = 0; n < l->n; n++) {
                bool from_first = j == first || (i > 0 && l->lines[i - 1].monotonic_usec <= l->lines[j - 1].monotonic_usec);

                merged[n] = from_first ? l->lines[--i] : l->lines[--j];
        }
        free(l->lines);
        l->lines = merged;
        return 0;
}

static int read_sleep(Reading *r) {
        int k;

        k = match(r->journal, NULL);
        if (k >= 0)
                k = walk(r, take_sleep);
        return k < 0 ? k : merge(r->lines, r->lines->n);
}

static int read_functions(Reading *r) {
        size_t first;
        int k = 0;

        if (strv_length(r->addresses) > 0) {
                k = match(r->journal, r->addresses);
                if (k >= 0)
                        k = walk(r, take_marked);
        }
        first = r->lines->n;
        if (k >= 0)
                k = match(r->journal, NULL);
        if (k >= 0)
                k = walk(r, take_text);
        return k < 0 ? k : merge(r->lines, first);
}

static int read_journal(KernelLog *l, char *const *addresses, uint64_t since_usec, int (*read)(Reading *r), KernelLines **ret) {
        _cleanup_(kernel_lines_freep) KernelLines *lines = calloc(1, sizeof(KernelLines));
        Reading r = { .addresses = addresses, .since_usec = since_usec, .lines = lines };
        int k;

        if (!lines)
                return -ENOMEM;
        if (l->directory)
                k = sd_journal_open_directory(&r.journal, l->directory, 0);
        else
                k = sd_journal_open(&r.journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);
        if (k >= 0) {
                /* Fields that are compressed are not unpacked beyond this. */
                (void) sd_journal_set_data_threshold(r.journal, KERNEL_LINE_TEXT_MAX + 64);
                k = read(&r);
                sd_journal_close(r.journal);
        }
        if (k < 0 && k != -ENOENT)
                return k;
        *ret = TAKE_PTR(lines);
        return 0;
}

int kernel_log_read(KernelLog *l, char *const *addresses, uint64_t since_usec, KernelLines **ret) {
        return read_journal(l, addresses, since_usec, read_functions, ret);
}

int kernel_log_read_sleep(KernelLog *l, char *const *addresses, uint64_t since_usec, KernelLines **ret) {
        return read_journal(l, addresses, since_usec, read_sleep, ret);
}
