/* SPDX-License-Identifier: GPL-2.0-or-later */

/* machine: the big lock and the life of the simulated computer as a whole. See model.h. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/model.h"
#include "util/cleanup.h"

Machine machine;

void machine_init(void) {
        pthread_condattr_t monotonic;

        machine = (Machine) {
                .kernel = 601,
                .iommu = IOMMU_INTEL,
                .autoprobe = true,
                .devices = g_ptr_array_new(),
                .by_address = g_hash_table_new(g_str_hash, g_str_equal),
                .drivers = g_ptr_array_new(),
                .modules = g_ptr_array_new(),
                .groups = g_ptr_array_new(),
                .faults = g_ptr_array_new(),
                .device_nodes = g_ptr_array_new(),
                .slots = g_ptr_array_new(),
        };
        (void) pthread_mutex_init(&machine.lock, NULL);
        (void) pthread_condattr_init(&monotonic);
        (void) pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        (void) pthread_cond_init(&machine.changed, &monotonic);
        (void) pthread_mutex_lock(&machine.lock);
}

void machine_wait(void) {
        (void) pthread_cond_wait(&machine.changed, &machine.lock);
}

void machine_sleep_ms(unsigned ms) {
        struct timespec end;

        (void) clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_sec += ms / 1000;
        end.tv_nsec += (long) (ms % 1000) * 1000000L;
        if (end.tv_nsec >= 1000000000L) {
                end.tv_sec++;
                end.tv_nsec -= 1000000000L;
        }
        while (pthread_cond_timedwait(&machine.changed, &machine.lock, &end) != ETIMEDOUT)
                ;
}

void machine_changed(void) {
        (void) pthread_cond_broadcast(&machine.changed);
}

typedef struct Call {
        void (*f)(void *data);
        void *data;
} Call;

static void *call_thread(void *userdata) {
        g_autofree Call *call = userdata;

        (void) pthread_mutex_lock(&machine.lock);
        call->f(call->data);
        (void) pthread_mutex_unlock(&machine.lock);
        return NULL;
}

int machine_in_thread(void (*f)(void *), void *data) {
        Call *call = g_new(Call, 1);
        pthread_attr_t attributes;
        pthread_t thread;
        int r;

        *call = (Call) { f, data };
        (void) pthread_attr_init(&attributes);
        (void) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        (void) pthread_attr_setstacksize(&attributes, 512 * 1024);
        r = pthread_create(&thread, &attributes, call_thread, call);
        (void) pthread_attr_destroy(&attributes);
        if (r != 0)
                g_free(call);
        return -r;
}

static int device_compare(const void *a, const void *b) {
        const Device *x = *(Device *const *) a, *y = *(Device *const *) b;

        return strcmp(x->address, y->address);
}

int machine_start(void) {
        g_autoptr(GPtrArray) drivers = g_ptr_array_copy(machine.drivers, NULL, NULL);

        g_ptr_array_sort(machine.devices, device_compare);
        for (unsigned i = 0; i < machine.modules->len; i++) {
                Module *m = g_ptr_array_index(machine.modules, i);

                if (m->loaded && power_switch_load(m) >= 0)
                        module_init(m);
        }
        for (unsigned i = 0; i < drivers->len; i++) {
                Driver *drv = g_ptr_array_index(drivers, i);

                if (!drv->module || drv->module->loaded)
                        driver_register(drv);
        }
        iommu_init();
        vga_arbiter_init();
        rtc_init();
        (void) node_add_path(node_elsewhere(), "acpi");
        rescan_remove_lock();
        pci_scan(NULL);
        rescan_remove_unlock();
        module_write_aliases();
        machine.running = true;
        return 0;
}

bool text_is(const char *data, size_t n, const char *word) {
        size_t l = strlen(word);

        if (n > 0 && data[n - 1] == '\n')
                n--;
        return n == l && memcmp(data, word, l) == 0;
}

char *text_dup(const char *data, size_t n) {
        if (n > 0 && data[n - 1] == '\n')
                n--;
        return g_strndup(data, n);
}

int text_number(const char *data, size_t n, unsigned long *ret) {
        g_autofree char *text = text_dup(data, n);
        char *end;

        if (!g_ascii_isdigit(text[0]))
                return -EINVAL;
        errno = 0;
        *ret = strtoul(text, &end, 0);
        return errno != 0 || *end ? -EINVAL : 0;
}

int errno_from_name(const char *name) {
        /* Every number that Linux has; strerrorname_np() is the only table of names. */
        for (int e = 1; e < 134; e++)
                if (streq_ptr(strerrorname_np(e), name))
                        return e;
        return 0;
}

int index_take(GByteArray *used) {
        const uint8_t one = 1;

        for (unsigned i = 0; i < used->len; i++)
                if (!used->data[i]) {
                        used->data[i] = 1;
                        return (int) i;
                }
        (void) g_byte_array_append(used, &one, 1);
        return (int) used->len - 1;
}

void index_release(GByteArray *used, int index) {
        if (index >= 0 && (unsigned) index < used->len)
                used->data[index] = 0;
}
