/* SPDX-License-Identifier: GPL-2.0-or-later */

/* sound: a sound server keeps controlC* of every card open for as long as its user is logged in, and an unbind of
 * snd_hda_intel waits for it without end (sound/core/init.c snd_card_free()). It lets go when udev tells it that the
 * card has gone, which a synthetic uevent does. It could open it again as long as an ACL lets it, so the ACLs go
 * first. */

#include "worker/sound.h"

#include <sys/xattr.h>

#include "util/fs.h"
#include "worker/pci.h"
#include "worker/uevent.h"

#define ACL_XATTR "system.posix_acl_access"
#define ACL_SIZE_MAX 2048U
#define SND_DIR "/dev/snd/"

/* The attribute's form (include/uapi/linux/posix_acl_xattr.h): 4 bytes of version, then entries of 8 bytes, which begin
 * with a 16-bit tag; little-endian. */
#define ACL_HEADER_SIZE 4
#define ACL_ENTRY_SIZE 8

static bool is_base_entry(const uint8_t *entry) {
        unsigned tag = entry[0] | (unsigned) entry[1] << 8;

        return tag == 0x01 || tag == 0x04 || tag == 0x20; /* the owner, the owning group, others */
}

/* Sets the entries of the mode bits alone. To remove the attribute instead would leave the mask as what the owning
 * group may do. */
static int drop_acl(const char *proc_path, const uint8_t *acl, size_t size) {
        uint8_t base[ACL_HEADER_SIZE + 3 * ACL_ENTRY_SIZE];
        size_t n = ACL_HEADER_SIZE;

        memcpy(base, acl, ACL_HEADER_SIZE);
        for (size_t i = ACL_HEADER_SIZE; i + ACL_ENTRY_SIZE <= size; i += ACL_ENTRY_SIZE)
                if (is_base_entry(acl + i) && n + ACL_ENTRY_SIZE <= sizeof(base)) {
                        memcpy(base + n, acl + i, ACL_ENTRY_SIZE);
                        n += ACL_ENTRY_SIZE;
                }
        return RET_NERRNO(setxattr(proc_path, ACL_XATTR, base, n, XATTR_REPLACE));
}

static void answer_acl(Work *w, const char *path, const uint8_t *acl, size_t size) {
        char hex[2 * ACL_SIZE_MAX + 1];

        for (size_t i = 0; i < size; i++)
                (void) snprintf(hex + 2 * i, 3, "%02x", acl[i]);
        words_write(w->answer, "saved", path, "acl", hex, NULL);
}

static int take_acl(Work *w, const char *name) {
        char path[STRLEN(SND_DIR) + 65], proc_path[32];
        _cleanup_close_ int fd = -EBADF;
        uint8_t acl[ACL_SIZE_MAX];
        ssize_t k;
        int r;

        (void) snprintf(path, sizeof(path), SND_DIR "%.64s", name);
        fd = open_node(path, proc_path);
        if (fd == -ENOENT)
                return 0;
        if (fd < 0)
                return work_fail(w, fd, "opening %s", path);
        k = getxattr(proc_path, ACL_XATTR, acl, sizeof(acl));
        if (k < 0 && (errno == ENODATA || errno == EOPNOTSUPP))
                return 0;
        if (k < ACL_HEADER_SIZE)
                return work_fail(w, k < 0 ? -errno : -EBADMSG, "reading the ACL of %s", path);
        r = drop_acl(proc_path, acl, (size_t) k);
        if (r < 0)
                return work_fail(w, r, "dropping the ACL of %s", path);
        answer_acl(w, path, acl, (size_t) k);
        return 0;
}

static bool is_sound_node(const char *name) {
        static const char *const prefixes[] = { "controlC", "pcmC", "hwC", "midiC", "comprC" };

        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++)
                if (startswith(name, prefixes[i]))
                        return name_valid(name);
        return false;
}

static int open_card(Work *w, int *ret) {
        return uevent_open_child(w, "sound", w->arguments[0], "sound card", ret);
}

static int send_uevent(Work *w, int card_fd, const char *path, const char *action) {
        return uevent_send(w, card_fd, path, action, w->arguments[0]);
}

int verb_ask_sound(Work *w) {
        _cleanup_closedir_ DIR *dir = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = open_card(w, &fd);
        if (r < 0)
                return r;
        dir = open_directory_at(fd, ".");
        if (!dir)
                return work_fail(w, -errno, "listing the nodes of %s", w->arguments[0]);
        for (struct dirent *e; (e = readdir(dir));) {
                if (!is_sound_node(e->d_name))
                        continue;
                r = take_acl(w, e->d_name);
                if (r < 0)
                        return r;
        }
        return send_uevent(w, fd, "uevent", "remove");
}

static int parse_acl(const char *hex, uint8_t *ret, size_t *ret_size) {
        size_t n = strlen(hex);

        if (n % 2 != 0 || n / 2 > ACL_SIZE_MAX || n / 2 < ACL_HEADER_SIZE)
                return -EINVAL;
        for (size_t i = 0; i < n / 2; i++) {
                char byte[3] = { hex[2 * i], hex[2 * i + 1] };
                uint64_t v;

                if (parse_hex_u64(byte, 0xff, &v) < 0)
                        return -EINVAL;
                ret[i] = (uint8_t) v;
        }
        *ret_size = n / 2;
        return 0;
}

/* A node that has gone, or come again as a new one, has had its ACL from udev. */
static int put_acl(Work *w, const char *path, const char *hex) {
        const char *name = startswith(path, SND_DIR);
        _cleanup_close_ int fd = -EBADF;
        uint8_t acl[ACL_SIZE_MAX];
        char proc_path[32];
        size_t size;

        if (!name || !is_sound_node(name))
                return work_fail(w, -EINVAL, "'%s' is not the node of a sound card", path);
        if (parse_acl(hex, acl, &size) < 0)
                return work_fail(w, -EINVAL, "what was saved for %s is not an ACL", path);
        fd = open_node(path, proc_path);
        if (fd == -ENOENT)
                return 0;
        if (fd < 0)
                return work_fail(w, fd, "opening %s", path);
        if (setxattr(proc_path, ACL_XATTR, acl, size, 0) < 0)
                return work_fail(w, -errno, "restoring the ACL of %s", path);
        return 0;
}

/* The ACLs come first: udev corrects them while it handles `add`, should the seat have changed hands since. What makes
 * the servers look at the card again is a `change` of it, which udev's rules send when its control node is added
 * (78-sound-card.rules). */
int verb_return_sound(Work *w) {
        char path[STRLEN("controlC/uevent") + 16];
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = open_card(w, &fd);
        for (size_t i = 1; i + 1 < w->n && r >= 0; i += 2)
                r = put_acl(w, w->arguments[i], w->arguments[i + 1]);
        if (r >= 0)
                r = send_uevent(w, fd, "uevent", "add");
        if (r < 0)
                return r;
        (void) snprintf(path, sizeof(path), "controlC%.8s/uevent", w->arguments[0] + STRLEN("card"));
        if (faccessat(fd, path, F_OK, 0) < 0)
                return 0; /* a card without a control device */
        return send_uevent(w, fd, path, "add");
}
