/* SPDX-License-Identifier: GPL-2.0-or-later */

/* node-watch: inotify on the VFIO directories. It owns up to three watches and never opens what it watches. The
 * kernel makes both directories when the first node in them appears and removes them with the last one
 * (drivers/base/devtmpfs.c create_path(), delete_path()), so each is watched for from its parent. */

#include "node-watch.h"

#include <limits.h>
#include <sys/inotify.h>

#define DIRECTORY_EVENTS \
        (IN_OPEN | IN_CLOSE | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define GONE_EVENTS (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)

struct NodeWatch {
        sd_event *event;
        char *dev_dir, *vfio_dir, *cdev_dir;
        node_watch_handler_t handler;
        void *userdata;
        sd_event_source *dev;  /* only while there is no vfio_dir */
        sd_event_source *vfio; /* vfio_dir: the group nodes */
        sd_event_source *cdev; /* cdev_dir: the nodes of the devices */
};

NodeWatch *node_watch_free(NodeWatch *w) {
        if (!w)
                return NULL;
        (void) sd_event_source_disable_unref(w->dev);
        (void) sd_event_source_disable_unref(w->vfio);
        (void) sd_event_source_disable_unref(w->cdev);
        (void) sd_event_unref(w->event);
        free(w->dev_dir);
        free(w->vfio_dir);
        free(w->cdev_dir);
        free(w);
        return NULL;
}

static int on_dev_event(sd_event_source *source, const struct inotify_event *event, void *userdata);
static int on_vfio_event(sd_event_source *source, const struct inotify_event *event, void *userdata);
static int on_cdev_event(sd_event_source *source, const struct inotify_event *event, void *userdata);

static int add_watch(NodeWatch *w, sd_event_source **source, const char *path, uint32_t mask,
                     sd_event_inotify_handler_t handler) {
        int r;

        if (*source)
                return 0;
        r = sd_event_add_inotify(w->event, source, path, mask, handler, w);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(*source, path);
        return 0;
}

/* Watches whatever is there. A directory is tried again after its parent is watched: it may have come in between. */
static int watch_what_exists(NodeWatch *w) {
        int r;

        r = add_watch(w, &w->vfio, w->vfio_dir, DIRECTORY_EVENTS, on_vfio_event);
        if (r == -ENOENT) {
                r = add_watch(w, &w->dev, w->dev_dir, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR, on_dev_event);
                if (r < 0)
                        return r;
                r = add_watch(w, &w->vfio, w->vfio_dir, DIRECTORY_EVENTS, on_vfio_event);
        }
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        w->dev = sd_event_source_disable_unref(w->dev);

        r = add_watch(w, &w->cdev, w->cdev_dir, DIRECTORY_EVENTS, on_cdev_event);
        return r == -ENOENT ? 0 : r;
}

/* Something was opened before its directory was watched, or events were lost: "look at everything". */
static void look_again(NodeWatch *w) {
        /* What cannot be watched now (-ENOSPC: user's limit of watches) is tried again with the next event. */
        (void) watch_what_exists(w);
        w->handler(NULL, w->userdata);
}

static int on_dev_event(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        NodeWatch *w = ASSERT_PTR(userdata);

        /* dev_dir itself is as permanent as the daemon, so only its child matters. */
        if ((event->mask & IN_Q_OVERFLOW) || (event->len > 0 && streq(event->name, "vfio")))
                look_again(w);
        return 0;
}

static int on_vfio_event(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        NodeWatch *w = ASSERT_PTR(userdata);

        if (event->mask & GONE_EVENTS) {
                w->vfio = sd_event_source_disable_unref(w->vfio);
                w->cdev = sd_event_source_disable_unref(w->cdev);
                look_again(w);
        } else if (event->mask & IN_Q_OVERFLOW)
                look_again(w);
        else if (event->len == 0)
                return 0; /* the directory itself was opened, to list it */
        else if (event->mask & IN_ISDIR) {
                if ((event->mask & (IN_CREATE | IN_MOVED_TO)) && streq(event->name, "devices"))
                        look_again(w);
        } else if (event->mask & (IN_OPEN | IN_CLOSE))
                w->handler(event->name, w->userdata);
        return 0;
}

static int on_cdev_event(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        NodeWatch *w = ASSERT_PTR(userdata);
        char name[STRLEN("devices/") + NAME_MAX + 1];

        if (event->mask & GONE_EVENTS) {
                w->cdev = sd_event_source_disable_unref(w->cdev);
                look_again(w);
        } else if (event->mask & IN_Q_OVERFLOW)
                look_again(w);
        else if (event->len > 0 && !(event->mask & IN_ISDIR) && (event->mask & (IN_OPEN | IN_CLOSE))) {
                (void) snprintf(name, sizeof(name), "devices/%s", event->name);
                w->handler(name, w->userdata);
        }
        return 0;
}

int node_watch_new(sd_event *event, const char *dev_dir, node_watch_handler_t handler, void *userdata,
                   NodeWatch **ret) {
        _cleanup_(node_watch_freep) NodeWatch *w = NULL;
        int r;

        w = calloc(1, sizeof(NodeWatch));
        if (!w)
                return -ENOMEM;
        w->event = sd_event_ref(event);
        w->handler = handler;
        w->userdata = userdata;
        w->dev_dir = strdup(dev_dir);
        if (!w->dev_dir)
                return -ENOMEM;
        if (asprintf(&w->vfio_dir, "%s/vfio", dev_dir) < 0) {
                w->vfio_dir = NULL;
                return -ENOMEM;
        }
        if (asprintf(&w->cdev_dir, "%s/devices", w->vfio_dir) < 0) {
                w->cdev_dir = NULL;
                return -ENOMEM;
        }

        r = watch_what_exists(w);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}
