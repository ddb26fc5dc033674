/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "kernel-log.h"

#include <systemd/sd-journal.h>

#include "util/address.h"
#include "util/log.h"

struct KernelLog {
        sd_journal *journal;
        sd_event_source *source;
        kernel_log_handler_t handler;
        void *userdata;
};

/* A field of the current entry without its name; limited, since anybody can write to /dev/kmsg as root. */
static int get_field(sd_journal *journal, const char *field, char *buf, size_t size) {
        const void *data;
        size_t n, skip = strlen(field) + 1;
        int r;

        r = sd_journal_get_data(journal, field, &data, &n);
        if (r < 0)
                return r;
        if (n < skip)
                return -EBADMSG;
        n = MIN(n - skip, size - 1);
        memcpy(buf, (const char *) data + skip, n);
        buf[n] = '\0';
        return 0;
}

static void report_entry(KernelLog *l) {
        char device[64], message[512];
        const char *address;

        if (get_field(l->journal, "_KERNEL_DEVICE", device, sizeof(device)) < 0 ||
            get_field(l->journal, "MESSAGE", message, sizeof(message)) < 0)
                return;
        address = startswith(device, "+pci:");
        if (address && pci_address_valid(address))
                l->handler(address, message, l->userdata);
}

static int on_journal(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        KernelLog *l = ASSERT_PTR(userdata);
        int r;

        r = sd_journal_process(l->journal);
        if (r < 0) {
                log_warning_errno(r, "Failed to follow the kernel's log, ignoring: %m");
                return 0;
        }
        while ((r = sd_journal_next(l->journal)) > 0)
                report_entry(l);
        if (r < 0)
                log_warning_errno(r, "Failed to read the kernel's log, ignoring: %m");
        return 0;
}

int kernel_log_new(sd_event *event, kernel_log_handler_t handler, void *userdata, KernelLog **ret) {
        _cleanup_(kernel_log_freep) KernelLog *l = calloc(1, sizeof(KernelLog));
        int fd, r;

        if (!l)
                return -ENOMEM;
        l->handler = handler;
        l->userdata = userdata;
        r = sd_journal_open(&l->journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);
        if (r < 0)
                return r;
        r = sd_journal_add_match(l->journal, "_TRANSPORT=kernel", 0);
        if (r >= 0)
                r = sd_journal_add_match(l->journal, "_KERNEL_SUBSYSTEM=pci", 0);
        if (r >= 0)
                r = sd_journal_seek_tail(l->journal);
        /* The position is only real after a step (sd_journal_seek_tail(3)). */
        if (r >= 0)
                r = sd_journal_previous(l->journal);
        if (r < 0)
                return r;
        fd = sd_journal_get_fd(l->journal);
        if (fd < 0)
                return fd;
        r = sd_event_add_io(event, &l->source, fd, (uint32_t) sd_journal_get_events(l->journal), on_journal, l);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(l->source, "kernel-log");
        *ret = TAKE_PTR(l);
        return 0;
}

KernelLog *kernel_log_free(KernelLog *l) {
        if (!l)
                return NULL;
        sd_event_source_disable_unref(l->source);
        sd_journal_close(l->journal);
        free(l);
        return NULL;
}
