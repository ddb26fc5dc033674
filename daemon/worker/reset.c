/* SPDX-License-Identifier: GPL-2.0-or-later */

/* reset: writes to `reset` and `reset_subordinate`. Neither asks who uses the card (drivers/pci/pci.c
 * pci_reset_function()), and a single write may take 65 s for each method (pci_dev_wait()). That a method is listed
 * means only that it was thought possible when the function was added, before its siblings were there
 * (drivers/pci/probe.c pci_device_add()). */

#include "worker/reset.h"

#include "worker/config-space.h"
#include "worker/pci.h"

#define RESET_METHOD "reset_method"
#define DEFAULT_METHODS "default"
/* How long somebody's lock on a device below a bridge is waited for. */
#define LOCKED_TIMEOUT_SEC 5U

/* drivers/pci/pci.c pci_reset_fn_methods */
static const char *const methods[] = { "device_specific", "acpi", "flr", "af_flr", "pm", "bus", "cxl_bus" };

static bool method_valid(const char *method) {
        for (size_t i = 0; i < ELEMENTSOF(methods); i++)
                if (streq(method, methods[i]))
                        return true;
        return false;
}

/* An empty list is written as a newline: no byte would be no write. */
static int write_methods(Work *w, const PciDevice *d, const char *list) {
        return pci_device_write(w, d, RESET_METHOD, *list ? list : "\n");
}

/* The list is made to be this one method. Every method that is written is probed (reset_method_store()): -EINVAL is
 * the kernel's way to say that the card does not have it. */
static int choose_method(Work *w, const PciDevice *d, const char *method, const char *former) {
        _cleanup_free_ char *now = NULL;
        int r;

        if (streq(former, method))
                return 0;
        r = write_methods(w, d, method);
        if (r == -EINVAL) {
                (void) work_forgive(w);
                return work_fail(w, -ENOTTY, "%s does not offer the reset %s", d->address, method);
        }
        if (r >= 0)
                r = pci_device_read(w, d, RESET_METHOD, &now);
        if (r < 0)
                return work_fail(w, r, "choosing the reset %s of %s", method, d->address);
        if (!streq(now, method))
                return work_fail(w, -EIO, RESET_METHOD " of %s reads '%s' after '%s' was written", d->address, now,
                                 method);
        return 0;
}

static int set_methods(Work *w, const PciDevice *d, const char *list, char **ret_now) {
        int r;

        free(*ret_now);
        *ret_now = NULL;
        r = write_methods(w, d, list);
        return r < 0 ? r : pci_device_read(w, d, RESET_METHOD, ret_now);
}

/* The former list is probed as well, all or nothing, and now the siblings are there: `bus` of the first function of a
 * card was listed and cannot be listed again. Then the kernel makes its own list, which is what the card can do, and
 * the answer says so. Needs a Work of its own, since the reset may have failed and keeps its text. */
static int restore_methods(Work *w, const PciDevice *d, const char *former) {
        _cleanup_free_ char *now = NULL;
        int r;

        r = pci_device_read(w, d, RESET_METHOD, &now);
        if (r >= 0 && streq(now, former))
                return 0;
        if (r >= 0)
                r = set_methods(w, d, former, &now);
        if (r >= 0 && streq(now, former))
                return 0;
        if (r == -EINVAL) {
                r = set_methods(w, d, DEFAULT_METHODS, &now);
                if (r >= 0) {
                        words_write(w->answer, "reset-method", d->address, now, NULL);
                        return work_forgive(w);
                }
        }
        return work_fail(w, r < 0 ? r : -EIO, "putting '%s' back into " RESET_METHOD " of %s", former, d->address);
}

/* ENOTTY has two meanings: the card has no such reset, or it did not come back from it (pci_dev_wait() gives up with
 * the same errno, so that the next method has its turn). */
static int explain_refusal(Work *w, const PciDevice *d, const char *method) {
        ConfigSpace c;

        (void) work_forgive(w);
        if (config_space_read(d->fd, "config", &c) >= 0 && config_space_is_dead(&c))
                return work_fail(w, -EHOSTDOWN, "%s does not answer after its reset", d->address);
        if (!*method)
                return work_fail(w, -ENOTTY, "%s has none of the resets that it lists", d->address);
        return work_fail(w, -ENOTTY, "%s has no reset %s, although it lists it", d->address, method);
}

static int write_reset(Work *w, const PciDevice *d, const char *method) {
        int r;

        r = pci_device_write(w, d, "reset", "1");
        if (r == -ENOENT)
                return work_fail(w, -ENOTTY, "%s has no reset", d->address);
        return r == -ENOTTY ? explain_refusal(w, d, method) : r;
}

/* Both errors, the reset's first. */
static int add_failure(Work *w, int r, Work *restoring, int restored) {
        _cleanup_free_ char *first = TAKE_PTR(w->text);

        if (restored < 0 && r >= 0)
                w->text = TAKE_PTR(restoring->text);
        else if (restored < 0)
                (void) work_fail(w, r, "%s; and %s: %s", strempty(first), strempty(restoring->text),
                                 strerror(-restored));
        else
                w->text = TAKE_PTR(first);
        free(restoring->text);
        return r < 0 ? r : restored;
}

static int reset_by(Work *w, const PciDevice *d, const char *method) {
        _cleanup_free_ char *former = NULL;
        Work restoring = { .answer = w->answer };
        int r, restored;

        r = pci_device_read(w, d, RESET_METHOD, &former);
        if (r == -ENOENT)
                return work_fail(w, -ENOTTY, "%s has no " RESET_METHOD ", and so no reset %s", d->address, method);
        if (r < 0)
                return r;
        r = choose_method(w, d, method, former);
        if (r >= 0)
                r = write_reset(w, d, method);
        restored = r == -ENODEV ? 0 : restore_methods(&restoring, d, former);
        return add_failure(w, r, &restoring, restored);
}

int verb_reset(Work *w) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        const char *method = w->arguments[0];
        int r;

        if (*method && !method_valid(method))
                return work_fail(w, -EINVAL, "'%s' is not a reset method", method);
        r = pci_device_open(w, w->target, &d);
        if (r < 0)
                return r;
        return *method ? reset_by(w, &d, method) : write_reset(w, &d, method);
}

/* A bridge that the kernel gave no bus: on 6.12 the write would be the end of it (reset_subordinate_store() does not
 * look whether there is one). */
static bool has_bus_below(const PciDevice *d) {
        _cleanup_closedir_ DIR *dir = open_directory_at(d->fd, "pci_bus");

        for (struct dirent *e; dir && (e = readdir(dir));)
                if (e->d_name[0] != '.')
                        return true;
        return false;
}

/* The kernel only tries the locks of the bridge and of all below it (pci_bus_trylock()). */
int verb_reset_below(Work *w) {
        uint64_t deadline = monotonic_usec() + (uint64_t) LOCKED_TIMEOUT_SEC * USEC_PER_SEC;
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        int r;

        r = pci_device_open(w, w->target, &d);
        if (r < 0)
                return r;
        if (!has_bus_below(&d))
                return work_fail(w, -ENOTTY, "%s is not a bridge with a bus below it", d.address);
        while ((r = pci_device_write(w, &d, "reset_subordinate", "1")) == -EAGAIN) {
                (void) work_forgive(w);
                if (!wait_a_moment(deadline))
                        return work_fail(w, -EBUSY, "resetting everything below %s: another kernel call has one of the "
                                         "functions there", d.address);
        }
        if (r == -ENOENT)
                return work_fail(w, -ENOTTY, "%s has no reset_subordinate: the kernel is too old", d.address);
        /* The kernel gives up on the link with the same errno (pci_bridge_wait_for_secondary_bus()). */
        if (r == -ENOTTY) {
                (void) work_forgive(w);
                return work_fail(w, r, "%s cannot reset what is below it, or saw no link come up after it", d.address);
        }
        return r;
}
