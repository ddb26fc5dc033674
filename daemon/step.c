/* SPDX-License-Identifier: GPL-2.0-or-later */

/* step: the vocabulary of plans: one row per verb, with its word, who executes it, how long it may take, and the
 * sentence that people read. Pure. */

#include "step.h"

/* In a sentence $t is the target, $1 … $9 are the arguments, $* is every argument, and $a the
 * target and every argument. `empty` is the sentence for a
 * first argument that is empty, 0 or not there. */
typedef struct VerbRow {
        const char *word;
        VerbInfo info;
        const char *sentence, *empty;
} VerbRow;

#define ROW(verb_, word_, executor_, slow_, stuck_, writes_, sentence_, empty_)                                  \
        [verb_] = { word_, { EXECUTOR_##executor_, slow_, stuck_, writes_ }, sentence_, empty_ }

/* The deadlines follow the kernel. Config space is blocked while a reset is under way, which takes up to 65 s per
 * method (drivers/pci/pci.c pci_dev_wait()); a probe may load firmware; on 6.1 the override waits for the device lock
 * (drivers/base/driver.c driver_set_override()) as an unbind does for its users. */
static const VerbRow verb_rows[_VERB_MAX] = {
        ROW(VERB_CHECK, "check", WORKER, 2, 70, false, "check that $a can be reached", NULL),
        ROW(VERB_SAVE, "save", WORKER, 2, 30, false, "record drivers and power settings of $a", NULL),
        ROW(VERB_SNAPSHOT, "snapshot", WORKER, 2, 30, false, "look at $*", "look at all PCI functions"),
        ROW(VERB_SURVEY, "survey", WORKER, 2, 30, false, "look at the configuration of the host", NULL),
        ROW(VERB_SLEEP_STATISTICS, "sleep-statistics", WORKER, 2, 10, false, "read how the last sleep went", NULL),
        ROW(VERB_CENSUS, "census", WORKER, 3, 30, false, "look for processes that hold $*", NULL),
        ROW(VERB_VERIFY, "verify", WORKER, 2, 30, false, "verify that $t is bound to $1", "verify that $t has no driver"),
        ROW(VERB_CHECK_MODULE, "check-module", WORKER, 2, 30, false, "verify that no module of $a is loaded", NULL),
        ROW(VERB_CHECK_LOGINS, "check-logins", WORKER, 2, 30, false, "verify that nobody else has logged in", NULL),
        ROW(VERB_CHECK_DRIVER, "check-driver", WORKER, 2, 30, false, "verify that driver $t is there", NULL),
        ROW(VERB_MEASURE, "measure", WORKER, 5, 75, false, "measure the health of $a", NULL),
        ROW(VERB_SENSORS, "sensors", WORKER, 5, 30, false, "read the sensors of $a", NULL),
        ROW(VERB_ROM, "rom", WORKER, 5, 20, false, "read the firmware image of $t", NULL),

        ROW(VERB_PIN, "pin-power", WORKER, 3, 60, true, "keep $a powered up", NULL),
        ROW(VERB_RESTORE_POWER, "restore-power", WORKER, 3, 60, true, "restore the power settings of $t", NULL),
        ROW(VERB_IDLE_POWER, "idle-power", WORKER, 3, 60, true, "set runtime power management of $t to $1", NULL),
        ROW(VERB_WAKE, "wake", WORKER, 5, 75, true, "wake $a", NULL),
        ROW(VERB_SWITCH_POWER, "switch-power", WORKER, 5, 60, true, "switch the card $1 by $t", NULL),
        ROW(VERB_SLOT_POWER, "slot-power", WORKER, 10, 90, true, "set the power of slot $t to $1", NULL),

        ROW(VERB_RESET, "reset", WORKER, 10, 140, true, "reset $t ($1)", "reset $t"),
        ROW(VERB_RESET_BELOW, "reset-below", WORKER, 10, 140, true, "reset everything below $t", NULL),
        ROW(VERB_REMOVE, "remove", WORKER, 5, 30, true, "remove $t from the bus", NULL),
        ROW(VERB_EJECT, "eject", WORKER, 15, 60, true, "remove $t from the bus while the guest lets go", NULL),
        ROW(VERB_RESCAN, "rescan", WORKER, 10, 90, true, "look for $* on bus $t", "look for devices on bus $t"),
        ROW(VERB_RESTORE_DECODES, "restore-decodes", WORKER, 2, 30, true, "let $t decode legacy VGA again", NULL),
        ROW(VERB_KEEP, "keep", WORKER, 2, 30, true, "keep $t for $1 when it comes back", "let any driver have $t when it comes back"),
        ROW(VERB_ALARM, "alarm", WORKER, 2, 30, true, "let $t wake the host in $1 s", NULL),

        ROW(VERB_OVERRIDE, "override", WORKER, 3, 30, true, "reserve $t for $1", "let any driver have $t again"),
        ROW(VERB_UNBIND, "unbind", WORKER, 5, 30, true, "unbind $t from $1", NULL),
        ROW(VERB_BIND, "bind", WORKER, 10, 60, true, "bind $t to $1", NULL),
        ROW(VERB_REBIND, "rebind", WORKER, 10, 60, true, "reserve $t for $1 and bind it", NULL),
        ROW(VERB_PROBE, "probe", WORKER, 10, 60, true, "let the kernel choose a driver for $t", NULL),
        ROW(VERB_WAIT_DRM, "wait-drm", WORKER, 10, 75, false, "wait for the DRM node of $t", NULL),
        ROW(VERB_WAIT_SCREEN, "wait-screen", WORKER, 10, 75, false, "wait up to $1 s until $t sees its screen again", NULL),

        ROW(VERB_ASK_SOUND, "ask-sound", WORKER, 3, 30, true, "ask the sound servers to let go of $1", NULL),
        ROW(VERB_RETURN_SOUND, "return-sound", WORKER, 3, 30, true, "give $1 back to the sound servers", NULL),
        ROW(VERB_ASK_COMPOSITOR, "ask-compositor", WORKER, 5, 70, true, "ask the desktop to let go of $1", NULL),
        ROW(VERB_RETURN_COMPOSITOR, "return-compositor", WORKER, 3, 30, true, "give $1 back to the desktop", NULL),
        ROW(VERB_END, "end", WORKER, 10, 75, true, "end process $t", NULL),
        ROW(VERB_RELEASE_CONSOLE, "release-console", WORKER, 5, 30, true, "release the text console $t", NULL),
        ROW(VERB_RESTORE_CONSOLE, "restore-console", WORKER, 5, 30, true, "restore the text console $t", NULL),

        ROW(VERB_ACCESS, "access", WORKER, 2, 30, true, "let user $1 open the VFIO nodes of $t", NULL),
        ROW(VERB_REVOKE, "revoke", WORKER, 2, 30, true, "take the VFIO nodes of $t from user $1", NULL),

        ROW(VERB_LOAD, "load", UNIT, 10, 90, true, "load module $t", NULL),
        ROW(VERB_UNLOAD, "unload", UNIT, 10, 90, true, "unload module $t", NULL),
        ROW(VERB_STOP_UNIT, "stop-unit", UNIT, 10, 100, true, "stop $t", NULL),
        ROW(VERB_START_UNIT, "start-unit", UNIT, 10, 100, true, "start $t", NULL),
        ROW(VERB_RETURN_UNIT, "return-unit", UNIT, 10, 100, true, "start $t again", NULL),
        ROW(VERB_END_SESSION, "end-session", UNIT, 10, 100, true, "log out $1 (session $t, $2 on $3)", NULL),

        ROW(VERB_VENDOR_RESET, "vendor-reset", EXEC, 15, 90, true, "let nvidia-smi reset $t", NULL),
        ROW(VERB_XORG_FILES, "xorg-files", EXEC, 5, 30, true, "switch Xorg to the configuration for $t being $1", NULL),
        /* Their deadline is the administrator's: step-runner.c. */
        ROW(VERB_HOOK, "hook", EXEC, 10, 610, true, "run the hook $t ($1 $2)", NULL),

        ROW(VERB_ASK, "ask", WAIT, 2, 10, false, "ask whoever holds $t to let go", NULL),
        ROW(VERB_WAIT_ASKED, "wait-asked", WAIT, 30, 630, false, "give the holders of $t up to $1 s to let go", NULL),
        ROW(VERB_WAIT_FREE, "wait-free", WAIT, 30, 630, false, "wait up to $1 s until nobody holds $t", "verify that nobody holds $t"),
        ROW(VERB_SUSPEND, "suspend", WAIT, 60, 330, true, "let the host sleep and wake", NULL),
};

const char *verb_to_string(Verb v) {
        return v < 0 || v >= _VERB_MAX ? NULL : verb_rows[v].word;
}

Verb verb_from_string(const char *s) {
        for (size_t i = 0; s && i < ELEMENTSOF(verb_rows); i++)
                if (streq_ptr(verb_rows[i].word, s))
                        return (Verb) i;
        return _VERB_INVALID;
}

const VerbInfo *verb_info(Verb v) {
        return v < 0 || v >= _VERB_MAX ? NULL : &verb_rows[v].info;
}

bool step_is_hook(const Step *s, const char *when) {
        return s->verb == VERB_HOOK && strv_length(s->arguments) > HOOK_FUNCTIONS && streq(s->arguments[HOOK_WHEN], when);
}

bool step_is_optional(const Step *s) {
        return s->verb == VERB_RESTORE_DECODES || s->verb == VERB_WAIT_SCREEN || step_is_hook(s, "post");
}

bool step_is_epilogue(const Step *s) {
        return step_is_hook(s, "post") && streq(s->arguments[HOOK_RESULT], "done");
}

int step_init(Step *s, Verb verb, const char *target, char *const *arguments) {
        _cleanup_free_ char *t = NULL;
        _cleanup_strv_free_ char **v = NULL;

        if (!verb_info(verb))
                return -EINVAL;
        t = strdup(target);
        if (!t)
                return -ENOMEM;
        for (char *const *a = arguments; a && *a; a++)
                if (strv_extend(&v, *a) < 0)
                        return -ENOMEM;
        *s = (Step) { .verb = verb, .target = TAKE_PTR(t), .arguments = TAKE_PTR(v) };
        return 0;
}

void step_done(Step *s) {
        free(s->target);
        strv_free(s->arguments);
        *s = (Step) { .verb = _VERB_INVALID };
}

static void put_arguments(const Step *s, const char *before, FILE *f) {
        for (char *const *a = s->arguments; a && *a; a++) {
                fprintf(f, "%s%s", before, *a);
                before = ", ";
        }
}

/* Writes what the placeholder stands for. */
static void put_placeholder(const Step *s, char placeholder, FILE *f) {
        size_t i;

        switch (placeholder) {
        case 't':
                fputs(s->target, f);
                break;
        case 'a':
                fputs(s->target, f);
                put_arguments(s, ", ", f);
                break;
        case '*':
                put_arguments(s, "", f);
                break;
        default:
                i = (size_t) (placeholder - '1');
                if (i < strv_length(s->arguments))
                        fputs(s->arguments[i], f);
        }
}

char *step_describe(const Step *s) {
        const char *first = s->arguments ? s->arguments[0] : NULL, *sentence;
        size_t size;
        char *text = NULL;
        FILE *f;

        if (!verb_info(s->verb))
                return NULL;
        f = open_memstream(&text, &size);
        if (!f)
                return NULL;
        sentence = verb_rows[s->verb].empty && (isempty(first) || streq(first, "0")) ? verb_rows[s->verb].empty
                                                                                     : verb_rows[s->verb].sentence;
        for (const char *p = sentence; *p; p++)
                if (*p == '$')
                        put_placeholder(s, *++p, f);
                else
                        fputc(*p, f);
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }
        return text;
}
