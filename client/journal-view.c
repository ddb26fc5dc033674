/* SPDX-License-Identifier: GPL-2.0-or-later */

/* journal-view: what gpuptd wrote to the journal. Entries are matched by the trusted field _SYSTEMD_UNIT, so
 * that no other program can put words into gpuptd's mouth. */

#include "client/journal-view.h"

#include <limits.h>

#include "client/json.h"
#include "client/wrap.h"
#include "dbus/names.h"
#include "util/cleanup.h"

/* What of an entry goes into its JSON object, and under which name. */
static const struct {
        const char *field;
        const char *key;
} json_fields[] = {
        { "MESSAGE", "message" },
        { "PRIORITY", "priority" },
        { "SYSLOG_IDENTIFIER", "identifier" },
        { "_PID", "pid" },
        { GPUPT_FIELD_GPU, "gpu" },
        { GPUPT_FIELD_FUNCTION, "function" },
        { GPUPT_FIELD_JOB, "job" },
        { GPUPT_FIELD_OPERATION, "operation" },
        { GPUPT_FIELD_STEP, "step" },
        { GPUPT_FIELD_RESULT, "result" },
        { GPUPT_FIELD_ERROR, "error" },
};

int journal_open(const char *address, sd_journal **ret) {
        _cleanup_(sd_journal_closep) sd_journal *j = NULL;
        char match[64];
        int r;

        r = sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY);
        if (r < 0)
                return r;
        r = sd_journal_add_match(j, "_SYSTEMD_UNIT=" GPUPT_UNIT_DAEMON, 0);
        if (r < 0)
                return r;

        if (address) {
                (void) snprintf(match, sizeof(match), GPUPT_FIELD_GPU "=%s", address);
                r = sd_journal_add_match(j, match, 0);
        } else {
                /* also what the service manager says of the unit: started, failed, killed */
                r = sd_journal_add_disjunction(j);
                if (r >= 0)
                        r = sd_journal_add_match(j, "UNIT=" GPUPT_UNIT_DAEMON, 0);
                if (r >= 0)
                        r = sd_journal_add_match(j, "_PID=1", 0);
        }
        if (r < 0)
                return r;

        *ret = TAKE_PTR(j);
        return 0;
}

int journal_add_kernel(sd_journal *j, const char *address) {
        char match[64];
        int r;

        r = sd_journal_add_disjunction(j);
        if (r >= 0)
                r = sd_journal_add_match(j, "_TRANSPORT=kernel", 0);
        for (char function = '0'; r >= 0 && function <= '7'; function++) {
                (void) snprintf(match, sizeof(match), "_KERNEL_DEVICE=+pci:%.*s%c", (int) strlen(address) - 1, address, function);
                r = sd_journal_add_match(j, match, 0);
        }
        /* Below a notice is what every boot says of every device. */
        for (char priority = '0'; r >= 0 && priority <= '5'; priority++) {
                (void) snprintf(match, sizeof(match), "PRIORITY=%c", priority);
                r = sd_journal_add_match(j, match, 0);
        }
        return r;
}

/* The value of one field, or NULL if the entry has none (or memory is out). */
static char *get_field(sd_journal *j, const char *field) {
        size_t length, prefix = strlen(field) + 1;
        const void *data;

        if (sd_journal_get_data(j, field, &data, &length) < 0 || length < prefix)
                return NULL;
        return strndup((const char *) data + prefix, length - prefix);
}

static void print_text(sd_journal *j, uint64_t usec, int indent) {
        _cleanup_free_ char *message = get_field(j, "MESSAGE"), *priority = get_field(j, "PRIORITY"),
                            *identifier = get_field(j, "SYSLOG_IDENTIFIER"), *pid = get_field(j, "_PID");
        _cleanup_free_ char *who = text_escape(strempty(identifier));
        char stamp[TIMESTAMP_MAX];
        TextShape shape = {};

        if (pid) { /* the kernel has none */
                _cleanup_free_ char *number = TAKE_PTR(pid);

                if (asprintf(&pid, "[%s]", number) < 0)
                        pid = NULL;
        }
        shape.color = !priority || *priority >= '5' ? COLOR_NONE : *priority == '4' ? COLOR_YELLOW : COLOR_RED;
        (void) printf("%*s%s %s%s: ", indent, "", timestamp_format(stamp, TIME_LOG, usec), strempty(who), strempty(pid));
        /* Further lines of a message stand below its first, as in journalctl. */
        shape.indent = (size_t) indent + text_width(stamp) + STRLEN(" ");
        text_print(stdout, &shape, strempty(message));
}

static int print_json(sd_journal *j, uint64_t usec, JsonMode json) {
        _cleanup_(json_object_putp) json_object *o = NULL;

        o = json_object_new_object();
        if (!o || json_object_object_add(o, "time", json_object_new_uint64(usec)) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(json_fields); i++) {
                _cleanup_free_ char *value = get_field(j, json_fields[i].field);

                if (value && json_object_object_add(o, json_fields[i].key, json_object_new_string(value)) < 0)
                        return -ENOMEM;
        }
        json_print(o, json);
        return 0;
}

static int print_entry(sd_journal *j, int indent, JsonMode json) {
        _cleanup_free_ char *sent = get_field(j, "_SOURCE_REALTIME_TIMESTAMP");
        uint64_t usec;
        int r;

        /* When it was sent, as journalctl shows it: while an unbind hangs, journald may receive nothing for minutes. */
        if (sent)
                usec = strtoull(sent, NULL, 10);
        else {
                r = sd_journal_get_realtime_usec(j, &usec);
                if (r < 0)
                        return r;
        }
        if (json != JSON_OFF)
                return print_json(j, usec, json);
        print_text(j, usec, indent);
        return 0;
}

int journal_print_new(sd_journal *j, int indent, JsonMode json) {
        int n = 0, r;

        while ((r = sd_journal_next(j)) > 0) {
                r = print_entry(j, indent, json);
                if (r < 0)
                        return r;
                n++;
        }
        return r < 0 ? r : n;
}

int journal_print_last(sd_journal *j, uint32_t n, int indent, JsonMode json) {
        int r;

        if (n > INT_MAX) { /* more than sd_journal_previous_skip() takes, and more than there are */
                r = sd_journal_seek_head(j);
                return r < 0 ? r : journal_print_new(j, indent, json);
        }
        r = sd_journal_seek_tail(j);
        if (r < 0 || n == 0)
                return r;
        r = sd_journal_previous_skip(j, n);
        if (r <= 0)
                return r;
        r = print_entry(j, indent, json);
        if (r < 0)
                return r;
        r = journal_print_new(j, indent, json);
        return r < 0 ? r : r + 1;
}
