/* SPDX-License-Identifier: GPL-2.0-or-later */

/* power: keeps a function awake, or lets it rest. The kernel forgets what was set here whenever vfio-pci is bound or
 * unbound (drivers/vfio/pci/vfio_pci_core.c), so nothing is taken for granted that was not read just before. */

#include "worker/power.h"

#include "worker/pci.h"

#define CONTROL "power/control"
#define D3COLD "d3cold_allowed"
#define ACTIVE_TIMEOUT_SEC 10U

/* Writes take the device lock and wake the device (drivers/base/power/sysfs.c control_store(), drivers/pci/pci-sysfs.c
 * d3cold_allowed_store()): done only where something changes. Attributes that this function lacks are not missed. */
static int set_attribute(Work *w, const PciDevice *d, const char *attribute, const char *value) {
        _cleanup_free_ char *now = NULL;
        int r;

        r = pci_device_read(w, d, attribute, &now);
        if (r >= 0 && streq(now, value))
                return 0;
        if (r >= 0)
                r = pci_device_write(w, d, attribute, value);
        return r == -ENOENT ? 0 : r;
}

static int wait_active(Work *w, const PciDevice *d) {
        uint64_t deadline = monotonic_usec() + (uint64_t) ACTIVE_TIMEOUT_SEC * USEC_PER_SEC;

        for (;;) {
                _cleanup_free_ char *status = NULL;
                int r;

                r = pci_device_read(w, d, "power/runtime_status", &status);
                if (r == -ENOENT)
                        return 0;
                if (r < 0)
                        return r;
                if (streq(status, "active") || streq(status, "unsupported"))
                        return 0;
                if (streq(status, "error"))
                        return work_fail(w, -EIO, "waking %s: runtime power management has failed", d->address);
                if (!wait_a_moment(deadline))
                        return work_fail(w, -ETIMEDOUT, "waiting for %s, which is %s, to become active", d->address,
                                         status);
        }
}

static int pin_device(Work *w, const char *address, PciDevice *ret) {
        int r;

        r = pci_device_open(w, address, ret);
        if (r >= 0)
                r = set_attribute(w, ret, D3COLD, "0");
        if (r >= 0)
                r = set_attribute(w, ret, CONTROL, "on");
        return r < 0 ? r : wait_active(w, ret);
}

static int pin_one(Work *w, const char *address) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;

        return pin_device(w, address, &d);
}

int verb_pin_power(Work *w) {
        int r;

        r = pin_one(w, w->target);
        for (size_t i = 0; i < w->n && r >= 0; i++)
                r = pin_one(w, w->arguments[i]);
        return r;
}

/* power_state is what the kernel last knew ("unknown" after an unbind: drivers/pci/pci-driver.c pci_device_remove()),
 * PMCSR what the function says. A card that has fallen off the bus is D3cold for the one (pci_power_up()), all ones
 * for the other. */
static int check_awake(Work *w, const PciDevice *d) {
        _cleanup_free_ char *state = NULL;
        ConfigSpace c;
        int r, dstate;

        r = pci_device_check(w, d, &c);
        if (r < 0)
                return r;
        dstate = config_space_dstate(&c);
        if (dstate > 0)
                return work_fail(w, -EHOSTDOWN, "%s stays in D%i", d->address, dstate);
        r = pci_device_read(w, d, "power_state", &state);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (!streq(state, "D0") && !streq(state, "unknown"))
                return work_fail(w, -EHOSTDOWN, "%s stays in %s", d->address, state);
        return 0;
}

static int wake_one(Work *w, const char *address) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        int r;

        r = pin_device(w, address, &d);
        return r < 0 ? r : check_awake(w, &d);
}

int verb_wake(Work *w) {
        int r;

        r = wake_one(w, w->target);
        for (size_t i = 0; i < w->n && r >= 0; i++)
                r = wake_one(w, w->arguments[i]);
        return r;
}

/* "" leaves a value alone. */
static int set_power(Work *w, const char *address, const char *control, const char *d3cold) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        int r;

        if (*control && !streq(control, "on") && !streq(control, "auto"))
                return work_fail(w, -EINVAL, "'%s' is no value for " CONTROL, control);
        if (*d3cold && !streq(d3cold, "0") && !streq(d3cold, "1"))
                return work_fail(w, -EINVAL, "'%s' is no value for " D3COLD, d3cold);
        r = pci_device_open(w, address, &d);
        if (r >= 0 && *d3cold)
                r = set_attribute(w, &d, D3COLD, d3cold);
        if (r >= 0 && *control)
                r = set_attribute(w, &d, CONTROL, control);
        return r;
}

/* One that has left the bus must not keep the bridges above it awake: each is tried, and an error other than that
 * counts more. */
int verb_restore_power(Work *w) {
        int r, k;

        r = set_power(w, w->target, w->arguments[0], w->arguments[1]);
        for (size_t i = 2; i + 2 < w->n; i += 3) {
                k = set_power(w, w->arguments[i], w->arguments[i + 1], w->arguments[i + 2]);
                if (k < 0 && (r >= 0 || r == -ENODEV))
                        r = k;
        }
        return r;
}

int verb_idle_power(Work *w) {
        int r;

        r = set_power(w, w->target, w->arguments[0], "0");
        for (size_t i = 1; i + 1 < w->n && r >= 0; i += 2)
                r = set_power(w, w->arguments[i], w->arguments[i + 1], "0");
        return r;
}
