/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sleep-doors.h"

static SleepCycle *newest(SleepCycles *c) {
        return c->n > 0 ? c->list + c->n - 1 : NULL;
}

static void drop(SleepCycles *c, size_t i) {
        memmove(c->list + i, c->list + i + 1, (c->n - i - 1) * sizeof(SleepCycle));
        c->n--;
}

static SleepCycle *append(SleepCycles *c) {
        /* The oldest one will never be closed. */
        if (c->n == SLEEP_CYCLES_MAX)
                drop(c, 0);
        c->list[c->n] = (SleepCycle) {};
        return c->list + c->n++;
}

SleepOpening sleep_cycles_open(SleepCycles *c, SleepDoor door, unsigned *ret_id) {
        SleepCycle *cycle = newest(c);
        SleepOpening opening = SLEEP_JOINS;

        if (!cycle || cycle->closed != 0) {
                cycle = append(c);
                cycle->id = ++c->last_id;
                opening = SLEEP_BEGINS;
        }
        cycle->opened |= door;
        *ret_id = cycle->id;
        return opening;
}

unsigned sleep_cycles_close(SleepCycles *c, SleepDoor door, bool *ret_first) {
        for (size_t i = 0; i < c->n; i++) {
                SleepCycle *cycle = c->list + i;
                unsigned id = cycle->id;

                if (!(cycle->opened & door) || (cycle->closed & door))
                        continue;
                *ret_first = cycle->closed == 0;
                cycle->closed |= door;
                if (cycle->closed == cycle->opened)
                        drop(c, i);
                return id;
        }
        *ret_first = false;
        return 0;
}

bool sleep_cycles_is_open(const SleepCycles *c, unsigned id, SleepDoor door) {
        for (size_t i = 0; i < c->n; i++)
                if (c->list[i].id == id)
                        return c->list[i].opened & ~c->list[i].closed & door;
        return false;
}

void sleep_cycles_restore(SleepCycles *c, const SleepCycle *cycle) {
        *append(c) = *cycle;
        c->last_id = MAX(c->last_id, cycle->id);
}

void sleep_cycles_forget(SleepCycles *c, unsigned id) {
        for (size_t i = 0; i < c->n; i++)
                if (c->list[i].id == id) {
                        drop(c, i);
                        return;
                }
}
