/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "plan-case.h"
#include "selector.h"
#include "snapshot-builder.h"

PlanCase *plan_case_new(Snapshot *snapshot, const char *gpu) {
        PlanCase *c = g_new0(PlanCase, 1);

        c->snapshot = snapshot;
        g_assert_cmpint(selector_companions(snapshot, snapshot_find(snapshot, gpu), &c->functions), ==, 0);
        c->options.wait_sec = 15;
        return c;
}

void plan_case_free(PlanCase *c) {
        snapshot_free(c->snapshot);
        strv_free(c->functions);
        quirks_done(&c->quirks);
        saved_done(&c->record);
        strv_free(c->units);
        strv_free(c->modules);
        strv_free(c->hooks);
        holders_free(c->holders);
        plan_options_done(&c->options);
        g_free(c);
}

void plan_case_nvidia(PlanCase *c) {
        g_assert_cmpint(quirks_set(&c->quirks, "GPUPT_UNLOAD", "nvidia_drm nvidia_modeset nvidia_uvm nvidia"), ==, 0);
        g_assert_cmpint(quirks_set(&c->quirks, "GPUPT_STOP_UNITS", "nvidia-persistenced.service"), ==, 0);
}

Holder *plan_case_holder(PlanCase *c, uint32_t pid) {
        Holder *h;

        if (!c->holders)
                c->holders = holders_new();
        g_assert_nonnull(c->holders);
        h = holders_add(c->holders, pid, 100000 + pid);
        g_assert_nonnull(h);
        h->command = strdup("mpv");
        build_strv(&h->nodes, "/dev/dri/card1");
        return h;
}

Login *plan_case_login(PlanCase *c, const char *session, const char *user, uint32_t uid) {
        Login *l;

        if (!c->holders)
                c->holders = holders_new();
        g_assert_nonnull(c->holders);
        l = holders_add_login(c->holders, session, uid);
        g_assert_nonnull(l);
        l->user = strdup(user);
        l->seat = strdup("seat0");
        l->type = strdup("x11");
        l->class = strdup("user");
        return l;
}

void plan_case_desktop(PlanCase *c) {
        Holder *h = plan_case_holder(c, 900);

        free(h->command);
        h->command = strdup("Xorg");
        h->unit = strdup("lightdm.service");
        h->protected = true;
        c->holders->display_manager = strdup("lightdm.service");
        (void) plan_case_login(c, "2", "anna", 1000);
        c->options.disrupt_session = c->options.log_out = true;
}

void plan_case_xorg(PlanCase *c) {
        c->xorg_files[0] = (char *) "10-nvidia.conf";
        c->xorg_files[1] = (char *) "20-one-screen.conf:detached";
        c->config.xorg_files = c->xorg_files;
        c->has_config = true;
}

void plan_case_compositors(PlanCase *c) {
        c->compositors[0] = (char *) "sway";
        c->compositors[1] = (char *) "kwin_wayland";
        c->config.ask_compositors = c->compositors;
        c->has_config = true;
}

Function *plan_case_function(PlanCase *c, const char *address) {
        Function *f = snapshot_find(c->snapshot, address);

        g_assert_nonnull(f);
        return f;
}

int plan_case_try(PlanCase *c, Operation operation, Plan **ret, char **ret_message) {
        const Function *display = snapshot_find(c->snapshot, c->functions[0]);

        c->input.snapshot = c->snapshot;
        c->input.functions = c->functions;
        c->input.bridges = display ? display->bridges : NULL;
        c->input.slot = display ? display->slot : NULL;
        c->input.switches = display ? display->switches : NULL;
        c->input.name = "the card";
        c->input.config = c->has_config ? &c->config : NULL;
        c->input.quirks = &c->quirks;
        c->input.record = c->has_record ? &c->record : NULL;
        c->input.units = c->units;
        c->input.modules = c->modules;
        c->input.hooks = c->hooks;
        c->input.holders = c->holders;
        return plan_build(&c->input, operation, &c->options, ret, ret_message);
}

Plan *plan_case_build(PlanCase *c, Operation operation) {
        _cleanup_free_ char *message = NULL;
        Plan *plan = NULL;
        int r;

        r = plan_case_try(c, operation, &plan, &message);
        if (r != 0)
                g_error("refused (%i): %s", r, strempty(message));
        g_assert_nonnull(plan);
        g_assert_cmpint(plan->operation, ==, operation);
        return plan;
}

void plan_case_refused(PlanCase *c, Operation operation, PlanRefusal refusal, const char *words) {
        _cleanup_free_ char *message = NULL;
        Plan *plan = NULL;

        g_assert_cmpint(plan_case_try(c, operation, &plan, &message), ==, refusal);
        g_assert_null(plan);
        g_assert_nonnull(message);
        if (!strstr(message, words))
                g_error("'%s' does not say '%s'", message, words);
        g_assert_nonnull(plan_refusal_error(refusal));
}

char *plan_text(const Plan *p) {
        _cleanup_free_ char *text = NULL;
        GString *lines = g_string_new(NULL);
        size_t size;
        FILE *f = open_memstream(&text, &size);

        g_assert_nonnull(f);
        plan_write(p, f);
        g_assert_cmpint(fclose(f), ==, 0);
        for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
                *end = '\0';
                g_assert_nonnull(startswith(line, "step "));
                g_string_append_printf(lines, "%s\n", line + strlen("step "));
        }
        return g_string_free(lines, FALSE);
}
