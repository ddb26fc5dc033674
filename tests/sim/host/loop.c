/* SPDX-License-Identifier: GPL-2.0-or-later */

/* loop: see loop.h. */

#include <errno.h>
#include <glib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/loop.h"
#include "model/model.h"
#include "util/cleanup.h"

typedef struct Post {
        void (*f)(void *data);
        void *data;
} Post;

static int wake_fd = -EBADF;
static GQueue posts = G_QUEUE_INIT;

static int on_wake(_unused_ sd_event_source *source, int fd, _unused_ uint32_t revents, _unused_ void *userdata) {
        eventfd_t count;
        Post *p;

        (void) eventfd_read(fd, &count);
        while ((p = g_queue_pop_head(&posts))) {
                p->f(p->data);
                g_free(p);
        }
        return 0;
}

void loop_post(void (*f)(void *data), void *data) {
        Post *p = g_new(Post, 1);

        *p = (Post) { f, data };
        g_queue_push_tail(&posts, p);
        (void) eventfd_write(wake_fd, 1);
}

int loop_new(sd_event **ret) {
        int r;

        r = sd_event_new(ret);
        if (r < 0)
                return r;
        wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (wake_fd < 0)
                return -errno;
        return sd_event_add_io(*ret, NULL, wake_fd, EPOLLIN, on_wake, NULL);
}

int loop_run(sd_event *event) {
        int r;

        while (sd_event_get_state(event) != SD_EVENT_FINISHED) {
                r = sd_event_prepare(event);
                if (r == 0) {
                        (void) pthread_mutex_unlock(&machine.lock);
                        r = sd_event_wait(event, UINT64_MAX);
                        (void) pthread_mutex_lock(&machine.lock);
                }
                if (r > 0)
                        r = sd_event_dispatch(event);
                if (r < 0)
                        return r;
        }
        return 0;
}
