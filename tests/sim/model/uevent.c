/* SPDX-License-Identifier: GPL-2.0-or-later */

/* uevent: what the kernel and udev say about a device that comes, goes, is bound or changes. Two messages each: one to
 * the kernel, which rebroadcasts it as its own within this network namespace (uevent_net_rcv() in lib/kobject_uevent.c),
 * for whoever listens as udevd does; one to the group of udev's clients in libudev's format (libsystemd's
 * device-monitor.c), as udevd would send it. The socket lives as long as the process. */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "model/model.h"
#include "util/cleanup.h"

#define UDEV_GROUP 2U
#define UDEV_MAGIC 0xfeedcafeU

typedef struct UdevHeader {
        char prefix[8];
        uint32_t magic; /* network order, as are the hashes */
        uint32_t header_size;
        uint32_t properties_offset;
        uint32_t properties_length;
        uint32_t subsystem_hash;
        uint32_t devtype_hash;
        uint32_t tag_bloom_high, tag_bloom_low;
} UdevHeader;

static int socket_fd = -EBADF;
static uint64_t sequence_number;

int uevent_init(void) {
        struct sockaddr_nl address = { .nl_family = AF_NETLINK };

        socket_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
        if (socket_fd < 0)
                return -errno;
        return RET_NERRNO(bind(socket_fd, (struct sockaddr *) &address, sizeof(address)));
}

/* MurmurHash2 with seed 0, which libudev's clients let the kernel filter subsystems by. */
static uint32_t hash(const char *text) {
        const uint32_t m = 0x5bd1e995;
        size_t n = strlen(text);
        uint32_t h = (uint32_t) n, k;

        for (; n >= 4; text += 4, n -= 4) {
                memcpy(&k, text, 4);
                k *= m;
                k ^= k >> 24;
                k *= m;
                h = h * m ^ k;
        }
        if (n > 0) {
                for (size_t i = n; i-- > 0;)
                        h ^= (uint32_t) (uint8_t) text[i] << (8 * i);
                h *= m;
        }
        h ^= h >> 13;
        h *= m;
        return h ^ h >> 15;
}

static void append_property(GString *message, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void append_property(GString *message, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_string_append_vprintf(message, format, ap);
        va_end(ap);
        (void) g_string_append_c(message, 0);
}

static void append_lines(GString *message, const char *lines) {
        g_auto(GStrv) words = g_strsplit(strempty(lines), "\n", -1);

        for (char **w = words; *w; w++)
                if (**w)
                        append_property(message, "%s", *w);
}

static void send_message(const struct iovec *iov, size_t n, uint32_t groups) {
        struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_groups = groups };
        struct msghdr message = {
                .msg_name = &to,
                .msg_namelen = sizeof(to),
                .msg_iov = (struct iovec *) iov,
                .msg_iovlen = n,
        };

        /* Nobody listens: ECONNREFUSED. A listener that does not read loses messages: that is its ENOBUFS to handle. */
        (void) sendmsg(socket_fd, &message, MSG_NOSIGNAL);
}

static char *devtype_of(const char *properties) {
        const char *at = strstr(strempty(properties), "DEVTYPE=");

        return at ? g_strndup(at + 8, strcspn(at + 8, "\n")) : NULL;
}

static void send_to_kernel(const char *action, const char *path, const GString *properties) {
        g_autoptr(GString) body = g_string_new(NULL);
        struct nlmsghdr header = { .nlmsg_type = NLMSG_MIN_TYPE, .nlmsg_flags = NLM_F_REQUEST };
        struct iovec iov[2] = { { &header, sizeof(header) } };

        append_property(body, "%s@/%s", action, path);
        (void) g_string_append_len(body, properties->str, (gssize) properties->len);
        header.nlmsg_len = (uint32_t) (sizeof(header) + body->len);
        iov[1] = (struct iovec) { body->str, body->len };
        send_message(iov, 2, 0);
}

static void send_to_clients(const KObject *k, const GString *properties) {
        g_autofree char *devtype = devtype_of(k->properties);
        g_autoptr(GString) body = g_string_new_len(properties->str, (gssize) properties->len);
        UdevHeader header = {
                .prefix = "libudev",
                .magic = htonl(UDEV_MAGIC),
                .header_size = sizeof(header),
                .properties_offset = sizeof(header),
                .subsystem_hash = htonl(hash(k->subsystem)),
                .devtype_hash = devtype ? htonl(hash(devtype)) : 0,
        };
        struct iovec iov[2] = { { &header, sizeof(header) } };
        struct timespec now;

        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        append_property(body, "SEQNUM=%" G_GUINT64_FORMAT, ++sequence_number);
        append_property(body, "USEC_INITIALIZED=%" G_GINT64_FORMAT, (gint64) now.tv_sec * 1000000 + now.tv_nsec / 1000);
        header.properties_length = (uint32_t) body->len;
        iov[1] = (struct iovec) { body->str, body->len };
        send_message(iov, 2, UDEV_GROUP);
}

static GString *event_properties(const KObject *k, const char *action, const char *more) {
        g_autofree char *path = node_path(k->node);
        GString *properties = g_string_new(NULL);

        append_property(properties, "ACTION=%s", action);
        append_property(properties, "DEVPATH=/%s", path);
        append_property(properties, "SUBSYSTEM=%s", k->subsystem);
        append_lines(properties, more);
        if (k->device && k->device->driver && !streq(action, "unbind"))
                append_property(properties, "DRIVER=%s", k->device->driver->name);
        append_lines(properties, k->properties);
        return properties;
}

static void announce(const KObject *k, GString *properties) {
        if (k->device)
                append_property(properties, "ID_PATH=pci-%s", k->device->address);
        send_to_clients(k, properties);
}

void uevent_kernel(const KObject *k, const char *action) {
        g_autoptr(GString) properties = event_properties(k, action, NULL);
        g_autofree char *path = node_path(k->node);

        send_to_kernel(action, path, properties);
}

void uevent_announce(const KObject *k, const char *action) {
        g_autoptr(GString) properties = event_properties(k, action, NULL);

        announce(k, properties);
}

void uevent_emit(const KObject *k, const char *action, const char *more) {
        g_autoptr(GString) properties = event_properties(k, action, more);
        g_autofree char *path = node_path(k->node);

        send_to_kernel(action, path, properties);
        announce(k, properties);
}

/* uevent_show() takes the device's lock up to 6.1, "Synchronize with really_probe()". */
static bool uevent_waits(const void *object) {
        const KObject *k = object;

        return k->device && machine.kernel < KERNEL_NO_OVERRIDE_LOCK && k->device->lock;
}

int uevent_show(void *object, GString *out) {
        KObject *k = object;

        while (uevent_waits(k))
                machine_wait();
        if (k->device && k->device->driver)
                g_string_append_printf(out, "DRIVER=%s\n", k->device->driver->name);
        (void) g_string_append(out, strempty(k->properties));
        return 0;
}

/* kobject_synth_uevent(): "ACTION [UUID [KEY=VALUE …]]". */
int uevent_store(void *object, const char *data, size_t n, _unused_ off_t offset) {
        static const char *const actions[] = {
                "add", "remove", "change", "move", "online", "offline", "bind", "unbind",
        };
        const KObject *k = object;
        g_autofree char *text = text_dup(data, n);
        g_auto(GStrv) words = g_strsplit(text, " ", -1);
        g_autoptr(GString) more = g_string_new(NULL);

        g_string_append_printf(more, "SYNTH_UUID=%s\n", words[0] && words[1] ? words[1] : "0");
        for (char **w = words; w[0] && w[1] && w[2]; w++)
                g_string_append_printf(more, "SYNTH_ARG_%s\n", w[2]);
        for (size_t i = 0; i < ELEMENTSOF(actions); i++)
                if (streq_ptr(words[0], actions[i])) {
                        uevent_emit(k, actions[i], more->str);
                        return 0;
                }
        return -EINVAL;
}

const Attribute uevent_attribute = { "uevent", 0644, .show = uevent_show, .store = uevent_store, .waits = uevent_waits };
