/* SPDX-License-Identifier: GPL-2.0-or-later */

/* gpu: the derivation of a GPU's state from the snapshot, in gpu_update(), and the looks for holders that complete it. */

#include "gpu.h"

#include <stdarg.h>
#include <systemd/sd-login.h>

#include "checkup.h"
#include "dbus/names.h"
#include "question.h"
#include "rom-read.h"
#include "selector.h"
#include "util/log-ids.h"
#include "util/log.h"

int gpu_new(Host *h, const char *address, Gpu **ret) {
        _cleanup_(gpu_freep) Gpu *g = calloc(1, sizeof(Gpu));
        int r;

        if (!g)
                return -ENOMEM;
        *g = (Gpu) { .host = h, .state = GPU_ABSENT };
        g->address = strdup(address);
        if (!g->address)
                return -ENOMEM;

        r = host_record_load(h->run_dir, address, &g->record);
        if (r < 0 && r != -ENOENT) {
                g->record_unfit = true;
                gpu_set_inconsistent(g, "its record %s/gpu-%s is not readable (%s)", h->run_dir, address, strerror(-r));
        }
        /* What is known of it while it is not there. */
        r = strv_extend(&g->functions, address);
        for (char **a = g->record ? g->record->functions : NULL; a && *a && r >= 0; a++)
                if (!strv_contains(g->functions, *a))
                        r = strv_extend(&g->functions, *a);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(g);
        return 0;
}

Gpu *gpu_free(Gpu *g) {
        if (!g)
                return NULL;
        assert(!g->job);
        census_waiter_free(g->look);
        census_free(g->census);
        rom_read_free(g->rom_read);
        checkup_free(g->checkup);
        question_free(g->sensing);
        health_report_free(g->report);
        measurement_free(g->sensors);
        strv_free(g->screens);
        strv_free(g->missed_screens);
        free(g->address);
        free(g->identity);
        strv_free(g->functions);
        free(g->name);
        free(g->modalias);
        free(g->slot);
        strv_free(g->bridges);
        strv_free(g->switches);
        quirks_done(&g->quirks);
        strv_free(g->blockers);
        host_record_free(g->record);
        holders_free(g->holders);
        strv_free(g->on_vfio);
        free(g->stuck);
        free(g->inconsistency);
        free(g->last_job.error);
        free(g->last_job.message);
        free(g);
        return NULL;
}

bool gpu_has_function(const Gpu *g, const char *address) {
        return streq(g->address, address) || strv_contains(g->functions, address);
}

const Function *gpu_display(const Gpu *g) {
        return snapshot_find(g->host->snapshot, g->address);
}

char *gpu_title(const Gpu *g) {
        char *text;

        if (isempty(g->name))
                return strdup(g->address);
        return asprintf(&text, "%s (%s)", g->address, g->name) < 0 ? NULL : text;
}

/* ---- holders ---- */

static int add_node(char ***nodes, const Node *n) {
        _cleanup_free_ char *word = NULL;

        if (asprintf(&word, "%u:%u:%s", n->major, n->minor, n->path) < 0)
                return -ENOMEM;
        return strv_contains(*nodes, word) ? 0 : strv_extend(nodes, word);
}

/* A node of the driver as a whole says something about this card only if the driver has no other one. */
static bool shared_nodes_count(const Gpu *g, const Function *f) {
        for (size_t i = 0; i < g->host->snapshot->n_functions; i++) {
                const Function *other = g->host->snapshot->functions + i;

                if (!gpu_has_function(g, other->address) && streq_ptr(other->driver, f->driver))
                        return false;
        }
        return true;
}

static bool function_has_node(const Function *f, const char *path) {
        for (size_t i = 0; i < f->n_nodes; i++)
                if (streq(f->nodes[i].path, path))
                        return true;
        return false;
}

int gpu_nodes(const Gpu *g, char ***ret) {
        _cleanup_strv_free_ char **nodes = NULL;
        int r;

        for (char **a = g->functions; a && *a; a++) {
                const Function *f = snapshot_find(g->host->snapshot, *a);
                char path[32];

                for (size_t i = 0; f && i < f->n_nodes; i++) {
                        if (f->nodes[i].shared && !shared_nodes_count(g, f))
                                continue;
                        r = add_node(&nodes, f->nodes + i);
                        if (r < 0)
                                return r;
                }
                if (!f || f->group < 0)
                        continue;
                (void) snprintf(path, sizeof(path), "/dev/vfio/%d", f->group);
                if (function_has_node(f, path))
                        continue;
                /* While an unbind from vfio-pci hangs, the kernel has taken the node's class device away already
                 * (drivers/vfio/vfio_main.c vfio_unregister_group_dev()), but the holder's link still says its name. */
                r = add_node(&nodes, &(Node) { .path = path });
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(nodes);
        return 0;
}

int gpu_census(Gpu *g, census_handler_t handler, void *userdata, CensusWaiter **ret) {
        _cleanup_strv_free_ char **nodes = NULL;
        int r;

        r = gpu_nodes(g, &nodes);
        if (r < 0)
                return r;
        return census_join(g->host, &g->census, nodes, handler, userdata, ret);
}

static void on_look(int error, const Holders *holders, void *userdata) {
        Gpu *g = ASSERT_PTR(userdata);
        Holders *copy = NULL;

        g->look = NULL;
        if (error >= 0 && holders_copy(holders, &copy) >= 0) {
                holders_free(g->holders);
                g->holders = copy;
        }
        if (g->look_again) {
                g->look_again = false;
                gpu_look(g);
        }
        gpu_update(g);
}

void gpu_look(Gpu *g) {
        int r;

        /* What is running may have passed the process already that matters. */
        g->look_again = g->census != NULL;
        if (g->look)
                return;
        r = gpu_census(g, on_look, g, &g->look);
        if (r < 0)
                log_warning_errno(r, "Failed to look for the holders of %s: %m", g->address);
}

/* ---- derivation ---- */

static int derive_functions(Gpu *g, const Function *display) {
        _cleanup_strv_free_ char **functions = NULL;
        int r;

        r = g->config && g->config->functions
                    ? selector_explicit(g->host->snapshot, display, g->config->functions, &functions)
                    : selector_companions(g->host->snapshot, display, &functions);
        if (r == -ENODEV || r == -ENOTUNIQ || r == -EINVAL) {
                if (g->warned_about != g->config)
                        log_warning_errno(r, "%s: Functions= in %s does not name functions of this host, using the "
                                          "companions that were found: %m", g->address, g->config->file);
                g->warned_about = g->config;
                r = selector_companions(g->host->snapshot, display, &functions);
        }
        if (r < 0)
                return r;
        /* What was taken stays part of it, whatever the configuration says now or is missing from the bus. */
        for (char **a = g->record ? g->record->functions : NULL; a && *a && !g->record_unfit; a++)
                if (!strv_contains(functions, *a)) {
                        r = strv_extend(&functions, *a);
                        if (r < 0)
                                return r;
                }
        /* What a job has removed, and not found again, is missed. */
        for (char **a = g->job ? g->functions : NULL; a && *a; a++)
                if (!strv_contains(functions, *a)) {
                        r = strv_extend(&functions, *a);
                        if (r < 0)
                                return r;
                }
        strv_free(g->functions);
        g->functions = TAKE_PTR(functions);
        return 0;
}

static int copy_list(char *const *from, char ***to) {
        _cleanup_strv_free_ char **copy = NULL;
        int r = 0;

        for (; from && *from && r >= 0; from++)
                r = strv_extend(&copy, *from);
        if (r < 0)
                return r;
        strv_free(*to);
        *to = TAKE_PTR(copy);
        return 0;
}

/* Where it is, and what has power over it. A card that is off the bus is looked for there. */
static int derive_place(Gpu *g, const Function *display) {
        int r;

        r = copy_list(display->bridges, &g->bridges);
        /* A job takes bbswitch away before it removes the card, and a look in between must not be what is known of it. */
        if (r >= 0 && !g->job)
                r = copy_list(display->switches, &g->switches);
        for (char **w = g->job ? display->switches : NULL; w && *w && r >= 0; w++)
                if (!strv_contains(g->switches, *w))
                        r = strv_extend(&g->switches, *w);
        /* Likewise the slot, whose power it takes; and of one that vanished while it was looked at nothing is known. */
        if (r < 0 || (!display->slot && (g->job || !display->modalias)))
                return r;
        return free_and_strdup(&g->slot, display->slot);
}

static int derive_identity(Gpu *g, const Function *display) {
        _cleanup_free_ char *identity = function_identity(display);

        if (!identity)
                return -ENOMEM;
        if (g->record && !streq(g->record->identity, identity)) {
                if (!g->record_unfit)
                        gpu_set_inconsistent(g, "its record %s/gpu-%s is of another card (%s, here is %s)", g->host->run_dir,
                                             g->address, g->record->identity, identity);
                g->record_unfit = true;
        }
        free(g->identity);
        g->identity = TAKE_PTR(identity);
        g->class = display->class;
        g->vendor = display->vendor;
        g->device = display->device;
        g->subsystem_vendor = display->subsystem_vendor;
        g->subsystem_device = display->subsystem_device;
        g->boot_vga = display->boot_vga;
        if (free_and_strdup(&g->modalias, display->modalias) < 0)
                return -ENOMEM;
        return display->name ? free_and_strdup(&g->name, display->name) : 0;
}

static int derive_policy(Gpu *g, const Function *display) {
        const char *driver = display->driver;

        g->config = config_match(g->host->config, display);
        if (driver_is_vfio(driver))
                driver = g->record ? saved_get(&g->record->saved, g->address, "driver") : NULL;
        quirks_done(&g->quirks);
        return quirk_db_lookup(g->host->quirks, strempty(display->modalias), driver, &g->quirks);
}

static bool was_taken(const Gpu *g, const char *address) {
        return !g->record || strv_contains(g->record->functions, address);
}

/* What the drivers say, without regard of who has it open. */
static GpuState driver_state(const Gpu *g) {
        size_t vfio = 0, host = 0;
        bool mixed = false;

        for (char **a = g->functions; *a; a++) {
                const Function *f = snapshot_find(g->host->snapshot, *a);
                const char *was = g->record ? saved_get(&g->record->saved, *a, "driver") : NULL;

                if (!f) {
                        mixed = true;
                        continue;
                }
                if (plan_function_is_detached(f)) {
                        vfio++;
                        mixed = mixed || !was_taken(g, *a);
                } else if (was_taken(g, *a)) {
                        host++;
                        mixed = mixed || (!isempty(was) && !driver_is_vfio(was) && !f->driver);
                }
        }
        if (mixed || (vfio > 0 && host > 0))
                return GPU_PARTIAL;
        return vfio > 0 ? GPU_DETACHED : GPU_HOST;
}

/* An unbind of somebody else that hangs: the `driver` link is gone first (drivers/base/dd.c
 * __device_release_driver()), and somebody still has the VFIO node open. A function that never was with VFIO may be without a driver as
 * long as it likes. */
static bool is_foreign_stuck(const Gpu *g) {
        if (g->job || !g->holders || !holders_find_vm(g->holders))
                return false;
        for (char **a = g->functions; *a; a++) {
                const Function *f = snapshot_find(g->host->snapshot, *a);

                if (f && !f->driver && (strv_contains(g->on_vfio, *a) || (g->record && strv_contains(g->record->functions, *a))))
                        return true;
        }
        return false;
}

static void note_vfio(Gpu *g) {
        g->on_vfio = strv_free(g->on_vfio);
        for (char **a = g->functions; a && *a; a++) {
                const Function *f = snapshot_find(g->host->snapshot, *a);

                if (f && plan_function_is_detached(f) && strv_extend(&g->on_vfio, *a) < 0)
                        (void) log_oom();
        }
}

static GpuState derive_state(Gpu *g) {
        GpuState state;

        if (g->stuck_job || (g->rom_read && rom_read_is_late(g->rom_read)))
                return GPU_STUCK;
        if (!gpu_display(g))
                return GPU_ABSENT;
        if (is_foreign_stuck(g)) {
                const Holder *vm = holders_find_vm(g->holders);

                if (!g->stuck &&
                    asprintf(&g->stuck,
                             "Somebody unbinds %s while %s%s (pid %u) has it open. The unbind returns when that process ends.",
                             g->address, vm->vm_name ? "the virtual machine " : "", vm->vm_name ?: vm->command, vm->pid) < 0)
                        g->stuck = NULL;
                return GPU_STUCK;
        }
        free(g->stuck);
        g->stuck = NULL;
        if (g->unreachable)
                return GPU_UNREACHABLE;
        state = driver_state(g);
        if (state == GPU_DETACHED && g->holders && holders_find_vm(g->holders))
                return GPU_ASSIGNED;
        return state;
}

/* Holders matter to the state wherever a function is with VFIO, or with nobody. */
static bool needs_look(const Gpu *g) {
        for (char **a = g->functions; a && *a; a++) {
                const Function *f = snapshot_find(g->host->snapshot, *a);

                if (f && (!f->driver || plan_function_is_detached(f)))
                        return true;
        }
        return false;
}

static void forget_holders(Gpu *g) {
        g->holders = holders_free(g->holders);
}

/* What was no job's doing. That a VM opens or closes the card is how it is meant to be used. */
static void log_change(const Gpu *g, GpuState before) {
        bool used = (before == GPU_DETACHED && g->state == GPU_ASSIGNED) || (before == GPU_ASSIGNED && g->state == GPU_DETACHED);
        bool stuck = g->state == GPU_STUCK;
        const char *id = stuck                 ? MESSAGE_ID_GPU_STUCK
                         : before == GPU_STUCK ? MESSAGE_ID_GPU_UNSTUCK
                         : used                ? NULL
                                               : MESSAGE_ID_GPU_CHANGED;

        if (g->state == before || g->job || g->stuck_job)
                return;
        (void) log_with(stuck ? LOG_ERR : used ? LOG_INFO : LOG_NOTICE, 0, id, LOG_FIELDS({ GPUPT_FIELD_GPU, g->address }),
                        "%s: was %s, is %s now%s.%s%s", g->address, gpu_state_to_string(before), gpu_state_to_string(g->state),
                        used ? "" : ", not by a job of gpuptd", stuck && g->stuck ? " " : "", stuck ? strempty(g->stuck) : "");
}

void gpu_update(Gpu *g) {
        const Function *display = gpu_display(g);
        bool known = g->identity;
        GpuState before = g->state;
        int r = 0;

        if (display) {
                r = derive_identity(g, display);
                if (r >= 0)
                        r = derive_place(g, display);
                if (r >= 0)
                        r = derive_policy(g, display);
                if (r >= 0)
                        r = derive_functions(g, display);
                if (r >= 0) {
                        g->blockers = strv_free(g->blockers);
                        r = selector_blockers(g->host->snapshot, g->functions, &g->blockers);
                }
                if (r < 0) {
                        log_error_errno(r, "Failed to derive the state of %s: %m", g->address);
                        return;
                }
                g->viable = display->group >= 0 && strv_length(g->blockers) == 0;
        } else {
                g->unreachable = false;
                /* What was said of it when it was there. */
                if (g->report && !health_report_find(g->report, "absent"))
                        g->report = health_report_free(g->report);
                forget_holders(g);
        }
        if (!needs_look(g))
                forget_holders(g);
        g->state = derive_state(g);
        gpu_note_display(g);
        g->vm_closed = g->vm_closed || (before == GPU_ASSIGNED && g->state == GPU_DETACHED);
        if (known)
                log_change(g, before);
        if (g->state != GPU_STUCK)
                note_vfio(g);
        if (g->state != before && g->state != GPU_ASSIGNED && !g->holders && needs_look(g) && !g->look)
                gpu_look(g);
        g->host->listener.gpu_changed(g, g->host->listener.userdata);
}

int gpu_scan_addresses(const Gpu *g, char ***ret) {
        _cleanup_strv_free_ char **addresses = NULL;
        int r;

        r = strv_extend(&addresses, g->address);
        for (char **a = g->functions; a && *a && r >= 0; a++)
                if (!strv_contains(addresses, *a))
                        r = strv_extend(&addresses, *a);
        /* The power settings of the bridges above are part of the way back. */
        for (char **a = g->functions; a && *a && r >= 0; a++) {
                const Function *f = snapshot_find(g->host->snapshot, *a);

                for (char **bridge = f ? f->bridges : NULL; bridge && *bridge && r >= 0; bridge++)
                        if (!strv_contains(addresses, *bridge))
                                r = strv_extend(&addresses, *bridge);
        }
        for (size_t i = 0; i < g->host->snapshot->n_functions && r >= 0; i++) {
                const Function *f = g->host->snapshot->functions + i;

                if (f->group < 0 || strv_contains(addresses, f->address))
                        continue;
                for (char **a = g->functions; a && *a && r >= 0; a++) {
                        const Function *own = snapshot_find(g->host->snapshot, *a);

                        if (own && own->group == f->group) {
                                r = strv_extend(&addresses, f->address);
                                break;
                        }
                }
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(addresses);
        return 0;
}

int gpu_scan(Gpu *g) {
        _cleanup_strv_free_ char **addresses = NULL;
        int r;

        r = gpu_scan_addresses(g, &addresses);
        if (r < 0)
                return r;
        return host_scan(g->host, g->address, addresses);
}

int gpu_scan_wait(Gpu *g, scan_handler_t handler, void *userdata, ScanWaiter **ret) {
        _cleanup_strv_free_ char **addresses = NULL;
        int r;

        r = gpu_scan_addresses(g, &addresses);
        if (r < 0)
                return r;
        return host_scan_wait(g->host, g->address, addresses, handler, userdata, ret);
}

void gpu_set_stuck(Gpu *g, const char *reason) {
        if (free_and_strdup(&g->stuck, reason) < 0)
                (void) log_oom();
        gpu_update(g);
}

void gpu_set_inconsistent(Gpu *g, const char *format, ...) {
        _cleanup_free_ char *reason = NULL, *text = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&reason, format, ap);
        va_end(ap);
        if (r < 0) {
                reason = NULL;
                (void) log_oom();
        }
        if (!g->inconsistent)
                g->inconsistency = TAKE_PTR(reason);
        g->inconsistent = true;
        text = gpu_describe_inconsistency(g);
        (void) log_with(LOG_ERR, 0, NULL, LOG_FIELDS({ GPUPT_FIELD_GPU, g->address }), "%s", strempty(text));
}

char *gpu_describe_inconsistency(const Gpu *g) {
        char *text;

        if (asprintf(&text, "%s stays as it is, since %s. If nothing in that file is of use any more, move it away and restart "
                     "gpuptd.", g->address, g->inconsistency ?: "what is remembered of it cannot be used") < 0)
                return NULL;
        return text;
}

bool gpu_is_plainly_host(const Gpu *g) {
        if (g->state != GPU_HOST)
                return false;
        for (char **a = g->functions; a && *a; a++) {
                const Function *f = snapshot_find(g->host->snapshot, *a);

                if (!f || !f->driver)
                        return false;
        }
        return true;
}

static bool seat_is_active(void) {
        _cleanup_free_ char *session = NULL;
        uid_t uid;

        return sd_seat_get_active("seat0", &session, &uid) >= 0 && session;
}

void gpu_plan_input(const Gpu *g, const Holders *holders, PlanInput *ret) {
        const HostRecord *record = g->record_unfit ? NULL : g->record;

        *ret = (PlanInput) {
                .snapshot = g->host->snapshot,
                .functions = g->functions,
                .bridges = g->bridges,
                .slot = g->slot,
                .switches = g->switches,
                .name = g->address,
                .config = g->config,
                .last_display = g->config ? g->config->last_display : g->host->config->last_display,
                .quirks = &g->quirks,
                .seat_active = seat_is_active(),
                .missed_screens = g->missed_screens,
                .record = record ? &record->saved : NULL,
                .units = record ? record->units : NULL,
                .modules = record ? record->modules : NULL,
                .access_given = record && record->access,
                .access_uid = record ? record->access_uid : 0,
                .hooks = host_find_hooks(g->host),
                .holders = holders,
        };
}

bool gpu_blanks_last_display(const Gpu *g) {
        PlanInput input;

        gpu_plan_input(g, NULL, &input);
        return plan_blanks_last_display(&input);
}

bool gpu_default_is_vfio(const Gpu *g, const Defaults *d) {
        const DefaultWish *w = d ? defaults_find(d, g->address) : NULL;

        if (d && d->fallback)
                return false;
        if (w && streq_ptr(w->identity, g->identity))
                return w->vfio;
        return g->config && streq_ptr(g->config->default_state, "vfio");
}
