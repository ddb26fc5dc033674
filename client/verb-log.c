/* SPDX-License-Identifier: GPL-2.0-or-later */

/* log: gpuptd's lines in the journal, of one GPU with the kernel's, or all. */

#include "client/gpu-choice.h"
#include "client/journal-view.h"
#include "client/pager.h"
#include "client/report.h"
#include "client/verbs.h"
#include "util/address.h"

#define LINES_BEFORE_FOLLOWING 10

static int follow(sd_journal *j, JsonMode json) {
        int r;

        for (;;) {
                (void) fflush(stdout);
                r = sd_journal_wait(j, UINT64_MAX);
                if (r >= 0)
                        r = journal_print_new(j, 0, json);
                if (r < 0)
                        return r;
        }
}

int verb_log(Client *c, char **args) {
        const Options *o = c->options;
        _cleanup_(sd_journal_closep) sd_journal *j = NULL;
        _cleanup_(gpu_choice_done) GpuChoice gpu = {};
        char formatted[PCI_ADDRESS_MAX];
        const char *address = NULL;
        uint32_t lines = UINT32_MAX;
        PciAddress parsed;
        int r;

        /* A full address needs no daemon to be understood: a log is read most when it does not run. */
        if (args[0] && pci_address_parse(args[0], &parsed) >= 0)
                address = pci_address_format(&parsed, formatted);
        else if (args[0]) {
                r = gpu_choose(c, args[0], /* operation= */ NULL, &gpu);
                if (r != 0)
                        return r;
                address = gpu.address;
        }

        r = journal_open(address, &j);
        if (r >= 0 && address)
                r = journal_add_kernel(j, address);
        if (r < 0)
                return r;

        if (!o->follow)
                pager_open(o);
        if (o->lines_set)
                lines = o->lines;
        else if (o->follow)
                lines = LINES_BEFORE_FOLLOWING;
        r = journal_print_last(j, lines, 0, o->json);
        if (r < 0)
                return r;
        if (o->follow)
                return follow(j, o->json);

        if (r == 0 && o->json == JSON_OFF && o->legend && (!o->lines_set || o->lines > 0)) {
                (void) puts("-- No entries --");
                if (geteuid() != 0)
                        report_note("The system's journal is for root and the groups systemd-journal and adm.");
        }
        return EXIT_DONE;
}
