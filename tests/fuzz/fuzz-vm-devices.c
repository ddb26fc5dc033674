/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-vm-devices: the configuration of a VM, as libvirt or Proxmox VE would have it. What is found is an address in every case. */

#include "client/vm-devices.h"
#include "fuzz.h"
#include "util/address.h"

static void check(VmDevices *d) {
        for (char **a = d->addresses; a && *a; a++) {
                bool has_function;
                PciAddress address;

                FUZZ_ASSERT(pci_address_parse_short(*a, &address, &has_function) >= 0);
        }
        for (char **a = d->managed; a && *a; a++)
                FUZZ_ASSERT(strv_contains(d->addresses, *a));
        vm_devices_done(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = malloc(size ?: 1);
        VmDevices d = {};

        /* Of exactly this size: nothing may be read behind it. */
        FUZZ_ASSERT(text);
        if (size > 0)
                memcpy(text, data, size);
        if (vm_devices_read_libvirt(text, size, &d) >= 0)
                check(&d);
        if (vm_devices_read_proxmox(text, size, &d) >= 0)
                check(&d);
        return 0;
}
