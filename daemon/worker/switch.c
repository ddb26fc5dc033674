/* SPDX-License-Identifier: GPL-2.0-or-later */

/* switch: power that is not the PCI core's. bbswitch and nvhda never say that a write had no effect (bbswitch does
 * nothing while a driver has the card; nvhda cannot turn on the audio function of a card that is off), so the file is
 * read again. */

#include "worker/switch.h"

#include "util/fs.h"

/* "0000:01:00.0 ON" */
static int read_switch(const char *path, char **ret_address, char **ret_state) {
        _cleanup_free_ char *line = NULL;
        char *state;
        int r;

        r = read_line_at(AT_FDCWD, path, &line);
        if (r < 0)
                return r;
        state = strrchr(line, ' ');
        if (!state || (!streq(state, " ON") && !streq(state, " OFF")))
                return -EBADMSG;
        r = free_and_strdup(ret_state, state + 1);
        if (r < 0)
                return r;
        *state = '\0';
        return free_and_strdup(ret_address, line);
}

int verb_switch_power(Work *w) {
        _cleanup_free_ char *address = NULL, *now = NULL;
        const char *state = w->arguments[0];
        char path[STRLEN("/proc/acpi/bbswitch") + 1];
        int r;

        if (!streq(w->target, "bbswitch") && !streq(w->target, "nvhda"))
                return work_fail(w, -EINVAL, "'%s' is not a switch", w->target);
        if (!streq(state, "ON") && !streq(state, "OFF"))
                return work_fail(w, -EINVAL, "'%s' is neither ON nor OFF", state);
        (void) snprintf(path, sizeof(path), "/proc/acpi/%.8s", w->target);
        r = read_switch(path, &address, &now);
        if (r == -ENOENT)
                return work_fail(w, r, "the module %s is not loaded", w->target);
        if (r < 0)
                return work_fail(w, r, "reading %s", path);
        if (streq(now, state))
                return 0;
        r = write_attribute_at(AT_FDCWD, path, state);
        if (r >= 0)
                r = read_switch(path, &address, &now);
        if (r < 0)
                return work_fail(w, r, "switching %s %s by %s", address, state, w->target);
        if (!streq(now, state))
                return work_fail(w, -EIO, "%s stays %s after %s was told %s", address, now, w->target, state);
        return 0;
}

/* The same file may be pciehp's or acpiphp's. The latter's firmware may eject what it turns off (_EJ0): on again, the write
 * succeeds and finds nothing (drivers/pci/hotplug/acpiphp_glue.c acpiphp_enable_slot()). */
int verb_slot_power(Work *w) {
        const char *power = w->arguments[0];
        char path[STRLEN("/sys/bus/pci/slots//power") + 65];
        _cleanup_free_ char *before = NULL, *after = NULL;
        int r;

        if (!name_valid(w->target))
                return work_fail(w, -EINVAL, "'%s' is not the name of a slot", w->target);
        if (!streq(power, "0") && !streq(power, "1"))
                return work_fail(w, -EINVAL, "'%s' is neither 0 nor 1", power);
        (void) snprintf(path, sizeof(path), "/sys/bus/pci/slots/%.64s/power", w->target);
        r = read_line_at(AT_FDCWD, path, &before);
        if (r == -ENOENT)
                return work_fail(w, -ENOTTY, "there is no slot %s whose power can be switched", w->target);
        if (r >= 0 && streq(before, power))
                return 0;
        if (r >= 0)
                r = write_attribute_at(AT_FDCWD, path, power);
        if (r >= 0)
                r = read_line_at(AT_FDCWD, path, &after);
        if (r < 0)
                return work_fail(w, r, "setting the power of slot %s to %s", w->target, power);
        if (!streq(after, power))
                return work_fail(w, -EIO, "the power of slot %s reads %s after %s was written", w->target, after,
                                 power);
        return 0;
}
