/* SPDX-License-Identifier: GPL-2.0-or-later */

/* hook: what managers of virtual machines call when one starts and when it has stopped. The words are theirs; what they mean for
 * the cards is decided here, and done by hook-walk. It never asks the manager anything: that waits for us. Nothing is printed on
 * stdout, which libvirt would take for a domain. */

#include "client/hook-walk.h"
#include "client/report.h"
#include "client/verbs.h"
#include "util/fs.h"
#include "util/words.h"

/* Where the configurations of Proxmox VE's VMs are; another place for tests. */
#define QEMU_SERVER_DIR "/etc/pve/qemu-server"
#define ENV_QEMU_SERVER_DIR "GPUPT_QEMU_SERVER_DIR"
/* PVE::JSONSchema, pve-vmid */
#define VMID_MIN 100U
#define VMID_MAX 999999999U
/* Far more than a domain has, and what libvirt takes at most (src/remote/remote_protocol.x). */
#define DOMAIN_MAX (4U * 1024U * 1024U)
/* pmxcfs has no larger files (pve-cluster, src/pmxcfs/memdb.h). */
#define CONFIGURATION_MAX (1024U * 1024U)

static void warn_unresolved(const char *name, const VmDevices *devices) {
        for (char **word = devices->unresolved; word && *word; word++)
                report_note("The device '%s' of %s is not named by its address, so gpuptd cannot look after it. "
                            "Write the address into hostpci to have that.", *word, name);
}

/* Nobody watches, and nobody can answer. */
static int walk(Client *c, const HookVm *vm, HookStep steps) {
        const Options *asked = c->options;
        Options options = *asked;
        int r;

        options.quiet = true;
        options.ask_password = false;
        c->options = &options;
        r = hook_walk(c, vm, steps);
        c->options = asked;
        return r;
}

/* ---- libvirt ---- */

static const struct {
        const char *operation, *suboperation;
        HookStep step;
} libvirt_table[] = {
        /* The only place where the card can be moved: nothing has been opened yet, and a failure refuses the start. */
        { "prepare", "begin", HOOK_PRE_START },
        { "started", "begin", HOOK_POST_START },
        /* QEMU has ended. What libvirt does next, for managed='yes', it does to a card that is well. */
        { "stopped", "end", HOOK_POST_STOP },
        /* libvirt has let go of everything. */
        { "release", "end", HOOK_GIVE_BACK },
};

static int read_domain(char **ret, size_t *ret_size) {
        _cleanup_free_ char *text = malloc(DOMAIN_MAX);
        size_t n;

        if (!text)
                return -ENOMEM;
        n = fread(text, 1, DOMAIN_MAX, stdin);
        if (ferror(stdin))
                return -EIO;
        if (n == DOMAIN_MAX)
                return -EFBIG;
        *ret = TAKE_PTR(text);
        *ret_size = n;
        return 0;
}

static int read_devices(VmDevices *ret) {
        _cleanup_free_ char *xml = NULL;
        size_t size;
        int r;

        r = read_domain(&xml, &size);
        return r < 0 ? r : vm_devices_read_libvirt(xml, size, ret);
}

static const char *explain(int r) {
        return r == -EBADMSG ? "It is no domain of libvirt's, or one of its devices has no address" :
               r == -EFBIG ? "It is too large" : r == -E2BIG ? "It has too many devices" : strerror(-r);
}

static int hook_libvirt(Client *c, char **args) {
        _cleanup_(vm_devices_done) VmDevices devices = {};
        HookVm vm = { .manager = "libvirt", .name = args[0], .devices = &devices };
        HookStep step = 0;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(libvirt_table); i++)
                if (streq(args[1], libvirt_table[i].operation) && streq(args[2], libvirt_table[i].suboperation))
                        step = libvirt_table[i].step;
        if (step == 0)
                return EXIT_DONE;

        r = read_devices(&devices);
        if (r < 0) {
                report_note("The XML of %s on standard input cannot be used, so its GPUs are not known: %s. "
                            "Call 'gpuptctl hook libvirt' as libvirt calls its hooks.", vm.name, explain(r));
                r = EXIT_FAILED;
        } else
                r = walk(c, &vm, step);
        if (r == 0 || step == HOOK_PRE_START)
                return r;
        if (r < 0)
                (void) report_error(NULL, NULL, r);
        /* A VM whose hook fails here would be ended (qemuProcessFinishStartup()), for nothing that it has done. */
        return step == HOOK_POST_START ? EXIT_DONE : EXIT_FAILED;
}

/* ---- Proxmox VE ---- */

static const struct {
        const char *phase;
        HookStep steps;
} proxmox_table[] = {
        { "pre-start", HOOK_PRE_START },
        { "post-start", HOOK_POST_START },
        { "pre-stop", HOOK_PRE_STOP },
        { "post-stop", HOOK_POST_STOP | HOOK_GIVE_BACK },
};

static int read_configuration(const char *vmid, VmDevices *ret) {
        const char *dir = secure_getenv(ENV_QEMU_SERVER_DIR) ?: QEMU_SERVER_DIR;
        _cleanup_free_ char *path = NULL, *text = NULL;
        size_t size;
        int r;

        if (asprintf(&path, "%s/%s.conf", dir, vmid) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = read_file_at(AT_FDCWD, path, CONFIGURATION_MAX, &text, &size);
        if (r >= 0)
                r = vm_devices_read_proxmox(text, size, ret);
        if (r < 0)
                report_note("The configuration of VM %s cannot be used, so its GPUs are not known: %s: %s. "
                            "'qm config %s' shows it.", vmid, path, explain(r), vmid);
        return r < 0 ? EXIT_FAILED : 0;
}

static int hook_proxmox(Client *c, char **args) {
        _cleanup_(vm_devices_done) VmDevices devices = {};
        HookVm vm = { .manager = "proxmox", .name = args[0], .devices = &devices };
        HookStep steps = 0;
        uint64_t id;
        int r;

        if (parse_u64(args[0], VMID_MAX, &id) < 0 || id < VMID_MIN || *args[0] == '0')
                return report_usage("'%s' is no number of a VM.", args[0]);
        for (size_t i = 0; i < ELEMENTSOF(proxmox_table); i++)
                if (streq(args[1], proxmox_table[i].phase))
                        steps = proxmox_table[i].steps;
        if (steps == 0)
                return EXIT_DONE;

        r = read_configuration(args[0], &devices);
        if (r != 0)
                return r;
        if (steps & HOOK_PRE_START)
                warn_unresolved(args[0], &devices);
        return walk(c, &vm, steps);
}

int verb_hook(Client *c, char **args) {
        size_t n = strv_length(args);

        if (streq(args[0], "libvirt") && n >= 4)
                return hook_libvirt(c, args + 1);
        if (streq(args[0], "proxmox") && n == 3)
                return hook_proxmox(c, args + 1);
        return report_usage("Usage: gpuptctl hook libvirt NAME OPERATION SUBOPERATION [EXTRA], or gpuptctl hook proxmox VMID PHASE");
}
