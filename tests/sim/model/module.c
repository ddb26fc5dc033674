/* SPDX-License-Identifier: GPL-2.0-or-later */

/* module: kernel modules that can be absent, installed, loaded or built in, and the file in which modprobe and the daemon
 * look up which of them fits a device. Loading registers the drivers of a module, unloading takes them away. */

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "model/model.h"
#include "util/cleanup.h"

static char *canonical(const char *name) {
        char *copy = g_strdup(name);

        return g_strdelimit(copy, "-", '_');
}

Module *module_find(const char *name) {
        g_autofree char *wanted = canonical(name);

        for (unsigned i = 0; i < machine.modules->len; i++) {
                Module *m = g_ptr_array_index(machine.modules, i);

                if (streq(m->name, wanted))
                        return m;
        }
        return NULL;
}

static bool uses(const Module *m, const char *name) {
        return strv_contains(m->uses, name);
}

static unsigned dependants(const Module *m) {
        unsigned n = 0;

        for (unsigned i = 0; i < machine.modules->len; i++) {
                const Module *other = g_ptr_array_index(machine.modules, i);

                if (other->loaded && uses(other, m->name))
                        n++;
        }
        return n;
}

/* What lsmod shows: dependent modules, open files, and what a test put on top. */
unsigned module_references(const Module *m) {
        unsigned n = m->references + dependants(m);

        device_nodes_refresh();
        for (unsigned i = 0; i < machine.device_nodes->len; i++) {
                const DeviceNode *node = g_ptr_array_index(machine.device_nodes, i);

                if (node->module == m)
                        n += node->holders + node->kernel_users;
        }
        return n;
}

static int refcnt_show(void *object, GString *out) {
        g_string_append_printf(out, "%u\n", module_references(object));
        return 0;
}

static const Attribute refcnt_attribute = { "refcnt", 0444, .show = refcnt_show };

static void module_node_add(Module *m) {
        static const char vfio_pci[] = "vfio_pci";
        Node *parameters;

        m->node = node_add_directory(node_add_path(node_root(), "module"), m->name);
        m->node->is_owner = true;
        (void) node_add_directory(m->node, "drivers");
        if (streq(m->name, vfio_pci)) {
                parameters = node_add_directory(m->node, "parameters");
                (void) node_add_text(parameters, "disable_idle_d3", "N\n");
                (void) node_add_text(parameters, "enable_sriov", "N\n");
                (void) node_add_text(parameters, "nointxmask", "N\n");
        }
        if (m->builtin)
                return;
        (void) node_add_directory(m->node, "holders");
        (void) node_add_text(m->node, "initstate", "live\n");
        (void) node_add_attribute(m->node, &refcnt_attribute, m);
}

static void holders_link(const Module *m) {
        for (char **u = m->uses; u && *u; u++) {
                const Module *used = module_find(*u);
                Node *holders = used && used->node ? node_find(used->node, "holders") : NULL;

                if (holders)
                        (void) node_add_link(holders, m->name, m->node);
        }
}

static void holders_unlink(const Module *m) {
        for (char **u = m->uses; u && *u; u++) {
                const Module *used = module_find(*u);
                Node *holders = used && used->node ? node_find(used->node, "holders") : NULL;

                if (holders)
                        node_remove_child(holders, m->name);
        }
}

Module *module_get(const char *name) {
        Module *m = module_find(name);

        if (m)
                return m;
        m = g_new(Module, 1);
        *m = (Module) { .name = canonical(name), .installed = true };
        g_ptr_array_add(machine.modules, m);
        return m;
}

/* Nodes that belong to a module, not to a card. */
static const struct {
        const char *module, *path;
} module_nodes[] = {
        { "nvidia", "/dev/nvidiactl" },
        { "nvidia_modeset", "/dev/nvidia-modeset" },
        { "nvidia_uvm", "/dev/nvidia-uvm" },
        { "vfio", "/dev/vfio/vfio" },
};

static void each_nvidia(void (*f)(Device *d)) {
        for (unsigned i = 0; i < machine.devices->len; i++) {
                Device *d = g_ptr_array_index(machine.devices, i);

                if (d->driver && (d->driver->features & FEATURE_NVIDIA))
                        f(d);
        }
}

void module_init(Module *m) {
        if (m->node)
                return;
        m->loaded = true;
        module_node_add(m);
        holders_link(m);
        for (size_t i = 0; i < ELEMENTSOF(module_nodes); i++)
                if (streq(module_nodes[i].module, m->name))
                        (void) device_node_add(module_nodes[i].path, 0666, NULL, m);
        if (streq(m->name, "nvidia_drm"))
                each_nvidia(children_add_drm);
}

static int load_one(Module *m) {
        g_autoptr(GPtrArray) drivers = g_ptr_array_copy(machine.drivers, NULL, NULL); /* registration changes the order */
        int r;

        if (m->loaded)
                return 0;
        if (!m->installed)
                return -ENOENT;
        for (char **u = m->uses; u && *u; u++) {
                r = module_load(*u);
                if (r < 0)
                        return r;
        }
        r = fault_run(fault_take(m->name, "load"), NULL);
        if (r >= 0)
                r = power_switch_load(m);
        if (r < 0)
                return r;
        module_init(m);
        for (unsigned i = 0; i < drivers->len; i++) {
                Driver *drv = g_ptr_array_index(drivers, i);

                if (drv->module == m)
                        driver_register(drv);
        }
        machine_changed();
        return 0;
}

static bool module_fits(const Module *m, const char *modalias) {
        for (unsigned i = 0; i < machine.drivers->len; i++) {
                const Driver *drv = g_ptr_array_index(machine.drivers, i);

                for (char **a = drv->aliases; drv->module == m && a && *a; a++)
                        if (!(drv->features & FEATURE_OVERRIDE_ONLY) && fnmatch(*a, modalias, 0) == 0)
                                return true;
        }
        return false;
}

/* All that fit, in the order of modules.alias. */
static int load_by_alias(const char *modalias) {
        int r = -ENOENT;

        for (unsigned i = 0; i < machine.modules->len; i++) {
                Module *m = g_ptr_array_index(machine.modules, i);

                if (module_fits(m, modalias))
                        r = load_one(m);
        }
        return r;
}

int module_load(const char *name_or_modalias) {
        Module *m;

        if (strchr(name_or_modalias, ':'))
                return load_by_alias(name_or_modalias);
        m = module_find(name_or_modalias);
        return m ? load_one(m) : -ENOENT;
}

static void unload_one(Module *m) {
        if (streq(m->name, "nvidia_drm"))
                each_nvidia(children_remove_drm);
        for (unsigned i = 0; i < machine.drivers->len; i++) {
                Driver *drv = g_ptr_array_index(machine.drivers, i);

                if (drv->module == m)
                        driver_unregister(drv);
        }
        for (size_t i = 0; i < ELEMENTSOF(module_nodes); i++)
                if (streq(module_nodes[i].module, m->name))
                        device_node_unlink(device_node_find(module_nodes[i].path));
        power_switch_unload(m);
        holders_unlink(m);
        node_remove(m->node);
        m->node = NULL;
        m->loaded = false;
        machine_changed();
}

int module_unload(const char *name) {
        Module *m = module_find(name);
        int r;

        if (!m || !m->installed)
                return -ENOENT;
        if (!m->loaded)
                return 0; /* modprobe -r of what is not loaded is no error */
        if (m->builtin || module_references(m) > 0)
                return -EBUSY;
        r = fault_run(fault_take(m->name, "unload"), NULL);
        if (r < 0)
                return r;
        unload_one(m);
        for (char **u = m->uses; u && *u; u++) {
                Module *used = module_find(*u);

                if (used && used->loaded && !used->builtin && module_references(used) == 0)
                        unload_one(used);
        }
        return 0;
}

/* One of depmod's files for the kernel that runs, which is the one of the real host. */
static void write_list(const char *name, const GString *text) {
        g_autofree char *path = NULL;
        struct utsname host;

        (void) uname(&host);
        path = g_strdup_printf("/lib/modules/%s/%s", host.release, name);
        if (!g_file_set_contents(path, text->str, (gssize) text->len, NULL))
                g_printerr("gpuptd-sim: cannot write %s\n", path);
}

/* Which modules there are, and which of them are part of the kernel. */
static void write_modules(void) {
        g_autoptr(GString) installed = g_string_new(NULL), builtin = g_string_new(NULL);

        for (unsigned i = 0; i < machine.modules->len; i++) {
                const Module *m = g_ptr_array_index(machine.modules, i);

                if (m->builtin)
                        g_string_append_printf(builtin, "kernel/%s.ko\n", m->name);
                else if (m->installed)
                        g_string_append_printf(installed, "kernel/%s.ko.xz:\n", m->name);
        }
        write_list("modules.dep", installed);
        write_list("modules.builtin", builtin);
}

void module_write_aliases(void) {
        g_autoptr(GString) text = g_string_new("# Aliases extracted from modules themselves.\n");

        for (unsigned i = 0; i < machine.drivers->len; i++) {
                const Driver *drv = g_ptr_array_index(machine.drivers, i);

                for (char **a = drv->aliases; drv->module && drv->module->installed && a && *a; a++)
                        g_string_append_printf(text, "alias %s%s %s\n",
                                               drv->features & FEATURE_OVERRIDE_ONLY ? "vfio_" : "", *a,
                                               drv->module->name);
        }
        write_list("modules.alias", text);
        write_modules();
}
