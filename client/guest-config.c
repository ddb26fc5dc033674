/* SPDX-License-Identifier: GPL-2.0-or-later */

/* guest-config: one GPU in three dialects: libvirt's XML (formatdomain, drvqemu), QEMU's arguments, Proxmox's hostpci
 * (qm.conf(5)). Pure; what it is given has been checked. */

#include "client/guest-config.h"

#include <inttypes.h>

#include "client/quote.h"

/* The guest's bus. libvirt adds the PCIe ports that are missing up to there; a domain of virt-manager's has fourteen,
 * and uses the first seven or so. */
#define LIBVIRT_BUS 0x0eU

/* What tells one GPU's things in the guest from another's. */
static int name_of(const GuestGpu *g, const char *prefix, char **ret) {
        const PciAddress *a = &g->functions[0].address;

        if (asprintf(ret, "%s-%04" PRIx32 "-%02x-%02x-%x", prefix, a->domain, a->bus, a->slot, a->function) >= 0)
                return 0;
        *ret = NULL;
        return -ENOMEM;
}

/* ---- libvirt ---- */

static void put_hostdev(FILE *f, const GuestGpu *g, size_t i, const char *alias, const char *rom) {
        const PciAddress *a = &g->functions[i].address;

        (void) fprintf(f, "<hostdev mode='subsystem' type='pci' managed='no'>\n"
                       "  <source>\n"
                       "    <address domain='0x%04" PRIx32 "' bus='0x%02x' slot='0x%02x' function='0x%x'/>\n"
                       "  </source>\n", a->domain, a->bus, a->slot, a->function);
        if (i == 0 && alias)
                (void) fprintf(f, "  <alias name='%s'/>\n", alias);
        if (i == 0 && rom)
                (void) fprintf(f, "  <rom file='%s'/>\n", rom);
        (void) fprintf(f, "  <address type='pci' domain='0x0000' bus='0x%02x' slot='0x00' function='0x%zx'%s/>\n"
                       "</hostdev>\n", LIBVIRT_BUS, i, i == 0 && g->n_functions > 1 ? " multifunction='on'" : "");
}

static void put_override(FILE *f, const GuestGpu *g, const char *alias) {
        (void) fprintf(f, "<!-- Not in <devices>, but beside it: the ids that the driver in the guest looks for. -->\n"
                       "<qemu:override xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
                       "  <qemu:device alias='%s'>\n"
                       "    <qemu:frontend>\n"
                       "      <qemu:property name='x-pci-sub-vendor-id' type='unsigned' value='%u'/>\n"
                       "      <qemu:property name='x-pci-sub-device-id' type='unsigned' value='%u'/>\n"
                       "    </qemu:frontend>\n"
                       "  </qemu:device>\n"
                       "</qemu:override>\n", alias, g->sub_vendor, g->sub_device);
}

int guest_config_libvirt(const GuestGpu *g, const char *rom, char **ret) {
        _cleanup_free_ char *text = NULL, *alias = NULL, *file = NULL;
        _cleanup_fclose_ FILE *f = NULL;
        size_t size;

        /* A user's own alias, which begins with "ua-", is the only one that stays. */
        if (guest_gpu_needs_subsystem(g) && name_of(g, "ua-gpu", &alias) < 0)
                return -ENOMEM;
        if (rom) {
                file = quote_xml(rom);
                if (!file)
                        return -ENOMEM;
        }
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;

        (void) fprintf(f, "<!-- %s. The bus 0x%02x is a free pcie-root-port of the guest's. -->\n", g->label, LIBVIRT_BUS);
        for (size_t i = 0; i < g->n_functions; i++)
                put_hostdev(f, g, i, alias, file);
        if (alias)
                put_override(f, g, alias);

        if (fclose(TAKE_PTR(f)) != 0)
                return -ENOMEM;
        *ret = TAKE_PTR(text);
        return 0;
}

/* ---- words ---- */

static int extend_device(char ***words, const char *format, ...) _printf_(2, 3);
static int extend_device(char ***words, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        if (!text)
                return -ENOMEM;
        r = strv_extend(words, "-device");
        return r < 0 ? r : strv_extend(words, text);
}

/* ",NAME=VENDOR,NAME=DEVICE", or nothing. */
#define SUBSYSTEM_MAX 96
static const char *subsystem(const GuestGpu *g, const char *prefix, char buffer[static SUBSYSTEM_MAX]) {
        *buffer = '\0';
        if (guest_gpu_needs_subsystem(g))
                (void) snprintf(buffer, SUBSYSTEM_MAX, ",%ssub-vendor-id=0x%04x,%ssub-device-id=0x%04x", prefix,
                                g->sub_vendor, prefix, g->sub_device);
        return buffer;
}

/* ---- QEMU ---- */

int guest_config_qemu(const GuestGpu *g, const char *rom, char ***ret) {
        _cleanup_strv_free_ char **words = NULL;
        _cleanup_free_ char *port = NULL, *file = NULL;
        char ids[SUBSYSTEM_MAX];
        int r;

        r = name_of(g, "gpu", &port);
        if (r >= 0 && rom) {
                file = quote_qemu(rom);
                r = file ? 0 : -ENOMEM;
        }
        /* Two ports must not have the same chassis: those of people begin at 0 or 1. */
        if (r >= 0)
                r = extend_device(&words, "pcie-root-port,id=%s,bus=pcie.0,chassis=%u", port,
                                  0x80U | g->functions[0].address.bus);
        if (r >= 0)
                r = extend_device(&words, "vfio-pci,host=%s,bus=%s,addr=00.0%s%s%s%s", g->functions[0].name, port,
                                  g->n_functions > 1 ? ",multifunction=on" : "", file ? ",romfile=" : "", strempty(file),
                                  subsystem(g, "x-pci-", ids));
        for (size_t i = 1; r >= 0 && i < g->n_functions; i++)
                r = extend_device(&words, "vfio-pci,host=%s,bus=%s,addr=00.%zx", g->functions[i].name, port, i);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(words);
        return 0;
}

/* ---- Proxmox ---- */

const char *guest_config_proxmox_rom(const char *rom) {
        const char *slash = strrchr(rom, '/');

        return startswith(rom, PROXMOX_ROMS) ?: slash ? slash + 1 : rom;
}

bool guest_config_proxmox_takes(const char *rom) {
        const char *name = guest_config_proxmox_rom(rom);

        return *name && !strpbrk(name, ",;");
}

int guest_config_proxmox(const GuestGpu *g, const char *rom, char ***ret) {
        static const char *const head[] = { "qm", "set", "VMID", "--hostpci0" };
        _cleanup_strv_free_ char **words = NULL;
        _cleanup_free_ char *text = NULL;
        _cleanup_fclose_ FILE *f = NULL;
        char ids[SUBSYSTEM_MAX];
        size_t size;
        int r = 0;

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        /* In this order: qm makes the first one function 0. */
        for (size_t i = 0; i < g->n_functions; i++)
                (void) fprintf(f, "%s%s", i > 0 ? ";" : "", g->functions[i].name);
        (void) fprintf(f, ",pcie=1%s%s%s%s", guest_function_is_vga(&g->functions[0]) ? ",x-vga=1" : "",
                       rom ? ",romfile=" : "", rom ? guest_config_proxmox_rom(rom) : "", subsystem(g, "", ids));
        if (fclose(TAKE_PTR(f)) != 0)
                return -ENOMEM;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(head); i++)
                r = strv_extend(&words, head[i]);
        if (r >= 0)
                r = strv_extend(&words, text);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(words);
        return 0;
}
