/* SPDX-License-Identifier: GPL-2.0-or-later */

/* alarm: the wake alarm of a real-time clock. There is one per clock, and it is whoever's wrote last: a write over an
 * alarm that is set is refused (drivers/rtc/sysfs.c wakealarm_store()), so it is cleared first. */

#include "worker/alarm.h"

#include "util/fs.h"
#include "util/words.h"

#define SECONDS_MAX 3600U
/* Some clocks have alarms to the minute. */
#define ROUNDING_SEC 60U

static int read_number(int dir_fd, const char *attribute, uint64_t *ret) {
        _cleanup_free_ char *line = NULL;
        int r;

        r = read_line_at(dir_fd, attribute, &line);
        if (r < 0)
                return r;
        *ret = 0;
        /* Nothing is printed while there is no alarm. */
        return *line ? parse_u64(line, INT64_MAX, ret) : 0;
}

static int set_alarm(Work *w, int fd, uint64_t seconds) {
        char value[STRLEN("+3600") + 1];
        uint64_t now, alarm;
        int r;

        (void) snprintf(value, sizeof(value), "+%u", (unsigned) seconds);
        r = write_attribute_at(fd, "wakealarm", "0");
        if (r >= 0 && seconds > 0)
                r = write_attribute_at(fd, "wakealarm", value);
        if (r >= 0)
                r = read_number(fd, "since_epoch", &now);
        if (r >= 0)
                r = read_number(fd, "wakealarm", &alarm);
        if (r == -ENOENT)
                return work_fail(w, -ENOTTY, "%s cannot wake the host", w->target);
        if (r < 0)
                return work_fail(w, r, "setting the wake alarm of %s", w->target);
        if (seconds == 0 ? alarm != 0 : alarm == 0 || alarm < now || alarm - now > seconds + ROUNDING_SEC)
                return work_fail(w, -EIO, "the wake alarm of %s reads %llu at %llu", w->target,
                                 (unsigned long long) alarm, (unsigned long long) now);
        return 0;
}

int verb_alarm(Work *w) {
        char path[STRLEN("/sys/class/rtc/") + 16];
        _cleanup_close_ int fd = -EBADF;
        uint64_t seconds;

        if (!numbered_name_valid(w->target, "rtc"))
                return work_fail(w, -EINVAL, "'%s' is not the name of a clock", w->target);
        if (parse_u64(w->arguments[0], SECONDS_MAX, &seconds) < 0)
                return work_fail(w, -EINVAL, "'%s' is not a time of at most %u s", w->arguments[0], SECONDS_MAX);
        (void) snprintf(path, sizeof(path), "/sys/class/rtc/%.15s", w->target);
        fd = RET_NERRNO(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (fd < 0)
                return work_fail(w, fd == -ENOENT ? -ENODEV : fd, "there is no clock %s", w->target);
        return set_alarm(w, fd, seconds);
}
