/* SPDX-License-Identifier: GPL-2.0-or-later */

/* plan: what happens in which order, and how each step is undone. The order of detach and attach is the design's
 * (section 5); where a step guards against a trap of the kernel, the comment beside it says which. */

#include "plan.h"
#include "selector.h"

#include <stdarg.h>

#include "dbus/errors.h"
#include "dbus/names.h"

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
}

bool plan_function_is_detached(const Function *f) {
        return driver_is_vfio(f->driver);
}

/* The state of one plan_build(). Errors of memory stick in r, so that the steps can be written one below the other. */
typedef struct Builder {
        const PlanInput *in;
        const PlanOptions *options;
        Plan *plan;
        const Function *claimed[GPUPT_FUNCTIONS_MAX]; /* what moves, in unbind order: UCSI, USB, audio, display */
        size_t n_claimed;
        char **addresses; /* of the claimed functions, display first */
        char **powered;   /* those, and every bridge above them */
        char *message;
        int r;
} Builder;

static void builder_done(Builder *b) {
        b->addresses = strv_free(b->addresses);
        b->powered = strv_free(b->powered);
        free(b->message);
}

static int _printf_(3, 4) refuse(Builder *b, PlanRefusal refusal, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&b->message, format, ap) < 0)
                b->message = NULL;
        va_end(ap);
        return b->message ? (int) refusal : -ENOMEM;
}

static void add_strv(Builder *b, Verb verb, const char *target, char *const *arguments) {
        if (b->r >= 0)
                b->r = plan_add(b->plan, verb, target, arguments);
}

static void add(Builder *b, Verb verb, const char *target, const char *a1, const char *a2) {
        const char *arguments[] = { a1, a1 ? a2 : NULL, NULL };

        add_strv(b, verb, target, (char *const *) arguments);
}

static void add_seconds(Builder *b, Verb verb, const char *target, unsigned seconds) {
        char text[16];

        (void) snprintf(text, sizeof(text), "%u", seconds);
        add(b, verb, target, text, NULL);
}

static const Function *display_of(const Builder *b) {
        return snapshot_find(b->in->snapshot, b->in->functions[0]);
}

static const char *recorded(const Builder *b, const Function *f, const char *key) {
        return b->in->record ? saved_get(b->in->record, f->address, key) : NULL;
}

/* Smaller leaves its driver earlier: consumers before what they consume (the audio function holds a device link to the
 * display, drivers/pci/quirks.c quirk_gpu_hda()). */
static int unbind_rank(const Function *f) {
        static const char *const order[] = { "ucsi", "usb", "audio", "other", "display" };

        for (size_t i = 0; i < ELEMENTSOF(order); i++)
                if (streq(function_role(f), order[i]))
                        return (int) i;
        return 0;
}

/* What the operation moves: the functions that were asked for, those of the GPU that exist otherwise. */
static int claim(Builder *b) {
        char *const *wanted = b->options->functions ?: (char **) b->in->functions;

        for (char *const *a = wanted; *a; a++) {
                const Function *f = snapshot_find(b->in->snapshot, *a);
                size_t i;

                if (!strv_contains(b->in->functions, *a))
                        return refuse(b, PLAN_E_INVALID, "%s is not a function of %s.", *a, b->in->name);
                if (!f)
                        continue;
                if (b->n_claimed >= ELEMENTSOF(b->claimed))
                        return refuse(b, PLAN_E_INVALID, "%s has too many functions.", b->in->name);
                for (i = b->n_claimed++; i > 0 && unbind_rank(b->claimed[i - 1]) >= unbind_rank(f); i--)
                        b->claimed[i] = b->claimed[i - 1];
                b->claimed[i] = f;
        }
        if (b->n_claimed == 0 || !display_of(b))
                return refuse(b, PLAN_E_NO_DEVICE,
                              "%s is not on the PCI bus. If it was removed, a rescan of its bus brings it back: "
                              "echo 1 > /sys/bus/pci/rescan.", b->in->name);

        for (size_t i = b->n_claimed; i > 0; i--) {
                const Function *f = b->claimed[i - 1];
                int r = strv_extend(&b->addresses, f->address);

                if (r >= 0)
                        r = strv_extend(&b->powered, f->address);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < b->n_claimed; i++)
                for (char **bridge = b->claimed[i]->bridges; bridge && *bridge; bridge++)
                        if (!strv_contains(b->powered, *bridge)) {
                                int r = strv_extend(&b->powered, *bridge);

                                if (r < 0)
                                        return r;
                        }
        return 0;
}

/* A module's name as modprobe knows it, from a driver's: vfio-pci is vfio_pci. */
static char *module_name(const char *driver) {
        char *name = strdup(driver);

        for (char *p = name; p && *p; p++)
                if (*p == '-')
                        *p = '_';
        return name;
}

static bool same_module(const char *a, const char *b) {
        for (;; a++, b++) {
                char x = *a == '-' ? '_' : *a, y = *b == '-' ? '_' : *b;

                if (x != y)
                        return false;
                if (!x)
                        return true;
        }
}

static bool modules_contain(char *const *modules, const char *name) {
        for (; modules && *modules; modules++)
                if (same_module(*modules, name))
                        return true;
        return false;
}

/* ---- detach ---- */

static bool has_connected(const Function *f) {
        for (size_t i = 0; i < f->n_connectors; i++)
                if (streq(f->connectors[i].status, "connected"))
                        return true;
        return false;
}

/* The display that somebody looks at: the console's (boot VGA) where a screen is connected or somebody is logged in,
 * and any other card with a screen if no card outside of the plan has one. */
static bool is_last_display(const Builder *b) {
        const Function *display = display_of(b);
        bool looked_at = false;

        for (size_t i = 0; i < b->n_claimed; i++)
                looked_at = looked_at || has_connected(b->claimed[i]);
        if (display->boot_vga)
                return looked_at || b->in->seat_active;
        if (!looked_at)
                return false;

        for (size_t i = 0; i < b->in->snapshot->n_functions; i++) {
                const Function *f = b->in->snapshot->functions + i;

                if (function_is_display(f) && !strv_contains(b->in->functions, f->address) && has_connected(f))
                        return false;
        }
        return true;
}

static char *join(char *const *list) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        for (char *const *s = list; *s; s++)
                fprintf(f, "%s%s", s == list ? "" : ", ", *s);
        return fclose(f) == 0 ? text : NULL;
}

static int check_group(Builder *b) {
        _cleanup_strv_free_ char **blockers = NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        for (size_t i = 0; i < b->n_claimed; i++)
                if (b->claimed[i]->group < 0)
                        return refuse(b, PLAN_E_NOT_VIABLE,
                                      "%s is in no IOMMU group, so it cannot be passed through safely. Enable the IOMMU "
                                      "in the firmware and on the kernel command line (intel_iommu=on, or amd_iommu=on).",
                                      b->claimed[i]->address);
        r = selector_blockers(b->in->snapshot, b->addresses, &blockers);
        if (r < 0)
                return r;
        if (strv_length(blockers) == 0)
                return 0;
        text = join(blockers);
        if (!text)
                return -ENOMEM;
        return refuse(b, PLAN_E_NOT_VIABLE,
                      "The IOMMU group of %s has members that stay with the host: %s. Unbind them, pass them through "
                      "as well (Functions= in a .gpu file), or move the card to another slot.", b->in->name, text);
}

static int check_use(Builder *b) {
        for (size_t i = 0; i < b->n_claimed; i++) {
                const Function *f = b->claimed[i];

                if (f->has_vfs)
                        return refuse(b, PLAN_E_IN_USE, "%s has virtual functions. Write 0 to its sriov_numvfs first.",
                                      f->address);
                if (f->mounted && *f->mounted)
                        return refuse(b, PLAN_E_IN_USE, "%s carries a mounted file system: %s. Unmount it first.",
                                      f->address, *f->mounted);
                if (f->networks && *f->networks)
                        return refuse(b, PLAN_E_IN_USE, "%s carries the host's only network that is up: %s.",
                                      f->address, *f->networks);
        }
        if (b->options->force && b->in->holders) {
                const Holder *vm = holders_find_vm(b->in->holders);

                if (vm)
                        return refuse(b, PLAN_E_IN_USE, "The virtual machine %s (pid %u) has %s open. Stop it first.",
                                      strempty(vm->vm_name), vm->pid, b->in->name);
        }
        return 0;
}

/* The VFIO driver of one function: the caller's choice and the configured one concern the display. */
static int vfio_driver_of(Builder *b, const Function *f, char **ret) {
        const char *wanted = f == display_of(b) ? b->options->driver : NULL;
        char *driver;

        if (!wanted && f == display_of(b) && b->in->config)
                wanted = b->in->config->vfio_driver;
        if (wanted && !same_module(wanted, "vfio_pci") && !modules_contain(f->vfio_modules, wanted))
                return refuse(b, PLAN_E_INVALID,
                              "'%s' is not a VFIO driver for %s: it must be vfio-pci, or have a vfio_pci: alias that "
                              "matches the device.", wanted, f->address);
        if (!wanted)
                wanted = f->vfio_modules && *f->vfio_modules ? *f->vfio_modules : "vfio_pci";

        driver = strdup(wanted);
        if (!driver)
                return -ENOMEM;
        /* The drivers of the family are named with dashes, their modules with underscores. */
        for (char *p = driver; *p; p++)
                if (*p == '_')
                        *p = '-';
        *ret = driver;
        return 0;
}

static void add_load(Builder *b, const char *driver) {
        _cleanup_free_ char *module = NULL;

        if (snapshot_find_driver(b->in->snapshot, driver))
                return;
        module = module_name(driver);
        if (!module) {
                b->r = -ENOMEM;
                return;
        }
        add(b, VERB_LOAD, module, NULL, NULL);
        add(b, VERB_CHECK_DRIVER, driver, NULL, NULL);
}

/* Holders are asked before they are waited for, and waited for before they are ended. */
static void add_release(Builder *b) {
        const char *display = b->in->functions[0];

        for (char **unit = b->in->quirks ? b->in->quirks->stop_units : NULL; unit && *unit; unit++)
                add(b, VERB_STOP_UNIT, *unit, NULL, NULL);
        for (char **unit = b->in->config ? b->in->config->stop_units : NULL; unit && *unit; unit++)
                add(b, VERB_STOP_UNIT, *unit, NULL, NULL);
        add_seconds(b, VERB_ASK, display, b->options->wait_sec);
        for (size_t i = 0; i < b->n_claimed; i++)
                for (char **card = b->claimed[i]->sound_cards; card && *card; card++)
                        add(b, VERB_ASK_SOUND, b->claimed[i]->address, *card, NULL);

        if (b->options->force && b->in->holders && b->in->holders->n > 0) {
                add_seconds(b, VERB_WAIT_ASKED, display, MIN(b->options->wait_sec, 5U));
                for (size_t i = 0; i < b->in->holders->n; i++) {
                        const Holder *h = b->in->holders->list + i;
                        char pid[16], start[24];

                        if (h->protected || h->is_vm)
                                continue;
                        (void) snprintf(pid, sizeof(pid), "%u", h->pid);
                        (void) snprintf(start, sizeof(start), "%llu", (unsigned long long) h->start);
                        add(b, VERB_END, pid, start, "5");
                }
        }
        add_seconds(b, VERB_WAIT_FREE, display, b->options->wait_sec);
}

static bool driver_needed_elsewhere(const Builder *b, const char *driver) {
        for (size_t i = 0; i < b->in->snapshot->n_functions; i++) {
                const Function *f = b->in->snapshot->functions + i;

                if (f->driver && streq(f->driver, driver) && !strv_contains(b->addresses, f->address))
                        return true;
        }
        return false;
}

/* An unbind of nvidia with a reference left never returns (nv-pci.c nv_pci_remove_helper()), and modprobe -r refuses
 * where that would be so: so the modules go first, if no other card needs them. Returns the driver that leaves
 * its functions with its module, or NULL. */
static const char *add_quiesce(Builder *b) {
        const Function *display = display_of(b);
        char **unload = b->in->quirks ? b->in->quirks->unload : NULL;
        const char *losing[2 * ELEMENTSOF(b->claimed) + 1] = {}, *leaves = NULL;
        const Driver *driver;
        size_t n = 0;

        if (!unload || !*unload || !display->driver || plan_function_is_detached(display) ||
            driver_needed_elsewhere(b, display->driver))
                return NULL;
        driver = snapshot_find_driver(b->in->snapshot, display->driver);
        for (size_t i = b->n_claimed; i > 0; i--)
                if (streq_ptr(b->claimed[i - 1]->driver, display->driver)) {
                        losing[n++] = b->claimed[i - 1]->address;
                        losing[n++] = display->driver;
                }

        for (char **module = unload; *module; module++) {
                bool own = driver && driver->module && same_module(*module, driver->module);

                add_strv(b, VERB_UNLOAD, *module, own ? (char *const *) losing : NULL);
                leaves = own ? display->driver : leaves;
        }
        add_strv(b, VERB_CHECK_MODULE, unload[0], unload + 1);
        return leaves;
}

static int build_detach(Builder *b) {
        char *drivers[ELEMENTSOF(b->claimed)] = {};
        _cleanup_strv_free_ char **verify = NULL, **idle = NULL;
        const char *left;
        bool moves = false;
        int r = 0;

        for (size_t i = 0; i < b->n_claimed; i++)
                moves = moves || !plan_function_is_detached(b->claimed[i]);
        if (!moves && !b->options->access)
                return 0;

        if (moves) {
                r = check_group(b);
                if (r == 0)
                        r = check_use(b);
                if (r == 0 && !b->options->disrupt_session && b->in->last_display != LAST_DISPLAY_ALLOW && is_last_display(b))
                        r = refuse(b, PLAN_E_LAST_DISPLAY,
                                   "%s drives the display that somebody looks at. Allow that with disrupt-session "
                                   "(gpuptctl --disrupt-session), or with LastDisplay=allow on a headless host.", b->in->name);
        }
        for (size_t i = 0; i < b->n_claimed && r == 0; i++)
                r = vfio_driver_of(b, b->claimed[i], drivers + i);
        if (r != 0)
                goto finish;

        add_strv(b, VERB_CHECK, b->addresses[0], b->addresses + 1);
        if (moves) {
                add_strv(b, VERB_SAVE, b->powered[0], b->powered + 1);
                /* A bridge that suspends now would put an unbound function to D3cold (drivers/pci/pci-driver.c
                 * local_pci_probe()). */
                add_strv(b, VERB_PIN, b->powered[0], b->powered + 1);
                /* The driver must be there before anything is unbound. */
                for (size_t i = 0; i < b->n_claimed; i++) {
                        bool seen = false;

                        for (size_t j = 0; j < i; j++)
                                seen = seen || streq(drivers[j], drivers[i]);
                        if (!seen)
                                add_load(b, drivers[i]);
                }
                /* Overrides on all of them before the first unbind: nobody else can bind them any more. */
                for (size_t i = b->n_claimed; i > 0; i--)
                        if (!plan_function_is_detached(b->claimed[i - 1]))
                                add(b, VERB_OVERRIDE, b->claimed[i - 1]->address, drivers[i - 1], NULL);
                add_release(b);
                left = add_quiesce(b);
                for (size_t i = 0; i < b->n_claimed; i++)
                        for (char **console = b->claimed[i]->consoles; console && *console; console++)
                                add(b, VERB_RELEASE_CONSOLE, *console, NULL, NULL);

                for (size_t i = 0; i < b->n_claimed; i++) {
                        const Function *f = b->claimed[i];

                        if (f->driver && !plan_function_is_detached(f) && !streq_ptr(f->driver, left))
                                add(b, VERB_UNBIND, f->address, f->driver, NULL);
                }
                for (size_t i = b->n_claimed; i > 0; i--)
                        if (!plan_function_is_detached(b->claimed[i - 1]))
                                add(b, VERB_BIND, b->claimed[i - 1]->address, drivers[i - 1], NULL);
        }

        for (size_t i = b->n_claimed; i > 0 && r >= 0; i--) {
                const Function *f = b->claimed[i - 1];
                bool on = b->in->config && b->in->config->idle_power == IDLE_POWER_ON;

                r = strv_extend(&verify, f->address);
                if (r >= 0)
                        r = strv_extend(&verify, plan_function_is_detached(f) ? f->driver : drivers[i - 1]);
                if (r >= 0)
                        r = strv_extend(&idle, f->address);
                if (r >= 0)
                        r = strv_extend(&idle, on ? "on" : "auto");
        }
        if (r < 0)
                goto finish;
        add_strv(b, VERB_VERIFY, verify[0], verify + 1);
        if (moves)
                add_strv(b, VERB_IDLE_POWER, idle[0], idle + 1);
        if (b->options->access)
                for (size_t i = b->n_claimed; i > 0; i--) {
                        char uid[16];

                        (void) snprintf(uid, sizeof(uid), "%u", b->options->uid);
                        add(b, VERB_ACCESS, b->claimed[i - 1]->address, uid, NULL);
                }
        r = b->r;

finish:
        for (size_t i = 0; i < ELEMENTSOF(drivers); i++)
                free(drivers[i]);
        return r;
}

/* ---- attach ---- */

/* The driver that a function goes back to: "" is none, NULL is "the kernel shall say". */
static int host_driver_of(Builder *b, const Function *f, const char **ret) {
        const char *was = recorded(b, f, "driver");
        const char *configured = f == display_of(b) && b->in->config ? b->in->config->host_driver : NULL;
        const char *wanted = f == display_of(b) ? b->options->driver : NULL;

        /* Any driver would bind with an override (drivers/pci/pci-driver.c pci_match_device()): only those that know the
         * device may. */
        if (wanted && !(was && same_module(was, wanted)) && !(configured && same_module(configured, wanted))) {
                const Driver *d = snapshot_find_driver(b->in->snapshot, wanted);

                if (driver_is_vfio(wanted) || !modules_contain(f->host_modules, d && d->module ? d->module : wanted))
                        return refuse(b, PLAN_E_INVALID,
                                      "'%s' is not a driver for %s: it must be the one that the function came from, the "
                                      "configured one, or one whose module alias matches the device.", wanted, f->address);
        }
        if (!wanted && was && !driver_is_vfio(was))
                wanted = was;
        if (!wanted)
                wanted = configured;
        *ret = wanted;
        return 0;
}

static int check_vm(Builder *b) {
        const Holder *vm = b->in->holders ? holders_find_vm(b->in->holders) : NULL;

        if (!vm || b->options->has_wait)
                return 0;
        return refuse(b, PLAN_E_IN_USE,
                      "The virtual machine %s (%s, pid %u) has %s open. Stop it, or give it time with the option wait.",
                      strempty(vm->vm_name), strempty(vm->vm_manager), vm->pid, b->in->name);
}

/* Whether the function needs anything to be where it belongs. */
static bool is_home(const Function *f, const char *driver) {
        if (plan_function_is_detached(f))
                return false;
        return !driver || !*driver || streq_ptr(f->driver, driver);
}

/* The modules that a detach unloaded, the last one first; then what the drivers need, if it is not there. */
static void add_host_modules(Builder *b, const char *const *drivers) {
        for (size_t i = strv_length(b->in->modules); i > 0; i--)
                add(b, VERB_LOAD, b->in->modules[i - 1], NULL, NULL);
        for (size_t i = b->n_claimed; i > 0; i--) {
                const Function *f = b->claimed[i - 1];
                bool known = false;

                if (drivers[i - 1] && *drivers[i - 1]) {
                        /* A module that detach unloaded is being loaded above; the bind says if its driver is missing. */
                        if (!modules_contain(b->in->modules, drivers[i - 1]))
                                add_load(b, drivers[i - 1]);
                        continue;
                }
                if (drivers[i - 1] || !plan_function_is_detached(f))
                        continue;
                for (size_t d = 0; d < b->in->snapshot->n_drivers; d++)
                        known = known || (b->in->snapshot->drivers[d].module &&
                                          modules_contain(f->host_modules, b->in->snapshot->drivers[d].module));
                if (!known && f->host_modules && *f->host_modules && f->modalias)
                        add(b, VERB_LOAD, f->modalias, NULL, NULL);
        }
}

static void add_restore(Builder *b) {
        _cleanup_strv_free_ char **power = NULL;
        const Saved *record = b->in->record;
        int r = 0;

        for (size_t i = 0; i < b->n_claimed; i++)
                if (recorded(b, b->claimed[i], "override"))
                        add(b, VERB_OVERRIDE, b->claimed[i]->address, recorded(b, b->claimed[i], "override"), NULL);
                else
                        add(b, VERB_OVERRIDE, b->claimed[i]->address, "", NULL);
        for (size_t i = 0; record && i < record->n; i++)
                if (streq(record->list[i].key, "console"))
                        add(b, VERB_RESTORE_CONSOLE, record->list[i].subject, NULL, NULL);

        for (char **a = b->powered; *a && r >= 0; a++) {
                const Function *f = snapshot_find(b->in->snapshot, *a);
                const char *control = record ? saved_get(record, *a, "power-control") : NULL;
                const char *d3cold = record ? saved_get(record, *a, "d3cold") : NULL;
                bool claimed = strv_contains(b->addresses, *a);

                /* What nobody has recorded goes back to what it was before it was pinned: a bridge to what it is now, a
                 * function to the kernel's own values after a scan, since its VFIO driver has changed them
                 * (drivers/pci/pci.c pci_pm_init()). */
                r = strv_extend(&power, *a);
                if (r >= 0)
                        r = strv_extend(&power, control ?: claimed ? "on" : f ? strempty(f->power_control) : "");
                if (r >= 0)
                        r = strv_extend(&power, d3cold ?: claimed ? "1" : f ? strempty(f->d3cold_allowed) : "");
        }
        if (r < 0) {
                b->r = r;
                return;
        }
        add_strv(b, VERB_RESTORE_POWER, power[0], power + 1);
        for (char *const *unit = b->in->units; unit && *unit; unit++)
                add(b, VERB_START_UNIT, *unit, NULL, NULL);
}

static int build_attach(Builder *b) {
        const char *drivers[ELEMENTSOF(b->claimed)] = {};
        const Function *display = display_of(b);
        bool moves = false, display_moves = false;
        int r;

        for (size_t i = 0; i < b->n_claimed; i++) {
                r = host_driver_of(b, b->claimed[i], drivers + i);
                if (r != 0)
                        return r;
                if (is_home(b->claimed[i], drivers[i]))
                        continue;
                moves = true;
                display_moves = display_moves || b->claimed[i] == display;
        }
        if (!moves && !b->in->record)
                return 0;
        r = check_vm(b);
        if (r != 0)
                return r;

        add_strv(b, VERB_CHECK, b->addresses[0], b->addresses + 1);
        add_strv(b, VERB_SAVE, b->powered[0], b->powered + 1);
        add_seconds(b, VERB_WAIT_FREE, display->address, b->options->has_wait ? b->options->wait_sec : 0);
        add_strv(b, VERB_PIN, b->powered[0], b->powered + 1);
        for (size_t i = b->n_claimed; i > 0; i--)
                if (!is_home(b->claimed[i - 1], drivers[i - 1]))
                        add(b, VERB_OVERRIDE, b->claimed[i - 1]->address, strempty(drivers[i - 1]), NULL);
        for (size_t i = b->n_claimed; i > 0 && b->in->access_given; i--) {
                char uid[16];

                if (!plan_function_is_detached(b->claimed[i - 1]))
                        continue;
                (void) snprintf(uid, sizeof(uid), "%u", b->in->access_uid);
                add(b, VERB_REVOKE, b->claimed[i - 1]->address, uid, NULL);
        }
        for (size_t i = 0; i < b->n_claimed; i++)
                if (b->claimed[i]->driver && !is_home(b->claimed[i], drivers[i]))
                        add(b, VERB_UNBIND, b->claimed[i]->address, b->claimed[i]->driver, NULL);

        add_host_modules(b, drivers);
        for (size_t i = b->n_claimed; i > 0; i--) {
                const Function *f = b->claimed[i - 1];

                if (is_home(f, drivers[i - 1]))
                        continue;
                if (!drivers[i - 1])
                        add(b, VERB_PROBE, f->address, NULL, NULL);
                else if (*drivers[i - 1])
                        add(b, VERB_BIND, f->address, drivers[i - 1], NULL);
        }
        if (display_moves && recorded(b, display, "drm"))
                add_seconds(b, VERB_WAIT_DRM, display->address, 10);
        add_restore(b);
        return b->r;
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

int plan_build(const PlanInput *in, Operation operation, const PlanOptions *options, Plan **ret, char **reterr_message) {
        _cleanup_(plan_freep) Plan *plan = plan_new(operation);
        Builder b = { .in = in, .options = options, .plan = plan };
        int r;

        if (!plan)
                return -ENOMEM;
        if (operation == OPERATION_DETACH || operation == OPERATION_ATTACH)
                r = claim(&b);
        else
                r = refuse(&b, PLAN_E_NOT_SUPPORTED, "The operation '%s' is not supported by this version of gpuptd.",
                           operation_to_string(operation));
        if (r == 0)
                r = operation == OPERATION_DETACH ? build_detach(&b) : build_attach(&b);
        if (r == 0)
                *ret = TAKE_PTR(plan);
        else if (r > 0)
                *reterr_message = TAKE_PTR(b.message);
        builder_done(&b);
        return r;
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

static int undo_into(const Step *s, const Saved *saved, Plan *undo) {
        const char *value;

        switch (s->verb) {
        case VERB_PIN:
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
        case VERB_START_UNIT:
                /* It may hold the card by now, and what is undone next is a bind. */
                return plan_add(undo, VERB_STOP_UNIT, s->target, NULL);
        default:
                /* Reads, waits and what cannot be taken back (a process that was ended). A loaded module does no
                 * harm, and idle power is covered by the undo of the pin. */
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
