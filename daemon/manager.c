/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "manager.h"
#include "manager-defaults.h"

#include <limits.h>

#include "after-vm.h"
#include "dbus/errors.h"
#include "dbus/names.h"
#include "display-watch.h"
#include "inhibitor.h"
#include "node-watch.h"
#include "polkit.h"
#include "selector.h"
#include "sleep.h"
#include "surveyor.h"
#include "udev-monitor.h"
#include "unit-client.h"
#include "util/log-ids.h"
#include "util/log.h"

/* A card that does not answer must not keep the service from being ready. */
#define READY_LIMIT_USEC (3 * 1000000ULL)

/* ---- look-ups ---- */

Gpu *manager_find_gpu(const Manager *m, const char *address) {
        LIST_FOREACH(gpus, g, m->gpus)
                if (streq(g->address, address))
                        return g;
        return NULL;
}

static bool matches_ids(const Gpu *g, const char *name) {
        char ids[16];

        (void) snprintf(ids, sizeof(ids), "%04x:%04x", g->vendor, g->device);
        return strcasecmp(ids, name) == 0;
}

static bool matches_address(const Gpu *g, const PciAddress *wanted, bool has_function) {
        PciAddress own;

        for (char **a = g->functions; a && *a; a++)
                if (pci_address_parse(*a, &own) >= 0 && pci_address_same_slot(&own, wanted) &&
                    (!has_function || own.function == wanted->function))
                        return true;
        return pci_address_parse(g->address, &own) >= 0 &&
               (has_function ? pci_address_compare(&own, wanted) == 0 : pci_address_same_slot(&own, wanted));
}

int manager_resolve_gpu(const Manager *m, const char *name, Gpu **ret) {
        PciAddress address;
        bool has_function, is_address = pci_address_parse_short(name, &address, &has_function) >= 0;
        Gpu *found = NULL;

        LIST_FOREACH(gpus, g, m->gpus) {
                bool alias = g->config && streq_ptr(g->config->alias, name);

                if (!alias && !(is_address && matches_address(g, &address, has_function)) && !matches_ids(g, name))
                        continue;
                if (found)
                        return -ENOTUNIQ;
                found = g;
        }
        if (!found)
                return -ENODEV;
        *ret = found;
        return 0;
}

Job *manager_find_job(const Manager *m, unsigned id) {
        LIST_FOREACH(jobs, j, m->jobs)
                if (j->intent->id == id)
                        return j;
        return NULL;
}

JobFace *manager_next_face(const Manager *m, const JobFace *f) {
        Job *j;

        if (!f && m->host_job)
                return m->host_job;
        if (!f || f == m->host_job)
                j = m->jobs;
        else
                j = ((const Job *) ((const char *) f - offsetof(Job, face)))->jobs_next;
        return j ? &j->face : NULL;
}

JobFace *manager_find_face(const Manager *m, unsigned id) {
        JobFace *f = NULL;

        while ((f = manager_next_face(m, f)))
                if (job_face_view(f).id == id)
                        break;
        return f;
}

/* ---- jobs ---- */

static unsigned count_jobs(const Manager *m, const char *sender) {
        unsigned n = 0;

        LIST_FOREACH(jobs, j, m->jobs)
                n += streq_ptr(j->sender, sender);
        return n;
}

const char *manager_refuse_job(const Manager *m, const Gpu *g, const char *sender, char **ret_message) {
        const char *name = NULL, *format = NULL;

        if (g->job) {
                if (asprintf(ret_message, "A job (%u, %s) is running on %s already.", g->job->intent->id,
                             operation_to_string(g->job->intent->operation), g->address) < 0)
                        *ret_message = NULL;
                return GPUPT_ERROR_BUSY;
        }
        if (g->rom_read && g->state != GPU_STUCK) {
                if (asprintf(ret_message, "The firmware image of %s is being read.", g->address) < 0)
                        *ret_message = NULL;
                return GPUPT_ERROR_BUSY;
        }
        if (g->state == GPU_STUCK) {
                *ret_message = strdup(g->stuck ?: "A kernel call on the GPU has not returned.");
                return GPUPT_ERROR_STUCK;
        }
        if (g->inconsistent) {
                *ret_message = gpu_describe_inconsistency(g);
                return GPUPT_ERROR_INCONSISTENT;
        }
        if (sleep_refuses_jobs(m->sleep)) {
                name = GPUPT_ERROR_SLEEP_IN_PROGRESS;
                format = "The host is about to sleep; %s stays as it is until it wakes.";
        } else if (sender && count_jobs(m, sender) >= m->host->config->jobs_per_sender) {
                name = SD_BUS_ERROR_LIMITS_EXCEEDED;
                format = "You have too many jobs running to start another one on %s.";
        }
        if (!name)
                return NULL;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        if (asprintf(ret_message, format, g->address) < 0)
                *ret_message = NULL;
#pragma GCC diagnostic pop
        return name;
}

int manager_start_job(Manager *m, Gpu *g, Operation operation, PlanOptions *options, uint32_t uid, const char *sender,
                      Holders *shown, Job **ret) {
        Job *j;
        int r;

        r = job_new(g, operation, options, uid, shown, &j);
        if (r < 0)
                return r;
        if (sender) {
                j->sender = strdup(sender);
                if (!j->sender) {
                        job_free(j);
                        return -ENOMEM;
                }
        }
        LIST_APPEND(jobs, m->jobs, j);
        *ret = j;
        return 0;
}

void manager_announce_job(Manager *m, Job *j) {
        m->hooks.job_added(m, &j->face);
        m->hooks.gpu_changed(m, j->gpu);
}

/* ---- the watch over assigned GPUs ---- */

/* That somebody else unbinds a card which a VM has open is told by nothing before the unbind returns: there is no uevent,
 * and on Linux 6.1 the kernel's line about it does not reach the journal either, because journald itself waits then, in a
 * read of that device's `uevent` (drivers/base/core.c uevent_show(); measured). So while a VM has a card, and only then, its
 * driver link is looked at now and then, which takes no lock. */
#define WATCH_USEC (2 * 1000000ULL)

static bool driver_left(const Gpu *g) {
        for (char **a = g->functions; *a; a++) {
                const Function *f = snapshot_find(g->host->snapshot, *a);
                char path[64], target[64];

                if (!f || !f->driver)
                        continue;
                (void) snprintf(path, sizeof(path), SYSFS_PCI_DEVICES "/%s/driver", *a);
                if (readlink(path, target, sizeof(target)) < 0)
                        return true;
        }
        return false;
}

static int on_watch(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *m = ASSERT_PTR(userdata);
        bool assigned = false;

        LIST_FOREACH(gpus, g, m->gpus) {
                if (g->state != GPU_ASSIGNED)
                        continue;
                assigned = true;
                if (!g->job && driver_left(g))
                        (void) gpu_scan(g);
        }
        if (!assigned)
                return sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return sd_event_source_set_time_relative(source, WATCH_USEC);
}

static void watch_assigned(Manager *m, const Gpu *g) {
        int enabled;

        if (g->state != GPU_ASSIGNED)
                return;
        if (!m->watch) {
                if (sd_event_add_time_relative(m->event, &m->watch, CLOCK_MONOTONIC, WATCH_USEC, 0, on_watch, m) < 0 ||
                    sd_event_source_set_enabled(m->watch, SD_EVENT_ON) < 0)
                        (void) log_oom();
                return;
        }
        if (sd_event_source_get_enabled(m->watch, &enabled) >= 0 && enabled == SD_EVENT_OFF &&
            sd_event_source_set_time_relative(m->watch, WATCH_USEC) >= 0)
                (void) sd_event_source_set_enabled(m->watch, SD_EVENT_ON);
}

/* ---- what the host tells ---- */

static void on_gpu_changed(Gpu *g, void *userdata) {
        Manager *m = ASSERT_PTR(userdata);

        m->hooks.gpu_changed(m, g);
        watch_assigned(m, g);
        sleep_on_gpu_changed(m->sleep);
        after_vm_notice(m, g);
        manager_follow_leases(m);
        display_watch_on_gpu_changed(m, g);
}

void manager_sleep_changed(Manager *m) {
        m->hooks.sleep_changed(m);
        display_watch_on_sleep_changed(m);
}

static void on_job_changed(Job *j, void *userdata) {
        Manager *m = ASSERT_PTR(userdata);

        m->hooks.job_changed(m, &j->face);
}

static void on_job_started(Job *j, void *userdata) {
        Manager *m = ASSERT_PTR(userdata);

        LIST_APPEND(jobs, m->jobs, j);
        manager_announce_job(m, j);
}

static void on_job_ended(Job *j, void *userdata) {
        Manager *m = ASSERT_PTR(userdata);
        Lease *lease = manager_find_lease(m, j->gpu);

        LIST_REMOVE(jobs, m->jobs, j);
        display_watch_on_job_ended(m, j);
        m->hooks.job_removed(m, &j->face);
        /* A lease whose detach came to nothing, or whose GPU somebody else has taken back. */
        if (lease && !lease->released &&
            ((j->intent->operation == OPERATION_DETACH && j->result != RESULT_DONE) ||
             (j->intent->operation == OPERATION_ATTACH && j->result == RESULT_DONE)))
                manager_end_lease(m, lease);
        if ((j->intent->operation == OPERATION_ATTACH || j->closing) && j->result == RESULT_DONE && j->intent->plan->n > 0)
                after_move(j->gpu, j->since);
        if (j->result != RESULT_STUCK)
                job_free(j);
        sleep_on_job_ended(m->sleep);
        manager_follow_leases(m);
}

static void on_release_requested(Gpu *g, char *const *nodes, unsigned seconds, void *userdata) {
        Manager *m = ASSERT_PTR(userdata);

        m->hooks.release_requested(m, g, nodes, seconds);
}

static const char *on_saved_elsewhere(const Gpu *asking, const char *subject, const char *key, void *userdata) {
        Manager *m = ASSERT_PTR(userdata);

        if (gpu_has_function(asking, subject))
                return NULL;
        LIST_FOREACH(gpus, g, m->gpus) {
                const Job *job = g->job ?: g->stuck_job;
                const char *value = NULL;

                if (g == asking)
                        continue;
                if (g->record && !g->record_unfit)
                        value = saved_get(&g->record->saved, subject, key);
                if (!value && job)
                        value = saved_get(&job->intent->saved, subject, key);
                if (value)
                        return value;
        }
        return NULL;
}

static int add_gpu(Manager *m, const char *address, Gpu **ret) {
        Gpu *g;
        int r;

        r = gpu_new(m->host, address, &g);
        if (r < 0)
                return r;
        LIST_APPEND(gpus, m->gpus, g);
        *ret = g;
        return 0;
}

static void add_new_gpus(Manager *m) {
        for (size_t i = 0; i < m->host->snapshot->n_functions; i++) {
                const Function *f = m->host->snapshot->functions + i;
                Gpu *g;

                if (!function_is_display(f) || manager_find_gpu(m, f->address) || !selector_is_gpu(m->host->snapshot, f))
                        continue;
                if (add_gpu(m, f->address, &g) < 0) {
                        (void) log_oom();
                        return;
                }
                gpu_update(g);
                m->hooks.gpu_added(m, g);
        }
}

static bool concerns(const Gpu *g, char *const *addresses) {
        if (!addresses)
                return true;
        for (; *addresses; addresses++)
                if (gpu_has_function(g, *addresses))
                        return true;
        return false;
}

static void become_ready(Manager *m) {
        if (m->ready_sent)
                return;
        m->ready_sent = true;
        m->ready = sd_event_source_disable_unref(m->ready);
        m->hooks.ready(m);
}

/* ---- what the last daemon left ---- */

static Gpu *find_or_add_gpu(Manager *m, const char *address) {
        Gpu *g = manager_find_gpu(m, address);

        if (g || add_gpu(m, address, &g) < 0)
                return g;
        gpu_update(g);
        m->hooks.gpu_added(m, g);
        return g;
}

/* A journal that cannot be read is left where it is: somebody's card is half-way by it. False if it does not say whose. */
static bool note_unreadable(Manager *m, unsigned id, int error) {
        _cleanup_free_ char *address = NULL;
        Gpu *g;

        log_error_errno(error, "The journal of job %u is not readable, so it is left as it is: %m", id);
        if (journal_load_gpu(m->host->run_dir, id, &address) < 0)
                return false;
        g = find_or_add_gpu(m, address);
        if (g)
                gpu_set_inconsistent(g, "%s/job-%u, the journal of a job on it, is not readable (%s)", m->host->run_dir, id,
                                     strerror(-error));
        return g;
}

static void resume_job(Manager *m, unsigned id, Intent *intent) {
        Gpu *g = find_or_add_gpu(m, intent->gpu);
        Job *j;
        int r = -ENOMEM;

        if (g && (g->job || g->inconsistent)) {
                log_error("Job %u of %s cannot be taken up, so its journal is left as it is.", id, g->address);
                intent_free(intent);
                return;
        }
        if (g)
                r = job_resume(g, intent, &j);
        if (r < 0) {
                log_error_errno(r, "Failed to take up job %u: %m", id);
                intent_free(intent);
                return;
        }
        LIST_APPEND(jobs, m->jobs, j);
        manager_announce_job(m, j);
        job_continue(j);
}

/* What cannot be read comes first: nothing is taken up on a GPU that such a file is about. If it does not say which, it can
 * be any that is not plainly with the host and that no other journal explains. */
static void resume_jobs(Manager *m) {
        _cleanup_free_ unsigned *ids = NULL;
        unsigned nobodys = 0;
        Intent *intent;
        int r;

        r = journal_list(m->host->run_dir, &ids);
        if (r < 0) {
                log_error_errno(r, "Failed to look for jobs that a daemon left unfinished: %m");
                return;
        }
        for (unsigned *id = ids; *id; id++) {
                r = journal_load(m->host->run_dir, *id, &intent);
                if (r >= 0) {
                        /* The daemon before died between the two files. */
                        if (intent->replaces > 0)
                                (void) journal_remove(m->host->run_dir, &(Intent) { .id = intent->replaces });
                        intent_free(intent);
                } else if (r != -ENOENT && !note_unreadable(m, *id, r))
                        nobodys = *id;
        }
        for (unsigned *id = ids; *id; id++)
                if (journal_load(m->host->run_dir, *id, &intent) >= 0)
                        resume_job(m, *id, intent);
        LIST_FOREACH(gpus, g, m->gpus)
                if (nobodys > 0 && !g->job && !gpu_is_plainly_host(g))
                        gpu_set_inconsistent(g, "it is not with the host's drivers, and %s/job-%u, the journal of a job on some "
                                             "GPU, is not readable", m->host->run_dir, nobodys);
}

static void add_remembered_gpus(Manager *m) {
        _cleanup_strv_free_ char **addresses = NULL;

        if (host_record_list(m->host->run_dir, &addresses) < 0)
                return;
        for (char **a = addresses; a && *a; a++)
                (void) find_or_add_gpu(m, *a);
}

static void take_up_jobs(Manager *m) {
        m->inventoried = true;
        display_watch_load(m);
        resume_jobs(m);
        display_watch_take_up(m);
        manager_follow_leases(m);
        become_ready(m);
        manager_follow_defaults(m);
}

/* Not before it is known whether the host is about to sleep: nothing is written then. */
static void take_up(void *userdata) {
        Manager *m = ASSERT_PTR(userdata);

        add_remembered_gpus(m);
        sleep_take_up(m->sleep, take_up_jobs);
}

static void on_scanned(char *const *addresses, void *userdata) {
        Manager *m = ASSERT_PTR(userdata);

        LIST_FOREACH(gpus, g, m->gpus)
                if (concerns(g, addresses))
                        gpu_update(g);
        if (addresses)
                return;
        add_new_gpus(m);
        if (m->taking_up)
                return;
        m->taking_up = true;
        if (inhibitor_when_known(m->inhibitor, take_up))
                take_up(m);
}

/* ---- what happens outside ---- */

static bool shares_group(const Gpu *g, const Function *f) {
        for (char **a = g->functions; f && f->group >= 0 && a && *a; a++) {
                const Function *own = snapshot_find(g->host->snapshot, *a);

                if (own && own->group == f->group)
                        return true;
        }
        return false;
}

static void on_udev(UdevChange change, const char *address, void *userdata) {
        Manager *m = ASSERT_PTR(userdata);
        const Function *f;
        bool ours = false;

        if (change != UDEV_CHANGED) {
                (void) host_scan(m->host, "", NULL);
                return;
        }
        f = snapshot_find(m->host->snapshot, address);
        LIST_FOREACH(gpus, g, m->gpus) {
                if (!gpu_has_function(g, address) && !shares_group(g, f))
                        continue;
                ours = true;
                /* A job's own steps make events; it looks again when it is through. */
                if (!g->job)
                        (void) gpu_scan(g);
        }
        if (!ours)
                (void) host_scan(m->host, address, (char *[]) { (char *) address, NULL });
}

static void look_at_node(Manager *m, const char *name) {
        LIST_FOREACH(gpus, g, m->gpus) {
                bool concerned = !name && (g->state == GPU_DETACHED || g->state == GPU_ASSIGNED || g->state == GPU_STUCK);

                for (char **a = g->functions; name && a && *a && !concerned; a++) {
                        const Function *f = snapshot_find(g->host->snapshot, *a);
                        char group[16];

                        if (!f)
                                continue;
                        (void) snprintf(group, sizeof(group), "%d", f->group);
                        concerned = streq(group, name);
                        for (size_t i = 0; i < f->n_nodes && !concerned; i++)
                                concerned = streq_ptr(startswith(f->nodes[i].path, "/dev/vfio/"), name);
                }
                if (!concerned)
                        continue;
                gpu_look(g);
                /* The end of a VM may let somebody's unbind return. */
                if (g->state == GPU_STUCK && !g->stuck_job)
                        (void) gpu_scan(g);
        }
}

/* What is seen at once is not all: whoever opens a node has the descriptor a moment after the open was told (fs/open.c
 * do_sys_openat2()), perhaps under another number than when its descriptors were listed, or hands it to somebody else; and of
 * that nobody is told. And a VM manager with a private /dev (libvirt) opens nodes that nobody can watch, and registers the
 * machine before its process opens anything. So both are followed by a few looks, further and further apart. */
static const uint64_t later_pause_usec[] = { 500000, 1000000, 2000000, 4000000, 8000000, 16000000, 30000000 };
#define ROUNDS_AFTER_NODE 3U
#define ROUNDS_AFTER_MACHINE ELEMENTSOF(later_pause_usec)

static bool waits_for_vm(const Manager *m) {
        LIST_FOREACH(gpus, g, m->gpus)
                if (g->state == GPU_DETACHED)
                        return true;
        return false;
}

static int on_later_look(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *m = ASSERT_PTR(userdata);
        int r;

        look_at_node(m, NULL);
        if (++m->later_round >= m->later_rounds || !waits_for_vm(m)) {
                m->later_round = m->later_rounds = 0;
                return 0;
        }
        r = sd_event_source_set_time_relative(source, later_pause_usec[m->later_round]);
        return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* From the first pause on again; and as many as were to come already, if those are more. */
static void look_later(Manager *m, unsigned rounds) {
        m->later_round = 0;
        m->later_rounds = MAX(m->later_rounds, rounds);
        m->later_looks = sd_event_source_disable_unref(m->later_looks);
        if (sd_event_add_time_relative(m->event, &m->later_looks, CLOCK_MONOTONIC, later_pause_usec[0], 0, on_later_look, m) < 0)
                (void) log_oom();
}

static void on_node(const char *name, void *userdata) {
        Manager *m = ASSERT_PTR(userdata);

        look_at_node(m, name);
        if (waits_for_vm(m))
                look_later(m, ROUNDS_AFTER_NODE);
}

static int on_machine_new(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *m = ASSERT_PTR(userdata);

        if (waits_for_vm(m))
                look_later(m, ROUNDS_AFTER_MACHINE);
        return 0;
}

static int on_machine_removed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        look_at_node(userdata, NULL);
        return 0;
}

static void on_sleep(bool start, void *userdata) {
        Manager *m = ASSERT_PTR(userdata);

        sleep_on_logind(m->sleep, start);
}

/* ---- life ---- */

int manager_rescan(Manager *m) {
        return host_scan(m->host, "", NULL);
}

int manager_reload(Manager *m) {
        int r;

        /* The GPUs point into the old configuration. */
        LIST_FOREACH(gpus, g, m->gpus)
                g->config = NULL;
        r = host_load_config(m->host);
        LIST_FOREACH(gpus, g, m->gpus)
                gpu_update(g);
        manager_follow_defaults(m);
        return r;
}

int manager_new(sd_event *event, sd_bus *bus, const char *run_dir, const char *worker_program, Manager **ret) {
        _cleanup_(manager_freep) Manager *m = calloc(1, sizeof(Manager));
        int r;

        if (!m)
                return -ENOMEM;
        m->event = sd_event_ref(event);
        m->bus = sd_bus_ref(bus);
        r = host_new(event, run_dir, worker_program, &m->host);
        if (r >= 0)
                r = polkit_new(bus, &m->polkit);
        if (r >= 0)
                r = inhibitor_new(bus, on_sleep, m, &m->inhibitor);
        if (r >= 0)
                r = unit_client_new(bus, &m->units);
        if (r >= 0)
                r = sleep_new(m, &m->sleep);
        if (r < 0)
                return r;
        m->host->units = m->units;
        m->host->inhibitor = m->inhibitor;
        m->host->listener = (HostListener) {
                .scanned = on_scanned,
                .gpu_changed = on_gpu_changed,
                .job_changed = on_job_changed,
                .job_started = on_job_started,
                .job_ended = on_job_ended,
                .release_requested = on_release_requested,
                .saved_elsewhere = on_saved_elsewhere,
                .userdata = m,
        };
        *ret = TAKE_PTR(m);
        return 0;
}

static int on_ready_limit(sd_event_source *source, uint64_t usec, void *userdata) {
        log_warning("The first look at the PCI functions takes long; serving what is known.");
        become_ready(userdata);
        return 0;
}

int manager_start(Manager *m) {
        int r;

        /* The watches first, so that nothing happens unseen between the inventory and them. */
        r = udev_monitor_new_for(m->event, on_udev, m, &m->monitor);
        if (r < 0)
                return log_error_errno(r, "Failed to listen to udev: %m");
        r = node_watch_new(m->event, "/dev", on_node, m, &m->nodes);
        if (r < 0)
                return log_error_errno(r, "Failed to watch the VFIO nodes: %m");
        r = sd_bus_match_signal_async(m->bus, &m->machine_new, "org.freedesktop.machine1", "/org/freedesktop/machine1",
                                      "org.freedesktop.machine1.Manager", "MachineNew", on_machine_new, NULL, m);
        if (r >= 0)
                r = sd_bus_match_signal_async(m->bus, &m->machine_removed, "org.freedesktop.machine1",
                                              "/org/freedesktop/machine1", "org.freedesktop.machine1.Manager",
                                              "MachineRemoved", on_machine_removed, NULL, m);
        if (r >= 0)
                r = sd_event_add_time_relative(m->event, &m->ready, CLOCK_MONOTONIC, READY_LIMIT_USEC, 0, on_ready_limit, m);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the watches: %m");
        manager_load_leases(m);
        return manager_rescan(m);
}

Manager *manager_free(Manager *m) {
        if (!m)
                return NULL;
        sleep_free(m->sleep);
        manager_free_defaults(m);
        display_watch_free_all(m);
        /* Jobs in flight stay in the journal, their workers finish by themselves: the next daemon goes on. */
        while (m->jobs) {
                Job *j = m->jobs;

                LIST_REMOVE(jobs, m->jobs, j);
                job_free(j);
        }
        while (m->gpus) {
                Gpu *g = m->gpus;

                LIST_REMOVE(gpus, m->gpus, g);
                job_free(g->stuck_job);
                gpu_free(g);
        }
        while (m->leases) {
                ManagerLease *l = m->leases;

                LIST_REMOVE(leases, m->leases, l);
                lease_free(l->lease);
                free(l);
        }
        sd_event_source_disable_unref(m->ready);
        sd_event_source_disable_unref(m->tell);
        sd_event_source_disable_unref(m->later_looks);
        sd_bus_slot_unref(m->machine_new);
        sd_bus_slot_unref(m->machine_removed);
        udev_monitor_free(m->monitor);
        node_watch_free(m->nodes);
        sd_event_source_disable_unref(m->watch);
        surveyor_free(m->surveyor);
        host_free(m->host);
        unit_client_free(m->units);
        inhibitor_free(m->inhibitor);
        polkit_free(m->polkit);
        sd_bus_unref(m->bus);
        sd_event_unref(m->event);
        free(m);
        return NULL;
}
