/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-sleep-decision: what is done to a VM before its host sleeps. Every policy with every VM in every situation, and what follows
 * when that fails, has the properties that nobody may be disappointed in; and a table of those that people will meet, with
 * what they are told. */

#include "sleep-decision.h"

#include <glib.h>

#define NAME "win10 (libvirt)"

/* One combination, owned by nobody. */
typedef struct Case {
        SleepPolicy policy;
        VmAnswer capabilities;
        VmQuestion question;
} Case;

/* ---- all of them ---- */

/* How many values each dimension has; capabilities: none, or three bits. */
enum { POLICY, RESTARTABLE, ON_ERROR, LID, STATE, CAPABILITIES, STRANGER, LID_CLOSED, ON_BATTERY, CRITICAL, _DIMENSION_MAX };

static const unsigned sizes[_DIMENSION_MAX] = {
        [POLICY] = _VM_POLICY_MAX,      [RESTARTABLE] = 2, [ON_ERROR] = _SLEEP_ERROR_POLICY_MAX, [LID] = _LID_POLICY_MAX,
        [STATE] = _VM_STATE_MAX,        [CAPABILITIES] = 9, [STRANGER] = 2, [LID_CLOSED] = 2, [ON_BATTERY] = 2, [CRITICAL] = 2,
};

static void case_at(Case *c, unsigned number) {
        unsigned v[_DIMENSION_MAX];

        for (size_t i = 0; i < _DIMENSION_MAX; i++) {
                v[i] = number % sizes[i];
                number /= sizes[i];
        }
        sleep_policy_init(&c->policy);
        c->policy.vm = (VmPolicy) v[POLICY];
        c->policy.restartable = v[RESTARTABLE];
        c->policy.on_error = (SleepErrorPolicy) v[ON_ERROR];
        c->policy.lid_closed = (LidPolicy) v[LID];
        c->capabilities = (VmAnswer) { .s3 = v[CAPABILITIES] & 1, .s4 = v[CAPABILITIES] & 2, .restart = v[CAPABILITIES] & 4 };
        c->question = (VmQuestion) {
                .policy = &c->policy,
                .name = NAME,
                .stranger = v[STRANGER] ? "no adapter knows it" : NULL,
                .state = (VmState) v[STATE],
                .capabilities = v[CAPABILITIES] < 8 ? &c->capabilities : NULL,
                .silent = v[CAPABILITIES] < 8 ? NULL : "its adapter hangs.",
                .situation = { .lid_closed = v[LID_CLOSED], .on_battery = v[ON_BATTERY], .battery_critical = v[CRITICAL] },
        };
}

static unsigned count_cases(void) {
        unsigned n = 1;

        for (size_t i = 0; i < _DIMENSION_MAX; i++)
                n *= sizes[i];
        return n;
}

static char *describe(const Case *c) {
        const VmQuestion *q = &c->question;
        const VmAnswer *can = q->capabilities;

        return g_strdup_printf("%s%s OnError=%s LidClosed=%s, %s%s, can:%s%s%s%s,%s%s%s", vm_policy_to_string(c->policy.vm),
                               c->policy.restartable ? " restartable" : "", sleep_error_policy_to_string(c->policy.on_error),
                               lid_policy_to_string(c->policy.lid_closed), vm_state_to_string(q->state), q->stranger ? " stranger" : "",
                               can ? "" : " ?", can && can->s3 ? " s3" : "", can && can->s4 ? " s4" : "",
                               can && can->restart ? " restart" : "", q->situation.lid_closed ? " lid" : "",
                               q->situation.on_battery ? " battery" : "", q->situation.battery_critical ? " critical" : "");
}

#define CHECK(condition)                                                                                  \
        do {                                                                                              \
                if (!(condition)) {                                                                       \
                        g_autofree char *text = describe(c);                                              \
                                                                                                          \
                        g_error("%s: %s is not so (%s)", text, #condition, vm_action_to_string(d->action)); \
                }                                                                                         \
        } while (false)

static void check_sentence(const Case *c, const VmDecision *d) {
        if (!d->reason)
                return;
        CHECK(g_str_has_prefix(d->reason, NAME " "));
        CHECK(g_str_has_suffix(d->reason, "."));
        CHECK(!strstr(d->reason, ".."));
        CHECK(!strstr(d->reason, "()") && !strstr(d->reason, ": ."));
}

/* Whether the lid or the battery turn a veto into the end of the VM. What nobody would have vetoed is not ended for the lid's sake, unless
 * the administrator says so. */
static bool must_end(const Case *c) {
        const SleepSituation *s = &c->question.situation;
        bool goes_on = c->policy.on_error == SLEEP_ERROR_CONTINUE && c->policy.vm != VM_POLICY_INHIBIT;

        return s->battery_critical ||
               (s->lid_closed && (c->policy.lid_closed == LID_SHUTDOWN || (c->policy.lid_closed == LID_AUTO && s->on_battery && !goes_on)));
}

static bool may_veto(const Case *c) {
        if (must_end(c) || (c->question.situation.lid_closed && c->policy.lid_closed == LID_CONTINUE))
                return false;
        return c->policy.on_error == SLEEP_ERROR_VETO || c->policy.vm == VM_POLICY_INHIBIT;
}

static bool is_at_rest(VmState s) {
        return s == VM_OFF || s == VM_GONE || s == VM_SUSPENDED;
}

/* Nothing is done that the VM cannot do, that its state does not allow, or that its policy does not want. */
static void check_action(const Case *c, const VmDecision *d) {
        const VmAnswer *can = c->question.capabilities;
        VmPolicy policy = c->policy.vm;

        switch (d->action) {
        case VM_ACTION_NONE:
                CHECK(!d->kill);
                return;
        case VM_ACTION_PAUSE:
                CHECK(policy == VM_POLICY_PAUSE);
                break;
        case VM_ACTION_SUSPEND:
                CHECK(can && can->s3);
                CHECK(policy == VM_POLICY_SUSPEND || (policy == VM_POLICY_AUTO && !(can->s4 && can->restart)));
                break;
        case VM_ACTION_HIBERNATE:
                CHECK(can && can->s4);
                CHECK(policy == VM_POLICY_HIBERNATE || (policy == VM_POLICY_AUTO && can->restart));
                break;
        case VM_ACTION_SHUTDOWN:
                CHECK(d->kill || policy == VM_POLICY_SHUTDOWN ||
                      (policy == VM_POLICY_AUTO && c->policy.restartable && can && can->restart && !can->s3 && !can->s4));
                break;
        case VM_ACTION_KILL:
                CHECK(d->kill && c->question.state != VM_RUNNING);
                break;
        default:
                g_assert_not_reached();
        }
        CHECK(!c->question.stranger);
        CHECK(!is_at_rest(c->question.state));
        CHECK(d->action == VM_ACTION_KILL || c->question.state == VM_RUNNING);
        CHECK(d->action >= VM_ACTION_SHUTDOWN || !d->kill);
}

/* What works is done whatever the lid and the battery are; they, and OnError=, decide about nothing but a veto. */
static void check_plain(const Case *c, const VmDecision *d) {
        SleepPolicy policy = c->policy;
        VmQuestion q = c->question;
        VmDecision plain;

        policy.on_error = SLEEP_ERROR_VETO;
        q.policy = &policy;
        q.situation = (SleepSituation) {};
        g_assert_cmpint(sleep_decide(&q, &plain), ==, 0);
        CHECK(plain.veto == !!d->reason);
        CHECK(g_strcmp0(plain.reason, d->reason) == 0);
        CHECK(plain.veto || (plain.action == d->action && !d->kill));
        vm_decision_done(&plain);

        if (sleep_needs_capabilities(&c->policy))
                return;
        q = c->question;
        q.capabilities = NULL;
        q.silent = "nobody has asked";
        g_assert_cmpint(sleep_decide(&q, &plain), ==, 0);
        CHECK(plain.veto == d->veto && plain.action == d->action && plain.kill == d->kill);
        vm_decision_done(&plain);
}

static void check_decision(const Case *c, const VmDecision *d) {
        CHECK(!d->veto || (d->action == VM_ACTION_NONE && !d->kill && d->reason));
        CHECK(d->veto == (d->reason && may_veto(c)));
        CHECK(d->lid == (d->veto && c->question.situation.lid_closed));
        CHECK(!d->kill || (d->reason && must_end(c)));
        /* Whoever has to be off, and can be asked to, is. */
        CHECK(!d->reason || !must_end(c) || c->question.stranger || is_at_rest(c->question.state) || d->kill);
        CHECK(c->policy.vm != VM_POLICY_IGNORE || (!d->reason && d->action == VM_ACTION_NONE));
        CHECK(c->policy.vm != VM_POLICY_INHIBIT || d->reason);
        check_sentence(c, d);
        check_action(c, d);
        check_plain(c, d);
}

static void test_every_combination(void) {
        unsigned n = count_cases(), vetoes = 0, acts = 0;

        for (unsigned i = 0; i < n; i++) {
                VmDecision d;
                Case c;

                case_at(&c, i);
                g_assert_cmpint(sleep_decide(&c.question, &d), ==, 0);
                check_decision(&c, &d);
                vetoes += d.veto;
                acts += d.action != VM_ACTION_NONE;
                vm_decision_done(&d);
        }
        g_test_message("%u combinations, %u vetoes, %u actions", n, vetoes, acts);
        g_assert_cmpuint(n, ==, 129024);
        g_assert_cmpuint(vetoes, >, 10000);
        g_assert_cmpuint(acts, >, 10000);
}

/* ---- what follows when it fails ---- */

static void check_next(const Case *c, const VmDecision *was, bool in_time, const VmDecision *d) {
        CHECK(d->reason && !strstr(d->reason, ".."));
        CHECK(g_str_has_prefix(d->reason, NAME " ") && g_str_has_suffix(d->reason, ": it does not answer."));
        CHECK(!d->veto || (d->action == VM_ACTION_NONE && !d->kill));
        CHECK(d->lid == (d->veto && c->question.situation.lid_closed));
        /* Always a stronger one, so that it ends. */
        CHECK(d->action == VM_ACTION_NONE || d->action > was->action);
        CHECK(d->action == VM_ACTION_NONE || d->action >= VM_ACTION_SHUTDOWN);
        CHECK(d->action == VM_ACTION_NONE || was->kill || must_end(c));
        CHECK(d->action != VM_ACTION_SHUTDOWN || in_time);
        CHECK(d->kill == (d->action != VM_ACTION_NONE));
        /* A veto is one where it would have been before; who was to be killed is. */
        CHECK(!d->veto || may_veto(c));
        CHECK(d->veto || d->action != VM_ACTION_NONE || !may_veto(c));
        CHECK(was->action == VM_ACTION_KILL || !(was->kill || must_end(c)) || d->action != VM_ACTION_NONE);
}

/* in_time: one bit for each failure. */
static void fail_all(const Case *c, const VmDecision *first, unsigned in_time) {
        VmDecision was = { .action = first->action, .kill = first->kill };
        unsigned n = 0;

        while (was.action != VM_ACTION_NONE) {
                VmDecision d;

                g_assert_cmpint(sleep_decide_after_failure(&c->question, &was, in_time & 1, "it does not answer.", &d), ==, 0);
                check_next(c, &was, in_time & 1, &d);
                was = (VmDecision) { .action = d.action, .kill = d.kill };
                vm_decision_done(&d);
                in_time >>= 1;
                g_assert_cmpuint(++n, <=, 3);
        }
}

static void test_every_failure(void) {
        unsigned n = count_cases(), acted = 0;

        for (unsigned i = 0; i < n; i++) {
                VmDecision d;
                Case c;

                case_at(&c, i);
                g_assert_cmpint(sleep_decide(&c.question, &d), ==, 0);
                for (unsigned in_time = 0; in_time < 8 && d.action != VM_ACTION_NONE; in_time++)
                        fail_all(&c, &d, in_time);
                acted += d.action != VM_ACTION_NONE;
                vm_decision_done(&d);
        }
        g_assert_cmpuint(acted, >, 10000);
}

/* ---- those that people meet ---- */

#define CAN(...) ((const VmAnswer[]) { { __VA_ARGS__ } })
#define NOTHING CAN(.hint_s3 = (char *) "no S3", .hint_s4 = (char *) "no S4", .hint_restart = (char *) "no domain")

typedef struct Row {
        const char *name;
        SleepPolicy policy;
        VmState state;
        const VmAnswer *can;
        SleepSituation situation;
        const char *stranger, *silent;
        /* What is decided. */
        VmAction action;
        bool veto, lid, kill;
        const char *reason;
} Row;

static const char cannot[] = NAME " can neither sleep on its disk (no S4) nor in its memory (no S3). Allow it one of the two, or let it be shut "
                             "down and started again with Restartable=yes.";

static void assert_row(const Row *r) {
        VmQuestion q = { .policy = &r->policy, .name = NAME, .stranger = r->stranger, .state = r->state, .capabilities = r->can,
                         .silent = r->silent, .situation = r->situation };
        VmDecision d;

        g_test_message("%s", r->name);
        g_assert_cmpint(sleep_decide(&q, &d), ==, 0);
        g_assert_cmpstr(vm_action_to_string(d.action), ==, vm_action_to_string(r->action));
        g_assert_cmpint(d.veto, ==, r->veto);
        g_assert_cmpint(d.lid, ==, r->lid);
        g_assert_cmpint(d.kill, ==, r->kill);
        g_assert_cmpstr(d.reason, ==, r->reason);
        vm_decision_done(&d);
}

static void test_auto(void) {
        const SleepPolicy plain = { .vm = VM_POLICY_AUTO }, restartable = { .vm = VM_POLICY_AUTO, .restartable = true };
        const Row rows[] = {
                { "all", plain, VM_RUNNING, CAN(.s3 = true, .s4 = true, .restart = true), .action = VM_ACTION_HIBERNATE },
                { "s3", plain, VM_RUNNING, CAN(.s3 = true, .restart = true), .action = VM_ACTION_SUSPEND },
                { "no restart", plain, VM_RUNNING, CAN(.s3 = true, .s4 = true), .action = VM_ACTION_SUSPEND },
                { "s4 alone", plain, VM_RUNNING, CAN(.s4 = true, .hint_restart = (char *) "it is transient"), .veto = true,
                  .reason = NAME " can neither sleep on its disk (it is transient) nor in its memory (the VM does not say why). Allow it one of "
                                 "the two, or let it be shut down and started again with Restartable=yes." },
                { "nothing", plain, VM_RUNNING, NOTHING, .veto = true, .reason = cannot },
                { "restartable", restartable, VM_RUNNING, CAN(.restart = true), .action = VM_ACTION_SHUTDOWN },
                { "restartable, and cannot", restartable, VM_RUNNING, NOTHING, .veto = true,
                  .reason = NAME " can neither sleep on its disk (no S4) nor in its memory (no S3), and could not be started again after it is "
                                 "shut down (no domain)." },
                { "restartable, s3", restartable, VM_RUNNING, CAN(.s3 = true, .restart = true), .action = VM_ACTION_SUSPEND },
                { "silent", plain, VM_RUNNING, NULL, .silent = "its agent hangs", .veto = true,
                  .reason = NAME " does not say what its guest can: its agent hangs." },
                { "off", plain, VM_OFF, NULL, .action = VM_ACTION_NONE },
                { "gone", plain, VM_GONE, NULL, .action = VM_ACTION_NONE },
                { "suspended", plain, VM_SUSPENDED, NULL, .action = VM_ACTION_NONE },
                { "paused", plain, VM_PAUSED, NULL, .veto = true,
                  .reason = NAME " is paused, so its guest cannot be asked to sleep. Let it go on, or end it." },
                { "busy", plain, VM_BUSY, NULL, .veto = true, .reason = NAME " is being started, saved or moved." },
                { "crashed", plain, VM_CRASHED, NULL, .veto = true, .reason = NAME " does not work any more. End it." },
                { "unknown", plain, VM_UNKNOWN, NULL, .silent = "libvirtd is not there", .veto = true,
                  .reason = NAME " does not say whether it runs: libvirtd is not there." },
                { "unknown to its adapter", plain, VM_UNKNOWN, NULL, .veto = true,
                  .reason = NAME " does not say whether it runs: its adapter does not say why." },
                { "stranger", plain, VM_UNKNOWN, NULL, .stranger = "no adapter knows it", .veto = true,
                  .reason = NAME " cannot be asked to sleep: no adapter knows it." },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                assert_row(rows + i);
}

static void test_named(void) {
        const Row rows[] = {
                { "ignore", { .vm = VM_POLICY_IGNORE }, VM_RUNNING, NULL, .stranger = "no adapter", .action = VM_ACTION_NONE },
                { "pause", { .vm = VM_POLICY_PAUSE }, VM_RUNNING, NULL, .action = VM_ACTION_PAUSE },
                { "paused", { .vm = VM_POLICY_PAUSE }, VM_PAUSED, NULL, .action = VM_ACTION_NONE },
                { "suspend", { .vm = VM_POLICY_SUSPEND }, VM_RUNNING, CAN(.s3 = true), .action = VM_ACTION_SUSPEND },
                { "no suspend", { .vm = VM_POLICY_SUSPEND }, VM_RUNNING, NOTHING, .veto = true,
                  .reason = NAME " cannot sleep in its memory: no S3." },
                { "suspend, although restartable", { .vm = VM_POLICY_SUSPEND, .restartable = true }, VM_RUNNING, CAN(.s4 = true, .restart = true),
                  .veto = true, .reason = NAME " cannot sleep in its memory: the VM does not say why." },
                { "hibernate", { .vm = VM_POLICY_HIBERNATE }, VM_RUNNING, CAN(.s4 = true, .restart = true), .action = VM_ACTION_HIBERNATE },
                { "no hibernate", { .vm = VM_POLICY_HIBERNATE }, VM_RUNNING, NOTHING, .veto = true,
                  .reason = NAME " cannot sleep on its disk: no S4." },
                { "shutdown", { .vm = VM_POLICY_SHUTDOWN }, VM_RUNNING, NULL, .action = VM_ACTION_SHUTDOWN },
                { "inhibit", { .vm = VM_POLICY_INHIBIT }, VM_RUNNING, NULL, .veto = true,
                  .reason = NAME " has the card, and the host is not to sleep then (VirtualMachine=inhibit)." },
                { "inhibit, and OnError", { .vm = VM_POLICY_INHIBIT, .on_error = SLEEP_ERROR_CONTINUE }, VM_RUNNING, NULL, .veto = true,
                  .reason = NAME " has the card, and the host is not to sleep then (VirtualMachine=inhibit)." },
                { "OnError", { .vm = VM_POLICY_AUTO, .on_error = SLEEP_ERROR_CONTINUE }, VM_RUNNING, NOTHING, .reason = cannot },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                assert_row(rows + i);
}

static void test_lid_and_battery(void) {
        const SleepPolicy plain = { .vm = VM_POLICY_AUTO }, stay = { .vm = VM_POLICY_AUTO, .lid_closed = LID_VETO };
        const SleepPolicy end = { .vm = VM_POLICY_AUTO, .lid_closed = LID_SHUTDOWN }, go = { .vm = VM_POLICY_AUTO, .lid_closed = LID_CONTINUE };
        const SleepPolicy inhibit = { .vm = VM_POLICY_INHIBIT };
        const SleepSituation desk = { .lid_closed = true }, bag = { .lid_closed = true, .on_battery = true }, low = { .battery_critical = true };
        const char *const inhibited = NAME " has the card, and the host is not to sleep then (VirtualMachine=inhibit).";
        const Row rows[] = {
                { "on battery, and open", plain, VM_RUNNING, NOTHING, { .on_battery = true }, .veto = true, .reason = cannot },
                { "closed on mains", plain, VM_RUNNING, NOTHING, desk, .veto = true, .lid = true, .reason = cannot },
                { "closed on battery", plain, VM_RUNNING, NOTHING, bag, .action = VM_ACTION_SHUTDOWN, .kill = true, .reason = cannot },
                { "veto on battery", stay, VM_RUNNING, NOTHING, bag, .veto = true, .lid = true, .reason = cannot },
                { "shutdown on mains", end, VM_RUNNING, NOTHING, desk, .action = VM_ACTION_SHUTDOWN, .kill = true, .reason = cannot },
                { "shutdown, and open", end, VM_RUNNING, NOTHING, {}, .veto = true, .reason = cannot },
                { "continue", go, VM_RUNNING, NOTHING, bag, .reason = cannot },
                { "it can", end, VM_RUNNING, CAN(.s3 = true), bag, .action = VM_ACTION_SUSPEND },
                { "paused in the bag", plain, VM_PAUSED, NULL, bag, .action = VM_ACTION_KILL, .kill = true,
                  .reason = NAME " is paused, so its guest cannot be asked to sleep. Let it go on, or end it." },
                { "stranger in the bag", plain, VM_UNKNOWN, NULL, bag, .stranger = "no adapter knows it",
                  .reason = NAME " cannot be asked to sleep: no adapter knows it." },
                { "critical", stay, VM_RUNNING, NOTHING, low, .action = VM_ACTION_SHUTDOWN, .kill = true, .reason = cannot },
                { "critical, inhibited", inhibit, VM_RUNNING, NULL, low, .action = VM_ACTION_SHUTDOWN, .kill = true, .reason = inhibited },
                /* Its memory is all that its guest has. */
                { "critical, asleep", inhibit, VM_SUSPENDED, NULL, low, .action = VM_ACTION_NONE, .reason = inhibited },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                assert_row(rows + i);
}

static void test_failures(void) {
        static const struct {
                VmAction was;
                bool kill, in_time;
                SleepErrorPolicy on_error;
                SleepSituation situation;
                VmAction action;
                bool veto;
        } rows[] = {
                { VM_ACTION_HIBERNATE, false, true, SLEEP_ERROR_VETO, {}, VM_ACTION_NONE, true },
                { VM_ACTION_HIBERNATE, false, true, SLEEP_ERROR_CONTINUE, {}, VM_ACTION_NONE, false },
                { VM_ACTION_HIBERNATE, false, true, SLEEP_ERROR_VETO, { .battery_critical = true }, VM_ACTION_SHUTDOWN, false },
                { VM_ACTION_HIBERNATE, false, false, SLEEP_ERROR_VETO, { .battery_critical = true }, VM_ACTION_KILL, false },
                { VM_ACTION_SHUTDOWN, false, true, SLEEP_ERROR_VETO, {}, VM_ACTION_NONE, true },
                { VM_ACTION_SHUTDOWN, true, true, SLEEP_ERROR_VETO, {}, VM_ACTION_KILL, false },
                { VM_ACTION_SHUTDOWN, false, true, SLEEP_ERROR_VETO, { true, true, false }, VM_ACTION_KILL, false },
                /* There is nothing left: the host does what it has to. */
                { VM_ACTION_KILL, true, true, SLEEP_ERROR_VETO, { true, true, false }, VM_ACTION_NONE, false },
                { VM_ACTION_KILL, true, false, SLEEP_ERROR_VETO, { .battery_critical = true }, VM_ACTION_NONE, false },
                /* The lid was opened meanwhile. */
                { VM_ACTION_KILL, true, true, SLEEP_ERROR_VETO, {}, VM_ACTION_NONE, true },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                const SleepPolicy policy = { .vm = VM_POLICY_HIBERNATE, .on_error = rows[i].on_error };
                VmQuestion q = { .policy = &policy, .name = NAME, .state = VM_RUNNING, .situation = rows[i].situation };
                VmDecision was = { .action = rows[i].was, .kill = rows[i].kill }, d;
                g_autofree char *reason = g_strdup_printf(NAME " could not be brought to its sleep (%s): it hangs.", vm_action_to_string(was.action));

                g_test_message("%zu", i);
                g_assert_cmpint(sleep_decide_after_failure(&q, &was, rows[i].in_time, "it hangs", &d), ==, 0);
                g_assert_cmpint(d.action, ==, rows[i].action);
                g_assert_cmpint(d.veto, ==, rows[i].veto);
                g_assert_cmpstr(d.reason, ==, reason);
                vm_decision_done(&d);
        }
}

/* ---- words ---- */

static void test_actions(void) {
        static const struct {
                VmAction action;
                const char *word;
                VmVerb verb, undo;
                bool ends;
        } rows[] = {
                { VM_ACTION_PAUSE, "pause", VM_PAUSE, VM_RESUME, false },       { VM_ACTION_SUSPEND, "suspend", VM_SUSPEND, VM_WAKE, false },
                { VM_ACTION_HIBERNATE, "hibernate", VM_HIBERNATE, VM_START, true }, { VM_ACTION_SHUTDOWN, "shutdown", VM_SHUTDOWN, VM_START, true },
                { VM_ACTION_KILL, "kill", VM_KILL, VM_START, true },
        };

        g_assert_cmpuint(G_N_ELEMENTS(rows), ==, _VM_ACTION_MAX - 1);
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_assert_cmpstr(vm_action_to_string(rows[i].action), ==, rows[i].word);
                g_assert_cmpint(vm_action_from_string(rows[i].word), ==, rows[i].action);
                g_assert_cmpint(vm_action_verb(rows[i].action), ==, rows[i].verb);
                g_assert_cmpint(vm_action_undo(rows[i].action), ==, rows[i].undo);
                g_assert_cmpint(vm_action_ends_vm(rows[i].action), ==, rows[i].ends);
        }
        g_assert_false(vm_action_ends_vm(VM_ACTION_NONE));
}

/* The cards of a VM come in any order. */
static void test_merge(void) {
        const SleepPolicy lax = { .vm = VM_POLICY_PAUSE, .restartable = true, .gpu = GPU_SLEEP_UNBIND,
                                  .on_error = SLEEP_ERROR_CONTINUE, .timeout_sec = 60 };
        SleepPolicy strict, a, b;

        sleep_policy_init(&strict);
        a = lax;
        sleep_policy_merge(&a, &strict);
        g_assert_cmpint(a.vm, ==, VM_POLICY_AUTO);
        g_assert_false(a.restartable);
        g_assert_cmpint(a.gpu, ==, GPU_SLEEP_UNBIND);
        g_assert_cmpint(a.on_error, ==, SLEEP_ERROR_VETO);
        g_assert_cmpuint(a.timeout_sec, ==, 60);
        for (LidPolicy i = 0; i < _LID_POLICY_MAX; i++)
                for (LidPolicy k = 0; k < _LID_POLICY_MAX; k++) {
                        a = b = lax;
                        a.lid_closed = i;
                        b.lid_closed = k;
                        sleep_policy_merge(&a, &(SleepPolicy) { .lid_closed = k });
                        sleep_policy_merge(&b, &(SleepPolicy) { .lid_closed = i });
                        g_assert_cmpint(a.lid_closed, ==, b.lid_closed);
                        g_assert_true(a.lid_closed == i || a.lid_closed == k);
                        if (i == LID_VETO)
                                g_assert_cmpint(a.lid_closed, ==, LID_VETO);
                        if (i == LID_SHUTDOWN && k == LID_CONTINUE)
                                g_assert_cmpint(a.lid_closed, ==, LID_SHUTDOWN);
                        if (i != LID_AUTO && k == LID_AUTO)
                                g_assert_cmpint(a.lid_closed, ==, i);
                }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/sleep-decision/every-combination", test_every_combination);
        g_test_add_func("/sleep-decision/every-failure", test_every_failure);
        g_test_add_func("/sleep-decision/auto", test_auto);
        g_test_add_func("/sleep-decision/named", test_named);
        g_test_add_func("/sleep-decision/lid-and-battery", test_lid_and_battery);
        g_test_add_func("/sleep-decision/failures", test_failures);
        g_test_add_func("/sleep-decision/actions", test_actions);
        g_test_add_func("/sleep-decision/merge", test_merge);
        return g_test_run();
}
