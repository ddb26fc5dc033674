/* SPDX-License-Identifier: GPL-2.0-or-later */

/* rom: reads firmware images. It leaves the card as it found it, whatever fails in between: the ROM decoder off again, since
 * some cards share it with their other windows, and what it decodes and how it rests as before. */

#include "worker/rom.h"

#include <fcntl.h>

#include "daemon/rom.h" /* not the one beside this file */
#include "dbus/names.h"
#include "util/fs.h"
#include "util/words.h"
#include "worker/config-space.h"
#include "worker/pci.h"

#define ROM "rom"
#define CONTROL "power/control"
#define CONFIG "config"
/* include/uapi/linux/pci_regs.h */
#define PCI_COMMAND 0x04
#define PCI_COMMAND_MEMORY 0x2
/* A real one has an image of at most some hundred KiB for each GPU of AMD's. */
#define VFCT_SIZE_MAX (4U * ROM_SIZE_MAX)

typedef struct Blob {
        char *data;
        size_t size;
} Blob;

static void blob_done(Blob *b) {
        free(b->data);
}

/* The ids of the function, without asking the card. */
static int read_ids(Work *w, const PciDevice *d, VfctQuery *ret) {
        _cleanup_(snapshot_freep) Snapshot *s = snapshot_new();
        char *addresses[] = { (char *) d->address, NULL };
        const Function *f;
        int r;

        if (!s)
                return -ENOMEM;
        r = pci_scan(s, addresses);
        if (r < 0)
                return work_fail(w, r, "reading the ids of %s", d->address);
        f = snapshot_find(s, d->address);
        if (!f)
                return work_fail(w, -ENODEV, "reading the ids of %s", d->address);
        *ret = (VfctQuery) {
                .vendor = f->vendor,
                .device = f->device,
                .subsystem_vendor = f->subsystem_vendor,
                .subsystem_device = f->subsystem_device,
        };
        return pci_address_parse(d->address, &ret->address);
}

/* -EBADMSG and the text if this is no usable image. */
static int check(Work *w, const Blob *b, const VfctQuery *q, const char *where) {
        _cleanup_(rom_verdict_done) RomVerdict v = {};
        int r;

        r = rom_check((const uint8_t *) b->data, b->size, q->vendor, q->device, &v);
        if (r < 0)
                return r;
        return v.error ? work_fail(w, -EBADMSG, "the image in %s cannot be used: %s", where, v.error) : 0;
}

/* A function in D3hot decodes no memory and reads as all ones, which the kernel takes for no ROM (drivers/pci/rom.c
 * pci_get_rom_size()); pci_read_rom(), unlike pci_read_config(), does not wake it. Writing "on" does, and returns when it is
 * awake (drivers/base/power/runtime.c pm_runtime_forbid()). vfio-pci lets a card rest that nobody has open. */
static int wake(Work *w, const PciDevice *d, bool *ret_was_auto) {
        _cleanup_free_ char *control = NULL;
        int r;

        r = pci_device_read(w, d, CONTROL, &control);
        if (r == -ENOENT)
                return 0;
        if (r < 0 || !streq(control, "auto"))
                return r;
        *ret_was_auto = true;
        return pci_device_write(w, d, CONTROL, "on");
}

/* *ret_undo is what putting it back has failed with. */
static int read_enabled(Work *w, const PciDevice *d, Blob *ret, int *ret_undo) {
        int r;

        r = pci_device_write(w, d, ROM, "1");
        if (r < 0)
                return r;
        r = read_file_at(d->fd, ROM, ROM_SIZE_MAX, &ret->data, &ret->size);
        if (r < 0)
                (void) work_fail(w, r, "reading the ROM of %s", d->address);
        /* Exactly these two bytes (drivers/pci/pci-sysfs.c pci_write_rom()). */
        *ret_undo = pci_device_write(w, d, ROM, "0\n");
        return r;
}

static int write_command(Work *w, const PciDevice *d, unsigned command) {
        const uint8_t bytes[] = { command & 0xff, command >> 8 & 0xff };
        _cleanup_close_ int fd = RET_NERRNO(openat(d->fd, CONFIG, O_WRONLY | O_CLOEXEC));
        ssize_t k;

        k = fd < 0 ? fd : RET_NERRNO(pwrite(fd, bytes, sizeof(bytes), PCI_COMMAND));
        return k < 0 ? work_fail(w, (int) k, "changing what %s decodes", d->address) : 0;
}

/* A ROM is decoded only where the other memory of the function is as well, and pci_read_rom() does not see to that. Firmware
 * leaves it off on a card that it did not start. The attribute `enable` would turn it on, but not with a driver, vfio-pci
 * included; a driver of the host has done so itself. */
static int read_decoded(Work *w, const PciDevice *d, Blob *ret, int *ret_undo) {
        _cleanup_free_ char *driver = NULL;
        unsigned command;
        ConfigSpace c;
        int r, k;

        r = pci_device_driver(w, d, &driver);
        if (r < 0)
                return r;
        r = config_space_read(d->fd, CONFIG, &c);
        if (r < 0)
                return work_fail(w, r, "reading the config space of %s", d->address);
        command = config_space_u16(&c, PCI_COMMAND);
        if (command & PCI_COMMAND_MEMORY || (driver && !driver_is_vfio(driver)))
                return read_enabled(w, d, ret, ret_undo);
        r = write_command(w, d, command | PCI_COMMAND_MEMORY);
        if (r < 0)
                return r;
        r = read_enabled(w, d, ret, ret_undo);
        k = write_command(w, d, command);
        *ret_undo = *ret_undo < 0 ? *ret_undo : k;
        return r;
}

/* -ENOENT without a text: there is no such attribute. *ret_undo as above. */
static int read_rom(Work *w, const PciDevice *d, const VfctQuery *q, Blob *ret, int *ret_undo) {
        bool was_auto = false;
        int r, k;

        *ret_undo = 0;
        if (faccessat(d->fd, ROM, F_OK, 0) < 0)
                return -ENOENT;
        r = wake(w, d, &was_auto);
        if (r >= 0)
                r = read_decoded(w, d, ret, ret_undo);
        if (was_auto) {
                k = pci_device_write(w, d, CONTROL, "auto");
                *ret_undo = *ret_undo < 0 ? *ret_undo : k;
        }
        return r < 0 ? r : check(w, ret, q, "its ROM");
}

/* The kernel shows the tables as the firmware left them. -ENOENT: no such table, or no such image in it. */
static int read_vfct(Work *w, const VfctQuery *q, Blob *ret) {
        _cleanup_(blob_done) Blob table = {};
        size_t offset, length;
        const char *error;
        int r;

        r = read_file_at(AT_FDCWD, ACPI_VFCT, VFCT_SIZE_MAX, &table.data, &table.size);
        if (r == -ENOENT)
                return r;
        if (r < 0)
                return work_fail(w, r, "reading " ACPI_VFCT);
        r = vfct_find((const uint8_t *) table.data, table.size, q, &offset, &length, &error);
        if (r < 0)
                return work_fail(w, r, "looking into the ACPI table VFCT: %s", error);
        memmove(table.data, table.data + offset, length);
        *ret = (Blob) { .data = TAKE_PTR(table.data), .size = length };
        return check(w, ret, q, "the ACPI table VFCT");
}

static int put_output(Work *w, const Blob *b) {
        for (size_t n = 0; n < b->size;) {
                ssize_t k = pwrite(w->output_fd, b->data + n, b->size - n, (off_t) n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return work_fail(w, -errno, "handing on the image");
                n += (size_t) k;
        }
        return 0;
}

int verb_rom(Work *w) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        _cleanup_(blob_done) Blob rom = {}, vfct = {};
        int r, rom_error, undo;
        VfctQuery query;

        if (w->output_fd < 0)
                return work_fail(w, -EBADF, "this worker was given nothing to put the image into");
        r = pci_device_open(w, w->target, &d);
        if (r >= 0)
                r = read_ids(w, &d, &query);
        if (r < 0)
                return r;
        rom_error = read_rom(w, &d, &query, &rom, &undo);
        /* A card that was not left as it was is told of, whatever else there is; one that has gone has nothing else. */
        if (undo < 0)
                return undo;
        if (rom_error == -ENODEV)
                return rom_error;
        r = rom_error < 0 ? read_vfct(w, &query, &vfct) : 0;
        if (r == -ENOENT && rom_error < 0 && rom_error != -ENOENT)
                return rom_error;
        if (r == -ENOENT)
                return work_fail(w, r, "%s has no ROM, and this host no ACPI table VFCT", d.address);
        if (r >= 0)
                r = put_output(w, rom_error < 0 ? &vfct : &rom);
        if (r >= 0)
                words_write(w->answer, "image", rom_error < 0 ? "vfct" : "rom", NULL);
        return r;
}
