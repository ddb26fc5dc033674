/* SPDX-License-Identifier: GPL-2.0-or-later */

/* sleep-statistics: /sys/power/suspend_stats (kernel/power/main.c), which takes no lock. last_failed_* stay
 * until the next failure, so fail comes with them. */

#include "worker/sleep-statistics.h"

#include "util/fs.h"
#include "util/words.h"

#define DIRECTORY "/sys/power/suspend_stats"

int verb_sleep_statistics(Work *w) {
        static const char *const names[] = { "success", "fail", "last_failed_dev", "last_failed_errno", "last_failed_step" };

        if (!streq(w->target, "-"))
                return work_fail(w, -EINVAL, "'%s' is no target of the statistics", w->target);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *path = NULL, *value = NULL;

                if (asprintf(&path, DIRECTORY "/%s", names[i]) < 0)
                        return -ENOMEM;
                /* A kernel without them is none that could be asked. */
                if (read_line_at(AT_FDCWD, path, &value) >= 0)
                        words_write(w->answer, "statistic", names[i], value, NULL);
        }
        return 0;
}
