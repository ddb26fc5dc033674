/* SPDX-License-Identifier: GPL-2.0-or-later */

/* findings-sleep: what would become of the cards, and of the VMs that have them, if the host slept now:
 * gpuptd.sleep(7). It reads the policy and asks sleep-decision.h; what really happens then is the coordinator's
 * business (sleep.h). */

#include "findings-check.h"
#include "sleep-decision.h"

/* From here on systemd-sleep freezes user.slice for every kind of sleep; before only for suspend-then-hibernate
 * (systemd's NEWS, src/sleep/sleep.c run()). */
#define FREEZES_SINCE 256U

/* As "[s2idle] deep", of which the one in brackets is in use: kernel/power/main.c mem_sleep_show(). */
static void check_s3(Check *c) {
        const Survey *s = c->in->survey;
        const char *states, *modes;

        if (!s)
                return;
        states = strempty(s->sleep);
        modes = strempty(s->mem_sleep);
        if (strstr(modes, "[deep]") || (strstr(states, "mem") && !*modes))
                found(c, "sleep.s3", FINDING_OK, NULL, "The host can sleep to RAM (S3), which cuts the power "
                                                       "of its cards");
        else if (strstr(modes, "deep"))
                found(c, "sleep.s3", FINDING_OK,
                      hintf("To reset cards by a short sleep, add mem_sleep_default=deep to " COMMAND_LINE "."),
                      "The host could sleep to RAM (S3), but uses s2idle, in which cards keep their power");
        else
                found(c, "sleep.s3", FINDING_WARN,
                      hintf("Look for a setting like 'Sleep state: Linux S3' in the firmware's setup. Without "
                            "it the reset rung "
                           "suspend-cycle has no effect."),
                      "The host has no sleep to RAM (S3)");
}

/* ---- the gate ---- */

/* A masked unit is no way out: what a target requires and cannot be started keeps the target from starting. */
static void check_gate(Check *c) {
        const Survey *s = c->in->survey;

        if (!s)
                return;
        if (s->gate_masked)
                found(c, "sleep.gate", FINDING_WARN,
                      hintf("systemctl unmask gpuptd-sleep.service. To sleep without asking gpuptd, set Gate=no in gpuptd.conf(5)."),
                      "gpuptd-sleep.service is masked (%s), so no sleep of the host can begin", s->gate_masked);
        else if (!c->in->gate)
                return;
        else if (s->gate)
                found(c, "sleep.gate", FINDING_OK, NULL, "The host does not sleep before gpuptd is ready (%s)", s->gate);
        else
                found(c, "sleep.gate", FINDING_WARN,
                      hintf("Install gpuptd again, or: systemctl add-requires sleep.target gpuptd-sleep.service"),
                      "sleep.target does not require gpuptd-sleep.service: gpuptd can keep the host awake for a few seconds, and no "
                      "longer");
}

static void check_user_slice(Check *c) {
        const FindingsFreezer *f = &c->in->freezer;

        if (f->version == 0)
                return;
        if (f->version < FREEZES_SINCE || f->off)
                found(c, "sleep.user-slice", FINDING_OK, NULL, "systemd %u leaves the sessions of users alone when the host sleeps%s",
                      f->version, f->off ? " (SYSTEMD_SLEEP_FREEZE_USER_SESSIONS)" : "");
        else
                found(c, "sleep.user-slice", FINDING_OK,
                      hintf("It does so after gpuptd is ready, and lets go before it goes on. Virtual machines of a session "
                            "(qemu:///session) are frozen as well: let those that have a card run as system services."),
                      "systemd %u freezes the sessions of users while the host sleeps", f->version);
}

/* ---- policies ---- */

static bool leaves_card(VmPolicy p) {
        return p == VM_POLICY_IGNORE || p == VM_POLICY_PAUSE || p == VM_POLICY_SUSPEND;
}

static void check_policy(Check *c, const FindingsGpu *g) {
        const SleepPolicy *p = g->sleep;
        const char *vm, *gpu;
        size_t before = c->out->n;

        if (!p)
                return;
        vm = vm_policy_to_string(p->vm);
        gpu = gpu_sleep_policy_to_string(p->gpu);
        if (p->vm == VM_POLICY_IGNORE || p->vm == VM_POLICY_PAUSE)
                found(c, "sleep.policy", FINDING_WARN,
                      hintf("Use VirtualMachine=auto, unless the guest does not mind: gpuptd.sleep(7)."),
                      "%s: with VirtualMachine=%s a virtual machine loses what is in the card's memory", g->address, vm);
        if (p->gpu != GPU_SLEEP_KEEP && leaves_card(p->vm))
                found(c, "sleep.policy", FINDING_WARN,
                      hintf("Use VirtualMachine=hibernate or shutdown, after which no virtual machine has it open."),
                      "%s: Gpu=%s has no effect while a virtual machine has it, since with VirtualMachine=%s it keeps the card",
                      g->address, gpu, vm);
        if (p->restartable && p->vm != VM_POLICY_AUTO)
                found(c, "sleep.policy", FINDING_WARN, hintf("Remove Restartable=, or use VirtualMachine=auto."),
                      "%s: Restartable=yes has no effect with VirtualMachine=%s", g->address, vm);
        if (c->out->n == before)
                found(c, "sleep.policy", FINDING_OK, NULL, "%s: VirtualMachine=%s, Gpu=%s", g->address, vm, gpu);
}

/* ---- virtual machines ---- */

static const char *describe_action(VmAction a) {
        switch (a) {
        case VM_ACTION_PAUSE:
                return "would be paused, and go on after it";
        case VM_ACTION_SUSPEND:
                return "would sleep in its memory (S3), and be woken after it";
        case VM_ACTION_HIBERNATE:
                return "would sleep on its disk (S4), and be started after it";
        case VM_ACTION_SHUTDOWN:
                return "would be shut down, and started after it";
        default:
                return "would be left as it is";
        }
}

static void add_hint(FILE *f, const char *what, bool can, const char *hint) {
        if (!can)
                fprintf(f, "%s%s: %s.", ftell(f) > 0 ? " " : "", what, hint ?: "it does not say why not");
}

/* What it cannot, and how to allow it; NULL where there is nothing. */
static char *vm_hint(const VmAnswer *can) {
        char *hint = NULL;
        size_t size;
        FILE *f;

        f = can ? open_memstream(&hint, &size) : NULL;
        if (!f)
                return NULL;
        add_hint(f, "S4", can->s4, can->hint_s4);
        add_hint(f, "S3", can->s3, can->hint_s3);
        add_hint(f, "Restart", can->restart, can->hint_restart);
        if (fclose(f) == 0)
                return hint;
        free(hint);
        return NULL;
}

/* The sentence of a veto has what the VM said. */
static char *veto_hint(const VmAnswer *can) {
        return hintf(can ? "gpuptd.sleep(7) says how to allow a guest to sleep, and what else can be done."
                         : "gpuptd.vm.d(7) says what its adapter needs.");
}

static void check_vm(Check *c, const FindingsVm *v) {
        const VmAnswer *can = v->capabilities;
        const VmQuestion q = {
                .policy = &v->policy,
                .name = v->name,
                .stranger = v->stranger,
                .state = can ? can->state : VM_UNKNOWN,
                .capabilities = can,
                .silent = v->silent,
        };
        _cleanup_(vm_decision_done) VmDecision d = {};

        if (sleep_decide(&q, &d) < 0)
                c->out->out_of_memory = true;
        else if (d.veto)
                found(c, "sleep.vm", FINDING_WARN, veto_hint(can), "%s: the host would stay awake: %s", v->gpu, d.reason);
        else if (d.reason)
                found(c, "sleep.vm", FINDING_WARN, veto_hint(can), "%s: the host would sleep all the same (OnError=continue): %s", v->gpu,
                      d.reason);
        else if (vm_action_ends_vm(d.action) && can && !can->restart)
                found(c, "sleep.vm", FINDING_WARN, vm_hint(can), "%s: %s %s; but it cannot be started", v->gpu, v->name,
                      describe_action(d.action));
        else
                found(c, "sleep.vm", FINDING_OK, vm_hint(can), "%s: %s %s", v->gpu, v->name, describe_action(d.action));
}

void check_sleep(Check *c) {
        check_s3(c);
        check_gate(c);
        check_user_slice(c);
        for (size_t i = 0; i < c->in->n_gpus; i++)
                check_policy(c, c->in->gpus + i);
        for (size_t i = 0; i < c->in->n_vms; i++)
                if (gpu_of(c, c->in->vms[i].gpu))
                        check_vm(c, c->in->vms + i);
}
