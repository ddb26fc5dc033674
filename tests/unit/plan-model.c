/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "plan-model.h"
#include "snapshot-builder.h"

#define UACCESS "0200000001000600ffffffff" /* any hex will do: it is what comes back that matters */

struct Model {
        const Snapshot *machine; /* weak: what the hardware is, and what its drivers would make of it */
        GHashTable *facts;        /* key: value; no key is "" */
};

void model_set(Model *m, const char *value, const char *format, ...) {
        va_list ap;
        char *key;

        va_start(ap, format);
        key = g_strdup_vprintf(format, ap);
        va_end(ap);
        if (*value)
                g_hash_table_replace(m->facts, key, g_strdup(value));
        else {
                (void) g_hash_table_remove(m->facts, key);
                g_free(key);
        }
}

const char *model_get(const Model *m, const char *format, ...) {
        g_autofree char *key = NULL;
        va_list ap;

        va_start(ap, format);
        key = g_strdup_vprintf(format, ap);
        va_end(ap);
        return strempty(g_hash_table_lookup(m->facts, key));
}

/* ---- drivers and modules */

/* The module of a driver: as the snapshot said, else by the name's dashes; "" for what is built in. */
static char *module_of(const Model *m, const char *driver) {
        const char *known = model_get(m, "driver-module %s", driver);

        return *known ? g_strdup(known) : g_strdelimit(g_strdup(driver), "-", '_');
}

static bool driver_is_registered(const Model *m, const char *driver) {
        g_autofree char *module = module_of(m, driver);

        return *model_get(m, "built-in %s", driver) || *model_get(m, "module %s", module);
}

/* The driver that a module brings, for a function that it matches. */
static const char *driver_of_module(const Model *m, const char *module) {
        GHashTableIter iter;
        const char *key, *value;

        g_hash_table_iter_init(&iter, m->facts);
        while (g_hash_table_iter_next(&iter, (void **) &key, (void **) &value))
                if (streq(value, module) && startswith(key, "driver-module "))
                        return startswith(key, "driver-module ");
        return module;
}

/* Sound cards come and go with the driver, and udev gives the seat's user access to new ones. */
static void set_driver(Model *m, const Function *f, const char *driver) {
        bool sound = *driver && !driver_is_vfio(driver);

        model_set(m, driver, "%s driver", f->address);
        for (char **c = f->sound_cards; c && *c; c++) {
                model_set(m, sound ? "there" : "", "card %s", *c);
                model_set(m, sound ? UACCESS : "", "acl /dev/snd/%s", *c);
        }
        /* A display's is a new one, which everybody is told of. */
        for (size_t i = 0; i < f->n_nodes; i++)
                if (startswith(f->nodes[i].path, "/dev/dri/card"))
                        model_set(m, "", "%s asked", f->nodes[i].path + STRLEN("/dev/dri/"));
        /* A VFIO node goes with its driver, and with it the ACL. */
        if (!driver_is_vfio(driver))
                model_set(m, "", "%s access", f->address);
        /* The console's framebuffer is the firmware's: the driver leaves it alone. */
}

static bool may_bind(const Model *m, const Function *f, const char *driver) {
        const char *override = model_get(m, "%s override", f->address);
        g_autofree char *module = module_of(m, driver);

        if (*override)
                return streq(override, driver);
        return strv_contains(f->host_modules, module);
}

/* What the kernel does when a driver is registered: it binds every function without one that matches. */
static void load(Model *m, const char *module) {
        if (*model_get(m, "module %s", module))
                return;
        model_set(m, "loaded", "module %s", module);
        for (size_t i = 0; i < m->machine->n_functions; i++) {
                const Function *f = m->machine->functions + i;
                const char *override = model_get(m, "%s override", f->address), *driver = driver_of_module(m, module);
                g_autofree char *wanted = *override ? module_of(m, override) : NULL;

                if (*model_get(m, "%s driver", f->address))
                        continue;
                if (wanted && streq(wanted, module))
                        set_driver(m, f, override);
                else if (!wanted && may_bind(m, f, driver))
                        set_driver(m, f, driver);
        }
}

/* A module's name, or a modalias. */
static int load_target(Model *m, const char *target) {
        if (!startswith(target, "pci:")) {
                load(m, target);
                return 0;
        }
        for (size_t i = 0; i < m->machine->n_functions; i++) {
                const Function *f = m->machine->functions + i;

                if (streq_ptr(f->modalias, target) && f->host_modules) {
                        load(m, f->host_modules[0]);
                        return 0;
                }
        }
        return -ENOENT;
}

static int unload(Model *m, const Step *s) {
        for (size_t i = 0; i < m->machine->n_functions; i++) {
                const Function *f = m->machine->functions + i;
                const char *driver = model_get(m, "%s driver", f->address);
                g_autofree char *module = module_of(m, driver);

                if (!*driver || !streq(module, s->target))
                        continue;
                /* Whoever loses a driver has to be named, or the undo would forget it. */
                if (!strv_contains(s->arguments, f->address))
                        return -EBUSY;
                set_driver(m, f, "");
        }
        model_set(m, "", "module %s", s->target);
        return 0;
}

static int bind(Model *m, const Function *f, const char *driver) {
        const char *now = model_get(m, "%s driver", f->address);

        if (streq(now, driver))
                return 0;
        if (*now)
                return -EBUSY;
        if (!driver_is_registered(m, driver))
                return -ENOENT;
        if (!may_bind(m, f, driver))
                return -ENODEV;
        set_driver(m, f, driver);
        return 0;
}

static int probe(Model *m, const Function *f, Saved *saved) {
        model_set(m, "", "%s override", f->address);
        for (char **module = f->host_modules; module && *module && !*model_get(m, "%s driver", f->address); module++)
                if (*model_get(m, "module %s", *module))
                        set_driver(m, f, driver_of_module(m, *module));
        return saved_add(saved, f->address, "probed", model_get(m, "%s driver", f->address));
}

/* ---- steps on functions */

static int save(Model *m, const char *address, Saved *saved) {
        static const char *const keys[] = { "driver", "override", "power-control", "d3cold" };

        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                int r = saved_add(saved, address, keys[i], model_get(m, "%s %s", address, keys[i]));

                if (r < 0)
                        return r;
        }
        return 0;
}

static void set_power(Model *m, const char *address, const char *control, const char *d3cold) {
        if (*control)
                model_set(m, control, "%s power-control", address);
        if (*d3cold)
                model_set(m, d3cold, "%s d3cold", address);
}

static int verify(const Model *m, const char *address, const char *driver) {
        return streq(model_get(m, "%s driver", address), driver) ? 0 : -EIO;
}

static int ask_sound(Model *m, const char *card, Saved *saved) {
        g_autofree char *path = g_strdup_printf("/dev/snd/%s", card);
        const char *acl = model_get(m, "acl %s", path);
        int r = *acl ? saved_add(saved, path, "acl", acl) : 0;

        model_set(m, "", "acl %s", path);
        model_set(m, "asked", "card %s", card);
        return r;
}

static void return_sound(Model *m, const Step *s) {
        for (char **a = s->arguments + 1; a[0] && a[1]; a += 2)
                model_set(m, a[1], "acl %s", a[0]);
        model_set(m, "there", "card %s", s->arguments[0]);
}

static int on_function(Model *m, const Function *f, const Step *s, Saved *saved) {
        const char *argument = s->arguments ? s->arguments[0] : "", *now = model_get(m, "%s driver", f->address);

        switch (s->verb) {
        case VERB_OVERRIDE:
                model_set(m, argument, "%s override", f->address);
                return 0;
        case VERB_UNBIND:
                if (*now && !streq(now, argument))
                        return -EBUSY;
                set_driver(m, f, "");
                return 0;
        case VERB_BIND:
                return bind(m, f, argument);
        case VERB_REBIND:
                model_set(m, argument, "%s override", f->address);
                if (*now && !streq(now, argument))
                        set_driver(m, f, "");
                return bind(m, f, argument);
        case VERB_PROBE:
                return probe(m, f, saved);
        case VERB_ASK_SOUND:
                return ask_sound(m, argument, saved);
        case VERB_RETURN_SOUND:
                return_sound(m, s);
                return 0;
        case VERB_ASK_COMPOSITOR:
                model_set(m, "yes", "%s asked", argument);
                return saved_add(saved, argument, "asked", "yes");
        case VERB_RETURN_COMPOSITOR:
                model_set(m, "", "%s asked", argument);
                return 0;
        case VERB_ACCESS:
                model_set(m, argument, "%s access", f->address);
                return 0;
        case VERB_REVOKE:
                model_set(m, "", "%s access", f->address);
                return 0;
        default:
                g_assert_not_reached();
        }
}

static bool is_gone(const Model *m, const char *address) {
        return *model_get(m, "%s gone", address);
}

/* Steps whose target and arguments are a list of functions, each with so many words. */
static int on_functions(Model *m, const Step *s, Saved *saved) {
        g_autoptr(GPtrArray) words = g_ptr_array_new();
        size_t stride = s->verb == VERB_RESTORE_POWER                          ? 3
                        : s->verb == VERB_VERIFY || s->verb == VERB_IDLE_POWER ? 2
                                                                               : 1;
        int r = 0;

        g_ptr_array_add(words, s->target);
        for (char **a = s->arguments; a && *a; a++)
                g_ptr_array_add(words, *a);
        g_assert_cmpuint(words->len % stride, ==, 0);
        for (size_t i = 0; i < words->len && r >= 0; i += stride) {
                char **w = (char **) words->pdata + i;

                if (!snapshot_find(m->machine, w[0]))
                        return -ENODEV;
                if (s->verb == VERB_SAVE)
                        r = save(m, w[0], saved);
                else if (is_gone(m, w[0]))
                        return -ENODEV;
                else if (s->verb == VERB_PIN || s->verb == VERB_WAKE)
                        set_power(m, w[0], "on", "0");
                else if (s->verb == VERB_IDLE_POWER)
                        set_power(m, w[0], w[1], "0");
                else if (s->verb == VERB_RESTORE_POWER)
                        set_power(m, w[0], w[1], w[2]);
                else if (s->verb == VERB_VERIFY)
                        r = verify(m, w[0], w[1]);
        }
        return r;
}

/* ---- off the bus, and on it again ---- */

/* A bridge takes with it what is below it. */
static void go(Model *m, const char *address) {
        for (size_t i = 0; i < m->machine->n_functions; i++) {
                const Function *f = m->machine->functions + i;

                if (!streq(f->address, address) && !strv_contains(f->bridges, address))
                        continue;
                set_driver(m, f, "");
                model_set(m, "", "%s override", f->address);
                model_set(m, "yes", "%s gone", f->address);
        }
}

/* The kernel's own values, and whatever driver is there and matches; udev's rule comes too late for those. */
static void come(Model *m, const Function *f) {
        if (!is_gone(m, f->address))
                return;
        model_set(m, "", "%s gone", f->address);
        set_power(m, f->address, f->power_control ? "on" : "", f->d3cold_allowed ? "1" : "");
        for (char **module = f->host_modules; module && *module && !*model_get(m, "%s driver", f->address); module++)
                if (*model_get(m, "module %s", *module))
                        set_driver(m, f, driver_of_module(m, *module));
        if (function_is_bridge(f))
                set_driver(m, f, "pcieport");
        model_set(m, model_get(m, "%s keep", f->address), "%s override", f->address);
}

static int rescan(Model *m, const Step *s) {
        for (size_t i = 0; i < m->machine->n_functions; i++) {
                const Function *f = m->machine->functions + i;
                bool shadowed = false, below = false;

                for (char **bridge = f->bridges; bridge && *bridge; bridge++) {
                        shadowed = shadowed || is_gone(m, *bridge);
                        below = below || startswith(*bridge, s->target);
                }
                if (!shadowed && (below || startswith(f->address, s->target)))
                        come(m, f);
        }
        for (char **a = s->arguments; a && *a; a++)
                if (is_gone(m, *a))
                        return -ENODEV;
        return 0;
}

int model_run(Model *m, const Step *s, Saved *saved) {
        const Function *f = snapshot_find(m->machine, s->target);
        int r;

        switch (s->verb) {
        case VERB_CHECK:
        case VERB_SAVE:
        case VERB_PIN:
        case VERB_WAKE:
        case VERB_VERIFY:
        case VERB_RESTORE_POWER:
        case VERB_IDLE_POWER:
                return on_functions(m, s, saved);
        case VERB_CHECK_MODULE:
                return *model_get(m, "module %s", s->target) ? -EBUSY : 0;
        case VERB_CHECK_DRIVER:
                return driver_is_registered(m, s->target) ? 0 : -ENOPKG;
        case VERB_RELEASE_CONSOLE:
                model_set(m, "", "console %s", s->target);
                return saved_add(saved, s->target, "console", "bound");
        case VERB_RESTORE_CONSOLE:
                model_set(m, "bound", "console %s", s->target);
                return 0;
        case VERB_LOAD:
                return load_target(m, s->target);
        case VERB_UNLOAD:
                return unload(m, s);
        case VERB_STOP_UNIT:
                r = saved_add(saved, s->target, "active", *model_get(m, "unit %s", s->target) ? "yes" : "no");
                model_set(m, "", "unit %s", s->target);
                return r;
        case VERB_START_UNIT:
                model_set(m, "active", "unit %s", s->target);
                return 0;
        case VERB_RETURN_UNIT:
                if (streq(strempty(saved_get(saved, s->target, "active")), "yes"))
                        model_set(m, "active", "unit %s", s->target);
                return 0;
        case VERB_XORG_FILES:
                model_set(m, streq(s->arguments[0], "host") ? "" : "away", "xorg");
                return 0;
        case VERB_HOOK:
                model_set(m, streq(s->arguments[HOOK_WHEN], "pre") ? s->arguments[HOOK_ACT] : "", "hook %s", s->target);
                return 0;
        case VERB_REMOVE:
                go(m, s->target);
                return 0;
        case VERB_RESCAN:
                return rescan(m, s);
        case VERB_KEEP:
                model_set(m, s->arguments[0], "%s keep", s->target);
                return 0;
        case VERB_SWITCH_POWER:
                model_set(m, streq(s->arguments[0], "ON") ? "" : "off", "switch %s", s->target);
                return 0;
        case VERB_SLOT_POWER:
                model_set(m, streq(s->arguments[0], "1") ? "" : "off", "slot %s", s->target);
                return 0;
        case VERB_ALARM:
                model_set(m, streq(s->arguments[0], "0") ? "" : "set", "alarm %s", s->target);
                return 0;
        case VERB_RESET:
                /* It would be reset under a driver of the host. */
                return is_gone(m, s->target) || !(streq(model_get(m, "%s driver", s->target), "") ||
                                                  driver_is_vfio(model_get(m, "%s driver", s->target)))
                               ? -EBUSY
                               : 0;
        case VERB_RESTORE_DECODES:
        case VERB_RESET_BELOW:
        case VERB_VENDOR_RESET:
        case VERB_SUSPEND:
        case VERB_WAIT_DRM:
        case VERB_WAIT_SCREEN:
        case VERB_END:
        case VERB_CHECK_LOGINS:
        case VERB_END_SESSION:
        case VERB_ASK:
        case VERB_WAIT_ASKED:
        case VERB_WAIT_FREE:
                return 0;
        default:
                return f && !is_gone(m, f->address) ? on_function(m, f, s, saved) : -ENODEV;
        }
}

/* ---- life */

static Model *model_alloc(const Snapshot *machine) {
        Model *m = g_new0(Model, 1);

        m->machine = machine;
        m->facts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        return m;
}

Model *model_new(const Snapshot *machine, const Snapshot *s) {
        Model *m = model_alloc(machine);

        for (size_t i = 0; i < s->n_drivers; i++)
                if (s->drivers[i].module) {
                        model_set(m, s->drivers[i].module, "driver-module %s", s->drivers[i].name);
                        model_set(m, "loaded", "module %s", s->drivers[i].module);
                } else
                        model_set(m, "yes", "built-in %s", s->drivers[i].name);
        for (size_t i = 0; i < s->n_functions; i++) {
                const Function *f = s->functions + i;

                set_driver(m, snapshot_find(machine, f->address), strempty(f->driver));
                set_power(m, f->address, strempty(f->power_control), strempty(f->d3cold_allowed));
                for (char **c = f->consoles; c && *c; c++)
                        model_set(m, "bound", "console %s", *c);
        }
        return m;
}

Model *model_copy(const Model *m) {
        Model *copy = model_alloc(m->machine);
        GHashTableIter iter;
        void *key, *value;

        g_hash_table_iter_init(&iter, m->facts);
        while (g_hash_table_iter_next(&iter, &key, &value))
                g_hash_table_insert(copy->facts, g_strdup(key), g_strdup(value));
        return copy;
}

void model_free(Model *m) {
        g_hash_table_unref(m->facts);
        g_free(m);
}

void model_show(const Model *m, Snapshot *s) {
        for (size_t i = 0; i < s->n_functions; i++) {
                const char *driver = model_get(m, "%s driver", s->functions[i].address);
                char **consoles = g_steal_pointer(&s->functions[i].consoles);

                build_driver(s, s->functions[i].address, *driver ? driver : NULL);
                for (char **c = consoles; c && *c; c++)
                        if (*model_get(m, "console %s", *c))
                                build_strv(&s->functions[i].consoles, *c);
                strv_free(consoles);
        }
        for (size_t i = s->n_drivers; i > 0; i--)
                if (!driver_is_registered(m, s->drivers[i - 1].name)) {
                        free(s->drivers[i - 1].name);
                        free(s->drivers[i - 1].module);
                        s->drivers[i - 1] = s->drivers[--s->n_drivers];
                }
}

static void add_differences(const Model *a, const Model *b, GHashTable *lines) {
        GHashTableIter iter;
        const char *key, *value;

        g_hash_table_iter_init(&iter, a->facts);
        while (g_hash_table_iter_next(&iter, (void **) &key, (void **) &value))
                if (!streq(value, model_get(b, "%s", key)))
                        (void) g_hash_table_add(lines, g_strdup(key));
}

char *model_difference(const Model *before, const Model *now) {
        g_autoptr(GHashTable) keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        GString *text = g_string_new(NULL);
        GHashTableIter iter;
        const char *key;

        add_differences(before, now, keys);
        add_differences(now, before, keys);
        g_hash_table_iter_init(&iter, keys);
        while (g_hash_table_iter_next(&iter, (void **) &key, NULL))
                if (!startswith(key, "module ") || !*model_get(now, "%s", key))
                        g_string_append_printf(text, "%s: %s -> %s\n", key, model_get(before, "%s", key),
                                               model_get(now, "%s", key));
        return g_string_free(text, FALSE);
}
