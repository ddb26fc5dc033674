/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-sleep-doors: that every end finds the sleep that it belongs to. All orders in which two doors open and close over up to
 * three cycles, the late ones among them, against what is plain: the end of a door belongs to its last opening. And every sequence of
 * openings and closes whatever, sensible or not, against a model that keeps a queue for each door. */

#include "sleep-doors.h"

#include <glib.h>

#define DOORS 2U

static const SleepDoor doors[DOORS] = { DOOR_LOGIND, DOOR_GATE };

/* ---- every sequence ---- */

#define LENGTH_MAX 9U
#define IDS_MAX (LENGTH_MAX + 1)

/* Which cycles have a door open, oldest first; and what is known of each cycle. Indexed by id, from 1. */
typedef struct Queues {
        unsigned queue[DOORS][IDS_MAX];
        size_t n[DOORS];
        bool closed[IDS_MAX]; /* one of its doors was */
        unsigned last;
} Queues;

static bool queue_has(const Queues *q, size_t door, unsigned id) {
        for (size_t i = 0; i < q->n[door]; i++)
                if (q->queue[door][i] == id)
                        return true;
        return false;
}

static unsigned queues_open(Queues *q, size_t door) {
        if (q->last == 0 || q->closed[q->last])
                q->last++;
        if (!queue_has(q, door, q->last))
                q->queue[door][q->n[door]++] = q->last;
        return q->last;
}

static unsigned queues_close(Queues *q, size_t door, bool *ret_first) {
        unsigned id = q->n[door] > 0 ? q->queue[door][0] : 0;

        *ret_first = id > 0 && !q->closed[id];
        if (id == 0)
                return 0;
        q->closed[id] = true;
        memmove(q->queue[door], q->queue[door] + 1, --q->n[door] * sizeof(unsigned));
        return id;
}

static void assert_like(const SleepCycles *c, const Queues *q) {
        size_t open = 0;

        for (unsigned id = 1; id <= q->last; id++) {
                for (size_t d = 0; d < DOORS; d++)
                        g_assert_cmpint(sleep_cycles_is_open(c, id, doors[d]), ==, queue_has(q, d, id));
                open += queue_has(q, 0, id) || queue_has(q, 1, id);
        }
        /* Nothing is kept of what has ended. */
        g_assert_cmpuint(c->n, ==, open);
        for (size_t i = 1; i < c->n; i++)
                g_assert_cmpuint(c->list[i - 1].id, <, c->list[i].id);
}

static unsigned walk(SleepCycles c, Queues q, unsigned left) {
        unsigned n = 1;

        assert_like(&c, &q);
        if (left == 0)
                return n;
        for (size_t d = 0; d < DOORS; d++) {
                SleepCycles opened = c, closed = c;
                Queues q_opened = q, q_closed = q;
                bool first, expected_first;
                unsigned id, expected;

                expected = queues_open(&q_opened, d);
                g_assert_cmpint(sleep_cycles_open(&opened, doors[d], &id), ==,
                                q_opened.last > q.last ? SLEEP_BEGINS : SLEEP_JOINS);
                g_assert_cmpuint(id, ==, expected);
                n += walk(opened, q_opened, left - 1);

                expected = queues_close(&q_closed, d, &expected_first);
                g_assert_cmpuint(sleep_cycles_close(&closed, doors[d], &first), ==, expected);
                g_assert_cmpint(first, ==, expected_first);
                n += walk(closed, q_closed, left - 1);
        }
        return n;
}

static void test_every_sequence(void) {
        unsigned n = walk((SleepCycles) {}, (Queues) {}, LENGTH_MAX);

        g_test_message("%u sequences", n);
        g_assert_cmpuint(n, ==, 349525); /* 4^0 + … + 4^9 */
}

/* ---- every order of real sleeps ---- */

#define SLEEPS_MAX 3U

/* One door over all sleeps: it opens and closes in turn, for those sleeps that it takes part in. */
typedef struct Stream {
        unsigned sleeps[2 * SLEEPS_MAX]; /* the sleep of each message; even messages open */
        size_t n, position;
        unsigned id; /* what the last opening was told */
} Stream;

typedef struct Order {
        Stream streams[DOORS];
        SleepCycles cycles;
        unsigned ids[SLEEPS_MAX + 1]; /* the cycle that the first opening of a sleep has begun; 0: none, or it has joined another one's */
        unsigned closes[2 * SLEEPS_MAX + 1], firsts[2 * SLEEPS_MAX + 1]; /* of a cycle */
} Order;

static void take(Order *o, size_t door) {
        Stream *s = o->streams + door;
        unsigned sleep = s->sleeps[s->position], began = o->ids[sleep];
        bool first;

        if (s->position++ % 2 == 0) {
                if (sleep_cycles_open(&o->cycles, doors[door], &s->id) == SLEEP_BEGINS)
                        o->ids[sleep] = s->id;
                g_assert_cmpuint(s->id, >, 0);
                /* Before anything of it has ended, and before the next one, the doors agree on it. */
                if (began > 0 && o->closes[began] == 0)
                        g_assert_cmpuint(s->id, ==, began);
                return;
        }
        g_assert_true(sleep_cycles_is_open(&o->cycles, s->id, doors[door]));
        g_assert_cmpuint(sleep_cycles_close(&o->cycles, doors[door], &first), ==, s->id);
        g_assert_false(sleep_cycles_is_open(&o->cycles, s->id, doors[door]));
        o->closes[s->id]++;
        o->firsts[s->id] += first;
}

static unsigned interleave(const Order *o) {
        unsigned n = 0;

        for (size_t d = 0; d < DOORS; d++) {
                Order next = *o;

                if (o->streams[d].position == o->streams[d].n)
                        continue;
                take(&next, d);
                n += interleave(&next);
        }
        if (n > 0)
                return n;
        /* All is over: each cycle has had exactly one first end, and nothing is left. */
        g_assert_cmpuint(o->cycles.n, ==, 0);
        for (unsigned id = 1; id <= o->cycles.last_id; id++)
                g_assert_cmpuint(o->firsts[id], ==, 1);
        return 1;
}

/* Which doors each sleep has is one digit: logind alone, the gate alone, both. */
static void test_every_order(void) {
        unsigned orders = 0;

        for (unsigned sleeps = 1; sleeps <= SLEEPS_MAX; sleeps++)
                for (unsigned kind = 0, kinds = sleeps == 1 ? 3 : sleeps == 2 ? 9 : 27; kind < kinds; kind++) {
                        Order o = {};

                        for (unsigned sleep = 1, digits = kind; sleep <= sleeps; sleep++, digits /= 3)
                                for (size_t d = 0; d < DOORS; d++) {
                                        Stream *s = o.streams + d;

                                        if (!((digits % 3 + 1) & doors[d]))
                                                continue;
                                        s->sleeps[s->n++] = sleep;
                                        s->sleeps[s->n++] = sleep;
                                }
                        orders += interleave(&o);
                }
        g_test_message("%u orders", orders);
        g_assert_cmpuint(orders, >, 1000);
}

/* As it goes where nothing is late: one cycle for both doors, whichever is first, and another one for the next sleep. */
static void test_plain(void) {
        for (unsigned i = 0; i < 4; i++) {
                SleepDoor first_in = doors[i & 1], second_in = doors[!(i & 1)], first_out = doors[i >> 1], second_out = doors[!(i >> 1)];
                SleepCycles c = {};

                for (unsigned cycle = 1; cycle <= 10; cycle++) {
                        unsigned id;
                        bool first;

                        g_assert_cmpint(sleep_cycles_open(&c, first_in, &id), ==, SLEEP_BEGINS);
                        g_assert_cmpuint(id, ==, cycle);
                        g_assert_cmpint(sleep_cycles_open(&c, second_in, &id), ==, SLEEP_JOINS);
                        g_assert_cmpuint(id, ==, cycle);
                        g_assert_cmpuint(sleep_cycles_close(&c, first_out, &first), ==, cycle);
                        g_assert_true(first);
                        g_assert_cmpuint(sleep_cycles_close(&c, second_out, &first), ==, cycle);
                        g_assert_false(first);
                        g_assert_cmpuint(sleep_cycles_close(&c, first_out, &first), ==, 0);
                        g_assert_false(first);
                }
        }
}

/* Ends that never come do not add up: the oldest one makes room, and the newest ones go on as they should. */
static void test_never_closed(void) {
        SleepCycles c = {};
        unsigned id;
        bool first;

        for (unsigned cycle = 1; cycle <= 3 * SLEEP_CYCLES_MAX; cycle++) {
                g_assert_cmpint(sleep_cycles_open(&c, DOOR_GATE, &id), ==, SLEEP_BEGINS);
                g_assert_cmpint(sleep_cycles_open(&c, DOOR_LOGIND, &id), ==, SLEEP_JOINS);
                g_assert_cmpuint(id, ==, cycle);
                g_assert_cmpuint(sleep_cycles_close(&c, DOOR_LOGIND, &first), ==, cycle);
                g_assert_true(first);
                g_assert_cmpuint(c.n, ==, MIN(cycle, SLEEP_CYCLES_MAX));
        }
        g_assert_false(sleep_cycles_is_open(&c, 1, DOOR_GATE));
        for (unsigned cycle = 2 * SLEEP_CYCLES_MAX + 1; cycle <= 3 * SLEEP_CYCLES_MAX; cycle++) {
                g_assert_true(sleep_cycles_is_open(&c, cycle, DOOR_GATE));
                g_assert_cmpuint(sleep_cycles_close(&c, DOOR_GATE, &first), ==, cycle);
                g_assert_false(first);
        }
        g_assert_cmpuint(c.n, ==, 0);
}

/* A daemon that was started again goes on with the doors that are open, and no id is given twice. */
static void test_restore(void) {
        SleepCycles c = {};
        unsigned id;
        bool first;

        sleep_cycles_restore(&c, &(SleepCycle) { .id = 7, .opened = DOOR_LOGIND | DOOR_GATE, .closed = DOOR_LOGIND });
        g_assert_true(sleep_cycles_is_open(&c, 7, DOOR_GATE));
        g_assert_false(sleep_cycles_is_open(&c, 7, DOOR_LOGIND));
        g_assert_cmpint(sleep_cycles_open(&c, DOOR_LOGIND, &id), ==, SLEEP_BEGINS);
        g_assert_cmpuint(id, ==, 8);
        g_assert_cmpuint(sleep_cycles_close(&c, DOOR_GATE, &first), ==, 7);
        g_assert_false(first);
        g_assert_cmpuint(sleep_cycles_close(&c, DOOR_LOGIND, &first), ==, 8);
        g_assert_true(first);

        /* What nothing has ended yet is joined. */
        sleep_cycles_restore(&c, &(SleepCycle) { .id = 9, .opened = DOOR_LOGIND });
        g_assert_cmpint(sleep_cycles_open(&c, DOOR_GATE, &id), ==, SLEEP_JOINS);
        g_assert_cmpuint(id, ==, 9);
        /* An older one is no reason to count backwards. */
        c = (SleepCycles) { .last_id = 20 };
        sleep_cycles_restore(&c, &(SleepCycle) { .id = 3, .opened = DOOR_GATE, .closed = 0 });
        g_assert_cmpuint(c.last_id, ==, 20);
}

static void test_forget(void) {
        SleepCycles c = {};
        unsigned id;
        bool first;

        for (unsigned i = 0; i < 2; i++) {
                (void) sleep_cycles_open(&c, DOOR_LOGIND, &id);
                (void) sleep_cycles_open(&c, DOOR_GATE, &id);
                (void) sleep_cycles_close(&c, DOOR_LOGIND, &first);
        }
        sleep_cycles_forget(&c, 1);
        sleep_cycles_forget(&c, 1);
        sleep_cycles_forget(&c, 99);
        g_assert_cmpuint(c.n, ==, 1);
        g_assert_false(sleep_cycles_is_open(&c, 1, DOOR_GATE));
        g_assert_cmpuint(sleep_cycles_close(&c, DOOR_GATE, &first), ==, 2);
        g_assert_cmpuint(sleep_cycles_close(&c, DOOR_GATE, &first), ==, 0);
        g_assert_cmpint(sleep_cycles_open(&c, DOOR_GATE, &id), ==, SLEEP_BEGINS);
        g_assert_cmpuint(id, ==, 3);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/sleep-doors/plain", test_plain);
        g_test_add_func("/sleep-doors/every-sequence", test_every_sequence);
        g_test_add_func("/sleep-doors/every-order", test_every_order);
        g_test_add_func("/sleep-doors/never-closed", test_never_closed);
        g_test_add_func("/sleep-doors/restore", test_restore);
        g_test_add_func("/sleep-doors/forget", test_forget);
        return g_test_run();
}
