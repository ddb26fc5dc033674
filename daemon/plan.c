/* SPDX-License-Identifier: GPL-2.0-or-later */

/* plan: the list of steps as a thing: made, written, read, and walked back. What is in it is decided in plan-detach.c and
 * plan-attach.c. */

#include "plan.h"

#include "dbus/errors.h"

Plan *plan_new(Operation operation) {
        Plan *p = calloc(1, sizeof(Plan));

        if (p)
                p->operation = operation;
        return p;
}

Plan *plan_free(Plan *p) {
        if (!p)
                return NULL;
        for (size_t i = 0; i < p->n; i++)
                step_done(p->steps + i);
        free(p->steps);
        free(p);
        return NULL;
}

int plan_add(Plan *p, Verb verb, const char *target, char *const *arguments) {
        Step *steps;
        int r;

        steps = reallocarray(p->steps, p->n + 1, sizeof(Step));
        if (!steps)
                return -ENOMEM;
        p->steps = steps;
        r = step_init(p->steps + p->n, verb, target, arguments);
        if (r < 0)
                return r;
        p->n++;
        return 0;
}

void plan_write(const Plan *p, FILE *f) {
        for (size_t i = 0; i < p->n; i++) {
                const Step *s = p->steps + i;
                const char *words[WORDS_MAX + 1] = { "step", verb_to_string(s->verb), s->target };
                size_t n = 3;

                for (char **a = s->arguments; a && *a && n < WORDS_MAX; a++)
                        words[n++] = *a;
                words_writev(f, words);
        }
}

int plan_read_line(Plan *p, char *const *words) {
        Verb verb;

        if (strv_length(words) < 3 || !streq(words[0], "step"))
                return -EBADMSG;
        verb = verb_from_string(words[1]);
        if (verb < 0)
                return -EBADMSG;
        return plan_add(p, verb, words[2], words + 3);
}

void plan_options_done(PlanOptions *o) {
        o->functions = strv_free(o->functions);
        free(o->driver);
        o->driver = NULL;
        free(o->vm);
        o->vm = NULL;
}

bool plan_function_is_detached(const Function *f) {
        return driver_is_vfio(f->driver);
}

const char *plan_refusal_error(PlanRefusal refusal) {
        static const char *const names[] = {
                [PLAN_E_NO_DEVICE] = GPUPT_ERROR_UNREACHABLE,
                [PLAN_E_NOT_VIABLE] = GPUPT_ERROR_GROUP_NOT_VIABLE,
                [PLAN_E_IN_USE] = GPUPT_ERROR_IN_USE,
                [PLAN_E_LAST_DISPLAY] = GPUPT_ERROR_LAST_DISPLAY,
                [PLAN_E_INVALID] = SD_BUS_ERROR_INVALID_ARGS,
                [PLAN_E_NOT_SUPPORTED] = GPUPT_ERROR_NOT_SUPPORTED,
        };

        return names[refusal];
}

bool plan_has(const Plan *p, Verb verb, const char *target) {
        for (size_t i = 0; i < p->n; i++)
                if (p->steps[i].verb == verb && streq(p->steps[i].target, target))
                        return true;
        return false;
}

/* ---- undo ---- */

static int undo_power(const Step *s, const Saved *saved, Plan *undo) {
        _cleanup_strv_free_ char **triples = NULL;
        const char *address = s->target;
        size_t stride = s->verb == VERB_RESTORE_POWER ? 3 : 1;
        int r = 0;

        for (size_t i = 0; address && r >= 0; i += stride) {
                r = strv_extend(&triples, address);
                if (r >= 0)
                        r = strv_extend(&triples, strempty(saved_get(saved, address, "power-control")));
                if (r >= 0)
                        r = strv_extend(&triples, strempty(saved_get(saved, address, "d3cold")));
                address = i + stride <= strv_length(s->arguments) ? s->arguments[i + stride - 1] : NULL;
        }
        if (r < 0)
                return r;
        return plan_add(undo, VERB_RESTORE_POWER, triples[0], triples + 1);
}

static int undo_sound(const Step *s, const Saved *saved, Plan *undo) {
        _cleanup_strv_free_ char **arguments = NULL;
        int r;

        if (!s->arguments)
                return -EBADMSG;
        r = strv_extend(&arguments, s->arguments[0]);
        for (size_t i = 0; i < saved->n && r >= 0; i++)
                if (streq(saved->list[i].key, "acl")) {
                        r = strv_extend(&arguments, saved->list[i].subject);
                        if (r >= 0)
                                r = strv_extend(&arguments, saved->list[i].value);
                }
        if (r < 0)
                return r;
        return plan_add(undo, VERB_RETURN_SOUND, s->target, arguments);
}

static int undo_unload(const Step *s, Plan *undo) {
        size_t n = strv_length(s->arguments);
        int r;

        r = plan_add(undo, VERB_LOAD, s->target, NULL);
        for (size_t i = 0; i + 1 < n && r >= 0; i += 2)
                r = plan_add(undo, VERB_REBIND, s->arguments[i], (char *[]) { s->arguments[i + 1], NULL });
        return r;
}

/* The bus that a function is on: "0000:01". */
static int undo_remove(const Step *s, Plan *undo) {
        char bus[PCI_ADDRESS_MAX];
        PciAddress address;

        if (pci_address_parse(s->target, &address) < 0)
                return -EBADMSG;
        (void) snprintf(bus, sizeof(bus), "%04x:%02x", address.domain, address.bus);
        return plan_add(undo, VERB_RESCAN, bus, (char *[]) { s->target, NULL });
}

/* The other state, of the same files. */
static int undo_xorg_files(const Step *s, Plan *undo) {
        _cleanup_strv_free_ char **arguments = NULL;
        int r;

        if (strv_length(s->arguments) < 2)
                return -EBADMSG;
        r = strv_extend(&arguments, streq(s->arguments[0], "host") ? "detached" : "host");
        for (char **file = s->arguments + 1; *file && r >= 0; file++)
                r = strv_extend(&arguments, *file);
        return r < 0 ? r : plan_add(undo, VERB_XORG_FILES, s->target, arguments);
}

/* Who was told what is about to happen is told that it has not. */
static int undo_hook(const Step *s, Plan *undo) {
        _cleanup_free_ char **words = NULL;
        size_t n = strv_length(s->arguments);

        if (n <= HOOK_FUNCTIONS)
                return -EBADMSG;
        if (!step_is_hook(s, "pre"))
                return 0;
        words = calloc(n + 1, sizeof(char *));
        if (!words)
                return -ENOMEM;
        memcpy(words, s->arguments, n * sizeof(char *));
        words[HOOK_WHEN] = (char *) "post";
        words[HOOK_RESULT] = (char *) "failed";
        return plan_add(undo, VERB_HOOK, s->target, words);
}

static int undo_into(const Step *s, const Saved *saved, Plan *undo) {
        const char *value;

        switch (s->verb) {
        case VERB_PIN:
        case VERB_WAKE:
        case VERB_RESTORE_POWER:
                return undo_power(s, saved, undo);
        case VERB_OVERRIDE:
                value = saved_get(saved, s->target, "override");
                return plan_add(undo, VERB_OVERRIDE, s->target, (char *[]) { (char *) strempty(value), NULL });
        case VERB_UNBIND:
                return plan_add(undo, VERB_REBIND, s->target, s->arguments);
        case VERB_BIND:
        case VERB_REBIND:
                return plan_add(undo, VERB_UNBIND, s->target, s->arguments);
        case VERB_PROBE:
                value = saved_get(saved, s->target, "probed");
                return isempty(value) ? 0 : plan_add(undo, VERB_UNBIND, s->target, (char *[]) { (char *) value, NULL });
        case VERB_ASK_SOUND:
                return undo_sound(s, saved, undo);
        case VERB_ASK_COMPOSITOR:
                /* Who was not asked is not told either: one that takes `add` for a further card may not like it. */
                value = s->arguments ? saved_get(saved, s->arguments[0], "asked") : NULL;
                return isempty(value) ? 0 : plan_add(undo, VERB_RETURN_COMPOSITOR, s->target, (char *[]) { s->arguments[0], NULL });
        case VERB_RELEASE_CONSOLE:
                return plan_add(undo, VERB_RESTORE_CONSOLE, s->target, NULL);
        case VERB_RESTORE_CONSOLE:
                return plan_add(undo, VERB_RELEASE_CONSOLE, s->target, NULL);
        case VERB_ACCESS:
                return plan_add(undo, VERB_REVOKE, s->target, s->arguments);
        case VERB_REVOKE:
                return plan_add(undo, VERB_ACCESS, s->target, s->arguments);
        case VERB_UNLOAD:
                return undo_unload(s, undo);
        case VERB_STOP_UNIT:
                /* Only what was running is started again. */
                value = saved_get(saved, s->target, "active");
                return value && streq(value, "yes") ? plan_add(undo, VERB_START_UNIT, s->target, NULL) : 0;
        case VERB_REMOVE:
                return undo_remove(s, undo);
        case VERB_SWITCH_POWER:
                /* An undo that leaves a card without power would be worse than none. */
                return !s->arguments || streq(s->arguments[0], "ON") ? 0 : plan_add(undo, VERB_SWITCH_POWER, s->target, (char *[]) { (char *) "ON", NULL });
        case VERB_SLOT_POWER:
                return plan_add(undo, VERB_SLOT_POWER, s->target, (char *[]) { (char *) "1", NULL });
        case VERB_RESTORE_DECODES:
                /* The driver that comes back turns them off again. */
                return plan_add(undo, VERB_RESTORE_DECODES, s->target, NULL);
        case VERB_WAIT_SCREEN:
                /* Of a rung, whose undo is the way back. */
                return undo->operation == OPERATION_RESET ? plan_add(undo, s->verb, s->target, s->arguments) : 0;
        case VERB_KEEP:
                return plan_add(undo, VERB_KEEP, s->target, (char *[]) { (char *) "", NULL });
        case VERB_ALARM:
                return plan_add(undo, VERB_ALARM, s->target, (char *[]) { (char *) "0", NULL });
        case VERB_HOOK:
                return undo_hook(s, undo);
        case VERB_XORG_FILES:
                return undo_xorg_files(s, undo);
        case VERB_RETURN_UNIT:
                value = saved_get(saved, s->target, "active");
                return value && streq(value, "yes") ? plan_add(undo, VERB_STOP_UNIT, s->target, NULL) : 0;
        case VERB_START_UNIT:
                /* It may hold the card by now, and what is undone next is a bind. */
                return plan_add(undo, VERB_STOP_UNIT, s->target, NULL);
        default:
                /* Reads, waits and what cannot be taken back (a process or session that was ended, a reset), or must not be: what a
                 * guest lets go of while its VM stops is looked for when that has stopped. A loaded module, a
                 * card that is awake or that has come back to the bus do no harm; idle power is covered by the undo
                 * of the pin. */
                return 0;
        }
}

int plan_undo(const Plan *p, size_t i, const Saved *saved, Plan **ret) {
        _cleanup_(plan_freep) Plan *undo = plan_new(p->operation);
        int r;

        if (!undo)
                return -ENOMEM;
        r = undo_into(p->steps + i, saved, undo);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(undo);
        return 0;
}
