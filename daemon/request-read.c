/* SPDX-License-Identifier: GPL-2.0-or-later */

/* request-read: calls that read something that takes its time: who holds a card, its firmware image. */

#include "request.h"

#include "bus.h"
#include "dbus/errors.h"
#include "dbus/names.h"
#include "options.h"
#include "request-internal.h"
#include "util/log.h"

/* ---- holders ---- */

/* Of other people's processes only what is needed to know whom to ask. */
static void write_holder(Sink *s, const Holder *h, uint32_t uid) {
        bool all = uid == 0 || h->uid == uid;

        sink_open(s, 'a', "{sv}");
        sink_entry_u32(s, "pid", h->pid);
        sink_entry_strv(s, "nodes", h->nodes);
        sink_entry_string(s, "unit", h->unit);
        if (all) {
                sink_entry_u64(s, "start-time", h->start);
                sink_entry_u32(s, "uid", h->uid);
                sink_entry_string(s, "command", h->command);
                sink_entry_string(s, "session", h->session);
                sink_entry_string(s, "machine", h->machine);
        }
        sink_close(s);
}

static void on_holders(int census_error, const Holders *holders, void *userdata) {
        Request *q = ASSERT_PTR(userdata);
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Sink s = {};
        int r;

        q->census = NULL;
        if (census_error < 0)
                r = sd_bus_error_set(&error, GPUPT_ERROR_TIMEOUT,
                                     "The census of the holders did not end: a process on this host does not answer /proc.");
        else
                r = sd_bus_message_new_method_return(q->message, &reply);
        if (r >= 0) {
                s.message = reply;
                sink_open(&s, 'a', "a{sv}");
                for (size_t i = 0; i < holders->n; i++)
                        write_holder(&s, holders->list + i, q->uid);
                sink_close(&s);
                r = s.r < 0 ? s.r : sd_bus_send(NULL, reply, NULL);
        }
        if (r < 0)
                request_fail(q, r, &error);
        else
                request_free(q);
}

int request_holders(Manager *m, Gpu *g, sd_bus_message *message, sd_bus_error *error) {
        _cleanup_(request_freep) Request *q = NULL;
        int r;

        r = request_new(m, REQUEST_HOLDERS, g->address, message, &q, error);
        if (r >= 0)
                r = gpu_census(g, on_holders, q, &q->census);
        if (r < 0)
                return r;
        TAKE_PTR(q);
        return 1;
}

/* ---- the firmware image ---- */

static int check_rom(const Request *q, const Gpu *g, sd_bus_error *error) {
        _cleanup_free_ char *message = NULL;
        const Function *display = gpu_display(g);
        const char *name;

        name = manager_refuse_job(q->manager, g, NULL, &message);
        if (name)
                return sd_bus_error_set(error, name, message);
        if (!display)
                return sd_bus_error_setf(error, GPUPT_ERROR_UNREACHABLE, "%s is not on the bus.", g->address);
        if (g->unreachable)
                return sd_bus_error_setf(error, GPUPT_ERROR_UNREACHABLE, "%s does not answer: its configuration space reads all ones.",
                                         g->address);
        /* A card whose ROM is being read may decode nothing else meanwhile (PCI Local Bus 3.0, 6.2.5.2). */
        if (display->driver && !driver_is_vfio(display->driver) && !q->options.force)
                return sd_bus_error_setf(error, GPUPT_ERROR_IN_USE,
                                         "The driver %s uses %s, which reading its firmware image may disturb. Detach it first, or use "
                                         "the option force.", display->driver, g->address);
        return 0;
}

static void on_rom(const RomAnswer *answer, void *userdata) {
        Request *q = ASSERT_PTR(userdata);
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        q->rom = NULL;
        r = answer->error ? sd_bus_error_set(&error, answer->error, answer->message)
                          : sd_bus_reply_method_return(q->message, "h", answer->fd);
        if (r < 0)
                request_fail(q, r, &error);
        else
                request_free(q);
}

/* Who has it open by VFIO is known from the census that was just taken; with force nobody is asked for. */
static int start_rom(Request *q, Gpu *g, const Holders *holders, sd_bus_error *error) {
        _cleanup_free_ char *who = NULL;
        int r;

        r = check_rom(q, g, error);
        if (r < 0)
                return r;
        if (holders && holders->n > 0) {
                who = holders_describe(holders);
                return sd_bus_error_setf(error, GPUPT_ERROR_IN_USE, "%s is in use: %s.", g->address, strempty(who));
        }
        return rom_read_start(g, on_rom, q, &q->rom);
}

static void on_rom_census(int census_error, const Holders *holders, void *userdata) {
        Request *q = ASSERT_PTR(userdata);
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        Gpu *g = manager_find_gpu(q->manager, q->gpu);
        int r;

        q->census = NULL;
        if (census_error < 0)
                r = sd_bus_error_set(&error, GPUPT_ERROR_TIMEOUT,
                                     "The census of the holders did not end: a process on this host does not answer /proc.");
        else if (!g)
                r = sd_bus_error_setf(&error, GPUPT_ERROR_NO_SUCH_GPU, "%s is not there any more.", q->gpu);
        else
                r = start_rom(q, g, holders, &error);
        if (r < 0)
                request_fail(q, r, &error);
}

static void on_rom_polkit(PolkitVerdict verdict, void *userdata) {
        Request *q = ASSERT_PTR(userdata);
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        Gpu *g = manager_find_gpu(q->manager, q->gpu);
        int r;

        q->query = NULL;
        if (verdict == POLKIT_GONE) {
                request_free(q);
                return;
        }
        r = request_check_verdict(verdict, &error);
        if (r >= 0 && !g)
                r = sd_bus_error_setf(&error, GPUPT_ERROR_NO_SUCH_GPU, "%s is not there any more.", q->gpu);
        if (r >= 0)
                r = q->options.force ? start_rom(q, g, NULL, &error) : gpu_census(g, on_rom_census, q, &q->census);
        if (r < 0)
                request_fail(q, r, &error);
}

static int ask_rom(Request *q, const Gpu *g) {
        const Function *display = gpu_display(g);
        const char *driver = display && !driver_is_vfio(display->driver) ? display->driver : NULL;
        const char *actions[3] = { GPUPT_ACTION_READ_ROM };
        _cleanup_free_ char *sentence = NULL;
        char vendor[8], device[8];

        if (q->options.force)
                actions[1] = GPUPT_ACTION_FORCE;
        if (asprintf(&sentence, "reads its firmware image%s%s%s", driver ? " while " : "", strempty(driver),
                     driver ? " uses it" : "") < 0)
                return -ENOMEM;
        (void) snprintf(vendor, sizeof(vendor), "%04x", g->vendor);
        (void) snprintf(device, sizeof(device), "%04x", g->device);
        const char *details[] = {
                "gpu", g->address, "name", strempty(g->name), "vendor", vendor, "device", device,
                "operation", "read-rom", "plan", sentence, NULL,
        };
        return polkit_ask(q->manager->polkit, q->message, q->uid, (char *const *) actions, details,
                          q->manager->host->config->queries_per_sender, on_rom_polkit, q, &q->query);
}

int request_rom(Manager *m, Gpu *g, sd_bus_message *message, sd_bus_error *error) {
        _cleanup_(request_freep) Request *q = NULL;
        int r;

        r = request_new(m, REQUEST_ROM, g->address, message, &q, error);
        if (r >= 0)
                r = options_read_force(message, &q->options.force, error);
        if (r >= 0)
                r = check_rom(q, g, error);
        if (r >= 0)
                r = ask_rom(q, g);
        if (r == -EDQUOT)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED, "You have too many questions open at polkit.");
        if (r < 0)
                return r;
        TAKE_PTR(q);
        return 1;
}
