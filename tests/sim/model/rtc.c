/* SPDX-License-Identifier: GPL-2.0-or-later */

/* rtc: the clock rtc0 with `since_epoch` and `wakealarm` (drivers/rtc/sysfs.c), and what becomes of the machine when it
 * sleeps until that alarm. Time is not waited for: a sleep with an alarm ends at once, and has taken the alarm. */

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "model/model.h"
#include "util/cleanup.h"

static time_t alarm_time; /* 0: none */

static int since_epoch_show(_unused_ void *object, GString *out) {
        g_string_append_printf(out, "%lld\n", (long long) time(NULL));
        return 0;
}

/* Nothing at all while no alarm is set. */
static int wakealarm_show(_unused_ void *object, GString *out) {
        if (alarm_time > 0)
                g_string_append_printf(out, "%lld\n", (long long) alarm_time);
        return 0;
}

/* wakealarm_store(): "+N" is from now on, "+=N" pushes an alarm that is set. One that is set is not replaced (EBUSY); a
 * time that is over, such as 0, clears it. */
static int wakealarm_store(_unused_ void *object, const char *data, size_t n, _unused_ off_t offset) {
        g_autofree char *text = text_dup(data, n);
        const char *digits = startswith(text, "+=") ?: startswith(text, "+") ?: text;
        bool push = startswith(text, "+="), relative = digits != text;
        time_t now = time(NULL), when;
        char *end;

        if (push && alarm_time == 0)
                return -EINVAL;
        when = (time_t) strtoll(digits, &end, 0);
        if (!g_ascii_isdigit(*digits) || *end)
                return -EINVAL;
        if (relative)
                when += push ? alarm_time : now;
        if (when > now && alarm_time > 0 && !push)
                return -EBUSY;
        alarm_time = when > now ? when : 0;
        machine_changed();
        return 0;
}

bool rtc_take_alarm(void) {
        bool set = alarm_time > 0;

        alarm_time = 0;
        return set;
}

void rtc_init(void) {
        static const Attribute attributes[] = {
                { "since_epoch", 0444, .show = since_epoch_show },
                { "wakealarm", 0644, .show = wakealarm_show, .store = wakealarm_store },
                {},
        };
        Node *node = node_add_path(node_root(), "devices/platform/rtc_cmos/rtc/rtc0");
        Node *class = node_add_path(node_root(), "class/rtc");

        node->is_owner = true;
        node_add_attributes(node, attributes, NULL);
        (void) node_add_text(node, "name", "rtc_cmos rtc_cmos\n");
        (void) node_add_text(node, "hctosys", "1\n");
        (void) node_add_link(node, "subsystem", class);
        (void) node_add_link(class, "rtc0", node);
}
