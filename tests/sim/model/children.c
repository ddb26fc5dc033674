/* SPDX-License-Identifier: GPL-2.0-or-later */

/* children: what a host driver hangs below its PCI function: DRM card, render node and connectors, frame buffer and VT
 * console, hwmon, i2c, sound card; and what it waits for before it lets them go. Numbers are the lowest free ones, so that
 * a card that comes back may have another, as on a real host. */

#include <unistd.h>

#include "model/model.h"
#include "util/cleanup.h"

static struct {
        GByteArray *drm, *hwmon, *i2c, *fb, *sound, *nvidia;
        unsigned kfd_users;
        Child *kfd;
        unsigned sound_minor;
        bool console_unbound;
} in_use;

static GByteArray *indices(GByteArray **used) {
        if (!*used)
                *used = g_byte_array_new();
        return *used;
}

/* The class directory of a subsystem; i2c adapters are devices of a bus instead. */
static Node *subsystem_directory(const char *subsystem) {
        g_autofree char *path = streq(subsystem, "i2c") ? g_strdup("bus/i2c/devices")
                                                        : g_strdup_printf("class/%s", subsystem);

        return node_add_path(node_root(), path);
}

/* Raises no event: the caller does when all of the child is there. */
Child *child_add(Device *d, Node *parent, const char *name, const char *subsystem, const char *properties) {
        Node *directory = subsystem_directory(subsystem), *node = node_add_directory(parent, name);
        Child *c = g_new(Child, 1);

        *c = (Child) {
                .kobject = { .node = node, .subsystem = subsystem, .properties = g_strdup(properties) },
                .class_link = node_add_link(directory, name, node),
        };
        (void) node_add_attribute(node, &uevent_attribute, &c->kobject);
        (void) node_add_link(node, "subsystem", streq(subsystem, "i2c") ? directory->parent : directory);
        if (d)
                (void) node_add_link(node, "device", parent->parent && parent != d->kobject.node ? parent->parent : parent);
        return c;
}

void child_add_device_node(Child *c, Device *d, unsigned major, unsigned minor, const char *path, mode_t mode) {
        char *old = c->kobject.properties;
        Module *module = d && d->driver ? d->driver->module : NULL;

        if (d && (d->driver->features & FEATURE_NVIDIA) && streq(c->kobject.subsystem, "drm"))
                module = module_find("nvidia_drm");
        (void) node_add_text(c->kobject.node, "dev", "%u:%u\n", major, minor);
        c->kobject.properties = g_strdup_printf("MAJOR=%u\nMINOR=%u\nDEVNAME=%s\n%s", major, minor,
                                                path + STRLEN("/dev/"), strempty(old));
        g_free(old);
        c->device_node = device_node_add(path, mode, d, module);
}

/* The KObject stays: an open uevent file may still point to it. */
void child_remove(Child *c) {
        KObject gone = c->kobject;

        if (c->device_node)
                device_node_unlink(c->device_node);
        c->device_node = NULL;
        node_remove(c->class_link);
        node_remove(c->kobject.node);
        uevent_emit(&gone, "remove", NULL);
}

static Child *add(Device *d, Node *parent, const char *name, const char *subsystem, const char *properties) {
        Child *c = child_add(d, parent, name, subsystem, properties);

        g_ptr_array_add(d->children, c);
        return c;
}

static Node *glue(Device *d, const char *name) {
        return node_find(d->kobject.node, name) ?: node_add_directory(d->kobject.node, name);
}

/* The number at the end of a child's name is its index in the table of its kind. */
static int index_of(const Child *c, const char *prefix) {
        const char *digits = startswith(c->kobject.node->name, prefix);
        guint64 value;

        return digits && g_ascii_string_to_unsigned(digits, 10, 0, 100000, &value, NULL) ? (int) value : -1;
}

static void connector_fill(Node *node, const char *status) {
        bool connected = streq(status, "connected");

        node_set_text(node_find(node, "status"), "%s\n", status);
        node_set_text(node_find(node, "enabled"), "%s\n", connected ? "enabled" : "disabled");
        node_set_text(node_find(node, "dpms"), "%s\n", connected ? "On" : "Off");
        node_set_text(node_find(node, "modes"), "%s", connected ? "1920x1080\n" : "");
}

static void connector_add(Device *d, Node *card, const char *text) {
        g_auto(GStrv) words = g_strsplit(text, "=", 2);
        g_autofree char *name = g_strdup_printf("%s-%s", card->name, words[0]);
        Child *c = add(d, card, name, "drm", "DEVTYPE=drm_connector\n");
        static const char *const attributes[] = { "status", "enabled", "dpms", "modes", "edid" };
        bool black = device_shows(d, SYMPTOM_BLACK) || d->connector_delay_ms > 0;

        for (size_t i = 0; i < ELEMENTSOF(attributes); i++)
                (void) node_add_text(c->kobject.node, attributes[i], "%s", "");
        (void) node_add_text(c->kobject.node, "connector_id", "%u\n", 100 + d->children->len);
        connector_fill(c->kobject.node, !black && words[1] ? words[1] : "disconnected");
        uevent_emit(&c->kobject, "add", NULL);
}

/* A monitor is found some time after the driver was bound, if it is: drm_kms_helper_hotplug_event(). */
static void connectors_appear(void *data) {
        Device *d = data;

        machine_sleep_ms(d->connector_delay_ms);
        for (char **connector = d->connectors; connector && *connector && !device_shows(d, SYMPTOM_BLACK); connector++) {
                g_auto(GStrv) words = g_strsplit(*connector, "=", 2);

                if (words[1])
                        connector_set(d, words[0], words[1]);
        }
}

void connector_set(Device *d, const char *name, const char *status) {
        const Child *card = NULL;

        for (unsigned i = 0; i < d->children->len; i++) {
                const Child *c = g_ptr_array_index(d->children, i);
                const char *rest;

                if (!c->kobject.node || !streq(c->kobject.subsystem, "drm"))
                        continue;
                if (index_of(c, "card") >= 0)
                        card = c;
                rest = card ? startswith(c->kobject.node->name, card->kobject.node->name) : NULL;
                if (rest && *rest == '-' && streq(rest + 1, name)) {
                        connector_fill(c->kobject.node, status);
                        uevent_emit(&card->kobject, "change", "HOTPLUG=1");
                }
        }
        machine_changed();
}

static void drm_add(Device *d) {
        int index = index_take(indices(&in_use.drm));
        g_autofree char *card = g_strdup_printf("card%d", index), *render = g_strdup_printf("renderD%d", 128 + index);
        g_autofree char *card_path = g_strdup_printf("/dev/dri/%s", card);
        g_autofree char *render_path = g_strdup_printf("/dev/dri/%s", render);
        Node *drm = glue(d, "drm");
        Child *c;

        c = add(d, drm, card, "drm", "DEVTYPE=drm_minor\n");
        child_add_device_node(c, d, 226, (unsigned) index, card_path, 0660);
        uevent_emit(&c->kobject, "add", NULL);
        for (char **connector = d->connectors; connector && *connector; connector++)
                connector_add(d, c->kobject.node, *connector);
        if (d->connectors && d->connector_delay_ms > 0)
                (void) machine_in_thread(connectors_appear, d);
        c = add(d, drm, render, "drm", "DEVTYPE=drm_minor\n");
        child_add_device_node(c, d, 226, 128 + (unsigned) index, render_path, 0666);
        uevent_emit(&c->kobject, "add", NULL);
}

static int console_show(_unused_ void *object, GString *out) {
        g_string_append_printf(out, "%d\n", !in_use.console_unbound);
        return 0;
}

/* store_bind() succeeds whatever comes of it. */
static int console_store(_unused_ void *object, const char *data, size_t n, _unused_ off_t offset) {
        unsigned long value;

        if (text_number(data, n, &value) >= 0)
                in_use.console_unbound = value == 0;
        return 0;
}

/* fbcon: "(M) frame buffer device" is there while any frame buffer is. */
static void vtconsole_update(void) {
        static const Attribute bind = { "bind", 0644, .show = console_show, .store = console_store };
        Node *class = node_add_path(node_root(), "class/vtconsole"), *con;
        bool wanted = false;

        for (unsigned i = 0; in_use.fb && i < in_use.fb->len; i++)
                wanted = wanted || in_use.fb->data[i];
        if (wanted == (node_find(class, "vtcon1") != NULL))
                return;
        if (!wanted) {
                node_remove_child(class, "vtcon1");
                node_remove_child(node_add_path(node_root(), "devices/virtual/vtconsole"), "vtcon1");
                return;
        }
        con = node_add_directory(node_add_path(node_root(), "devices/virtual/vtconsole"), "vtcon1");
        con->is_owner = true;
        (void) node_add_text(con, "name", "(M) frame buffer device\n");
        (void) node_add_attribute(con, &bind, NULL);
        in_use.console_unbound = false;
        (void) node_add_link(con, "subsystem", class);
        (void) node_add_link(class, "vtcon1", con);
}

static void fb_add(Device *d) {
        int index = index_take(indices(&in_use.fb));
        g_autofree char *name = g_strdup_printf("fb%d", index), *path = g_strdup_printf("/dev/%s", name);
        Child *c = add(d, glue(d, "graphics"), name, "graphics", NULL);

        child_add_device_node(c, d, 29, (unsigned) index, path, 0660);
        (void) node_add_text(c->kobject.node, "name", "%sdrmfb\n", d->driver->name);
        uevent_emit(&c->kobject, "add", NULL);
        vtconsole_update();
}

static void hwmon_add(Device *d) {
        int index = index_take(indices(&in_use.hwmon));
        g_autofree char *name = g_strdup_printf("hwmon%d", index);
        Child *c = add(d, glue(d, "hwmon"), name, "hwmon", NULL);

        hwmon_fill(d, c->kobject.node);
        uevent_emit(&c->kobject, "add", NULL);
}

static void i2c_add(Device *d) {
        int index = index_take(indices(&in_use.i2c));
        g_autofree char *name = g_strdup_printf("i2c-%d", index), *path = g_strdup_printf("/dev/%s", name);
        Child *adapter = add(d, d->kobject.node, name, "i2c", NULL), *c;

        (void) node_add_text(adapter->kobject.node, "name", "%s i2c bus 0\n", d->driver->name);
        uevent_emit(&adapter->kobject, "add", NULL);
        c = add(d, node_add_directory(adapter->kobject.node, "i2c-dev"), name, "i2c-dev", NULL);
        child_add_device_node(c, d, 89, (unsigned) index, path, 0600);
        uevent_emit(&c->kobject, "add", NULL);
}

static void sound_node_add(Device *d, Node *card, const char *name) {
        g_autofree char *path = g_strdup_printf("/dev/snd/%s", name);
        Child *c = add(d, card, name, "sound", NULL);

        child_add_device_node(c, d, 116, ++in_use.sound_minor, path, 0660);
        uevent_emit(&c->kobject, "add", NULL);
}

static void sound_add(Device *d) {
        int index = index_take(indices(&in_use.sound));
        g_autofree char *card = g_strdup_printf("card%d", index), *control = g_strdup_printf("controlC%d", index);
        g_autofree char *pcm = g_strdup_printf("pcmC%dD3p", index), *hwdep = g_strdup_printf("hwC%dD0", index);
        Child *c = add(d, glue(d, "sound"), card, "sound", NULL);

        (void) node_add_text(c->kobject.node, "id", "HDMI%d\n", index);
        (void) node_add_text(c->kobject.node, "number", "%d\n", index);
        uevent_emit(&c->kobject, "add", NULL);
        sound_node_add(d, c->kobject.node, pcm);
        sound_node_add(d, c->kobject.node, hwdep);
        sound_node_add(d, c->kobject.node, control);
}

static char *nvidia_directory(const Device *d) {
        return g_strdup_printf("/proc/driver/nvidia/gpus/%s", d->address);
}

/* /dev/nvidiaN has no class device: nvidia-modprobe makes the node, the number is in /proc/driver/nvidia. */
static void nvidia_add(Device *d) {
        int index = index_take(indices(&in_use.nvidia));
        g_autofree char *path = g_strdup_printf("/dev/nvidia%d", index), *directory = nvidia_directory(d);
        g_autofree char *information = g_build_filename(directory, "information", NULL);
        g_autofree char *text = g_strdup_printf("Model: \t\t Simulated\nDevice Minor: \t %d\n", index);
        Child *c = g_new(Child, 1);

        (void) g_mkdir_with_parents(directory, 0755);
        (void) g_file_set_contents(information, text, -1, NULL);

        *c = (Child) {
                .kobject = { .subsystem = "nvidia" },
                .device_node = device_node_add(path, 0666, d, d->driver->module),
        };
        g_ptr_array_add(d->children, c);
}

static void kfd_add(void) {
        if (in_use.kfd_users++ > 0)
                return;
        in_use.kfd = child_add(NULL, node_add_path(node_root(), "devices/virtual/kfd"), "kfd", "kfd", NULL);
        child_add_device_node(in_use.kfd, NULL, 510, 0, "/dev/kfd", 0666);
        in_use.kfd->device_node->module = module_find("amdgpu");
        uevent_emit(&in_use.kfd->kobject, "add", NULL);
}

static void kfd_remove(void) {
        if (--in_use.kfd_users > 0)
                return;
        child_remove(in_use.kfd);
        in_use.kfd = NULL;
}

int children_probe(Device *d) {
        unsigned features = d->driver->features;
        const Module *nvidia_drm = module_find("nvidia_drm");

        if (features & FEATURE_NVIDIA) {
                nvidia_add(d);
                if (!nvidia_drm || !nvidia_drm->loaded)
                        features &= ~(FEATURE_DRM | FEATURE_FB);
        }
        if (features & FEATURE_DRM)
                drm_add(d);
        if (features & FEATURE_FB)
                fb_add(d);
        if (features & FEATURE_HWMON)
                hwmon_add(d);
        if (features & FEATURE_I2C)
                i2c_add(d);
        if (features & FEATURE_KFD)
                kfd_add();
        if (features & FEATURE_SOUND)
                sound_add(d);
        return 0;
}

/* nvidia_drm comes and goes on top of nvidia. */
void children_add_drm(Device *d) {
        if (d->driver->features & FEATURE_DRM)
                drm_add(d);
}

static void release_index(const Child *c) {
        const char *subsystem = c->kobject.subsystem;

        if (streq(subsystem, "nvidia"))
                return; /* its name is the device node's, see child_forget() */
        if (streq(subsystem, "drm") && index_of(c, "card") >= 0)
                index_release(in_use.drm, index_of(c, "card"));
        else if (streq(subsystem, "hwmon"))
                index_release(in_use.hwmon, index_of(c, "hwmon"));
        else if (streq(subsystem, "i2c"))
                index_release(in_use.i2c, index_of(c, "i2c-"));
        else if (streq(subsystem, "graphics"))
                index_release(in_use.fb, index_of(c, "fb"));
        else if (streq(subsystem, "sound") && index_of(c, "card") >= 0)
                index_release(in_use.sound, index_of(c, "card"));
}

static void child_forget(const Device *d, Child *c) {
        g_autofree char *directory = nvidia_directory(d), *information = g_build_filename(directory, "information", NULL);
        guint64 index;

        if (c->kobject.node) {
                release_index(c);
                child_remove(c);
                return;
        }
        if (g_ascii_string_to_unsigned(c->device_node->path + STRLEN("/dev/nvidia"), 10, 0, 1000, &index, NULL))
                index_release(in_use.nvidia, (int) index);
        (void) unlink(information);
        (void) rmdir(directory);
        device_node_unlink(c->device_node);
        c->device_node = NULL;
}

void children_remove_drm(Device *d) {
        for (unsigned i = d->children->len; i > 0; i--) {
                Child *c = g_ptr_array_index(d->children, i - 1);

                if (!streq(c->kobject.subsystem, "drm"))
                        continue;
                child_forget(d, c);
                g_ptr_array_remove_index(d->children, i - 1);
        }
        node_remove_child(d->kobject.node, "drm");
}

void children_remove(Device *d) {
        static const char *const directories[] = { "drm", "graphics", "hwmon", "sound", "net", "usb1" };
        unsigned features = d->driver->features;

        /* nv_pci_remove_helper(): with a non-zero usage count it polls for ever, and to close the file later does not
         * help: only a release by the test does. */
        if ((features & FEATURE_NVIDIA) && device_held(d)) {
                kernel_log(NULL, 3, "NVRM: Attempting to remove device %s with non-zero usage count!", d->address);
                fault_hang(d->address, "unbind");
        }

        for (unsigned i = d->children->len; i > 0; i--)
                child_forget(d, g_ptr_array_index(d->children, i - 1));
        (void) g_ptr_array_set_size(d->children, 0);
        for (size_t i = 0; i < ELEMENTSOF(directories); i++)
                node_remove_child(d->kobject.node, directories[i]);
        if (features & FEATURE_KFD)
                kfd_remove();
        if (features & FEATURE_FB)
                vtconsole_update();
        machine_changed();

        /* snd_card_free() sleeps until every file of the card is closed; the nodes are gone by then. */
        while ((features & FEATURE_SOUND) && device_held(d))
                machine_wait();
        device_forget_nodes(d);
}
