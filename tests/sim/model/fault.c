/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fault: what goes wrong, where, and at which occurrence. A fault is aimed at a target (an address, a driver, a module, a
 * unit, "pci" for the bus) and an operation; README.md lists both and the effects. Hanging faults hold the system call, not
 * the machine: everything else goes on. */

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>

#include "model/model.h"
#include "util/cleanup.h"

struct Fault {
        unsigned id;
        char *target, *operation;
        unsigned skip;  /* occurrences that pass unharmed before it strikes */
        unsigned count; /* how often it strikes; 0 for always */
        unsigned struck;
        int error; /* positive errno, 0 for none */
        unsigned delay_ms;
        bool hang, vanish, no_effect, worse, exhausted;
};

static bool fault_matches(const Fault *f, const char *target, const char *operation) {
        return !f->exhausted && fnmatch(f->target, target, 0) == 0 && fnmatch(f->operation, operation, 0) == 0;
}

bool fault_armed(const char *target, const char *operation) {
        for (unsigned i = 0; i < machine.faults->len; i++)
                if (fault_matches(g_ptr_array_index(machine.faults, i), target, operation))
                        return true;
        return false;
}

Fault *fault_take(const char *target, const char *operation) {
        for (unsigned i = 0; i < machine.faults->len; i++) {
                Fault *f = g_ptr_array_index(machine.faults, i);

                if (!fault_matches(f, target, operation))
                        continue;
                if (f->skip > 0) {
                        f->skip--;
                        continue;
                }
                f->struck++;
                if (f->count > 0 && f->struck >= f->count)
                        f->exhausted = true;
                machine_changed();
                return f;
        }
        return NULL;
}

bool fault_is_immediate(const Fault *f) {
        return f && f->error != 0 && !f->hang && f->delay_ms == 0 && !f->vanish;
}

bool fault_no_effect(const Fault *f) {
        return f && f->no_effect;
}

void fault_worsen(const Fault *f, Device *d) {
        if (f && f->worse && d)
                device_die(d);
}

int fault_error(const Fault *f) {
        return f ? -f->error : 0;
}

int fault_run(Fault *f, Device *d) {
        if (!f)
                return 0;
        if (f->delay_ms > 0)
                machine_sleep_ms(f->delay_ms);
        if (f->vanish && d)
                device_unplug(d);
        while (f->hang)
                machine_wait();
        return -f->error;
}

static int effect_parse(Fault *f, const char *word) {
        const char *value;

        if ((value = startswith(word, "nth="))) {
                f->skip = (unsigned) strtoul(value, NULL, 10);
                if (f->skip-- == 0)
                        return -EINVAL;
        } else if ((value = startswith(word, "count=")))
                f->count = (unsigned) strtoul(value, NULL, 10);
        else if (streq(word, "always"))
                f->count = 0;
        else if ((value = startswith(word, "errno="))) {
                f->error = errno_from_name(value);
                if (f->error == 0)
                        return -EINVAL;
        } else if ((value = startswith(word, "delay=")))
                f->delay_ms = (unsigned) strtoul(value, NULL, 10);
        else if (streq(word, "hang"))
                f->hang = true;
        else if (streq(word, "vanish"))
                f->vanish = true;
        else if (streq(word, "worse"))
                f->worse = true;
        else if (streq(word, "no-effect"))
                f->no_effect = true;
        else
                return -EINVAL;
        return 0;
}

static Fault *fault_new(const char *target, const char *operation) {
        static unsigned last_id;
        Fault *f = g_new(Fault, 1);

        *f = (Fault) {
                .id = ++last_id,
                .target = g_strdup(target),
                .operation = g_strdup(operation),
                .count = 1,
        };
        return f;
}

/* Faults are never freed: a hanging system call may still refer to one. */
int fault_add(char **words, unsigned *ret_id) {
        Fault *f;
        int r;

        if (strv_length(words) < 3)
                return -EINVAL;
        f = fault_new(words[0], words[1]);
        for (char **w = words + 2; *w; w++) {
                r = effect_parse(f, *w);
                if (r < 0)
                        return r;
        }
        g_ptr_array_add(machine.faults, f);
        *ret_id = f->id;
        return 0;
}

void fault_hang(const char *target, const char *operation) {
        Fault *f = fault_new(target, operation);

        f->hang = f->exhausted = true;
        f->struck = 1;
        g_ptr_array_add(machine.faults, f);
        machine_changed();
        (void) fault_run(f, NULL);
}

static void release_one(Fault *f) {
        f->exhausted = true;
        f->hang = false;
}

int fault_release(unsigned id) {
        bool found = id == 0;

        for (unsigned i = 0; i < machine.faults->len; i++) {
                Fault *f = g_ptr_array_index(machine.faults, i);

                if (id != 0 && f->id != id)
                        continue;
                release_one(f);
                found = true;
        }
        machine_changed();
        return found ? 0 : -ENOENT;
}

int fault_release_at(const char *target, const char *operation) {
        bool found = false;

        for (unsigned i = 0; i < machine.faults->len; i++) {
                Fault *f = g_ptr_array_index(machine.faults, i);

                if (!streq(f->target, target) || !streq(f->operation, operation))
                        continue;
                release_one(f);
                found = true;
        }
        machine_changed();
        return found ? 0 : -ENOENT;
}

bool fault_struck(unsigned id, bool *ret_known) {
        *ret_known = false;
        for (unsigned i = 0; i < machine.faults->len; i++) {
                const Fault *f = g_ptr_array_index(machine.faults, i);

                if (f->id != id)
                        continue;
                *ret_known = true;
                return f->struck > 0;
        }
        return false;
}
