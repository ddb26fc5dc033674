/* SPDX-License-Identifier: GPL-2.0-or-later */

/* access: one ACL entry for one user on the VFIO nodes of a function. Nodes are reached by an fd that is no symbolic
 * link, and never opened: an open of a group makes that of a virtual machine fail (drivers/vfio/group.c
 * vfio_group_fops_open()). */

#include "worker/access.h"

#include <acl/libacl.h>
#include <sys/acl.h>

#include "util/fs.h"
#include "worker/pci.h"

static void acl_freep(acl_t *acl) {
        if (*acl)
                (void) acl_free(*acl);
}

/* The entry of that user; 1, or 0 if there is none. *ret_named counts the entries that need a mask. */
static int find_user(acl_t acl, uid_t uid, acl_entry_t *ret, unsigned *ret_named) {
        acl_entry_t entry;
        unsigned named = 0;
        int found = 0;

        for (int k = acl_get_entry(acl, ACL_FIRST_ENTRY, &entry); k != 0;
             k = acl_get_entry(acl, ACL_NEXT_ENTRY, &entry)) {
                acl_tag_t tag;

                if (k < 0 || acl_get_tag_type(entry, &tag) < 0)
                        return -errno;
                if (tag == ACL_USER || tag == ACL_GROUP)
                        named++;
                if (tag == ACL_USER) {
                        uid_t *qualifier = acl_get_qualifier(entry);

                        if (!qualifier)
                                return -errno;
                        if (*qualifier == uid) {
                                *ret = entry;
                                found = 1;
                        }
                        (void) acl_free(qualifier);
                }
        }
        *ret_named = named;
        return found;
}

static int delete_mask(acl_t acl) {
        acl_entry_t entry;

        for (int k = acl_get_entry(acl, ACL_FIRST_ENTRY, &entry); k == 1;
             k = acl_get_entry(acl, ACL_NEXT_ENTRY, &entry)) {
                acl_tag_t tag;

                if (acl_get_tag_type(entry, &tag) < 0)
                        return -errno;
                if (tag == ACL_MASK)
                        return RET_NERRNO(acl_delete_entry(acl, entry));
        }
        return 0;
}

static int grant_user(const char *path, uid_t uid) {
        _cleanup_(acl_freep) acl_t acl = NULL;
        acl_permset_t permissions;
        acl_entry_t entry;
        unsigned named;
        int r;

        acl = acl_get_file(path, ACL_TYPE_ACCESS);
        if (!acl)
                return -errno;
        r = find_user(acl, uid, &entry, &named);
        if (r < 0)
                return r;
        if (r == 0 && (acl_create_entry(&acl, &entry) < 0 || acl_set_tag_type(entry, ACL_USER) < 0 ||
                       acl_set_qualifier(entry, &uid) < 0))
                return -errno;
        if (acl_get_permset(entry, &permissions) < 0 || acl_clear_perms(permissions) < 0 ||
            acl_add_perm(permissions, ACL_READ | ACL_WRITE) < 0 || acl_calc_mask(&acl) < 0 ||
            acl_set_file(path, ACL_TYPE_ACCESS, acl) < 0)
                return -errno;
        return 0;
}

static int revoke_user(const char *path, uid_t uid) {
        _cleanup_(acl_freep) acl_t acl = NULL;
        acl_entry_t entry;
        unsigned named;
        int r;

        acl = acl_get_file(path, ACL_TYPE_ACCESS);
        if (!acl)
                return errno == EOPNOTSUPP ? 0 : -errno;
        r = find_user(acl, uid, &entry, &named);
        if (r <= 0)
                return r;
        if (acl_delete_entry(acl, entry) < 0)
                return -errno;
        /* The last one takes the mask with it, so that the node is as it was before. */
        r = named > 1 ? RET_NERRNO(acl_calc_mask(&acl)) : delete_mask(acl);
        if (r < 0)
                return r;
        return RET_NERRNO(acl_set_file(path, ACL_TYPE_ACCESS, acl));
}

/* 1 if the node was there, 0 if it is not. */
static int change_node(Work *w, const char *directory, const char *name, uid_t uid,
                       int (*change)(const char *, uid_t)) {
        char path[128], proc_path[32];
        _cleanup_close_ int fd = -EBADF;
        int r;

        (void) snprintf(path, sizeof(path), "%s/%.64s", directory, name);
        fd = open_node(path, proc_path);
        if (fd == -ENOENT)
                return 0;
        if (fd < 0)
                return work_fail(w, fd, "opening %s", path);
        r = change(proc_path, uid);
        return r < 0 ? work_fail(w, r, "changing the ACL of %s for user %u", path, uid) : 1;
}

/* Returns the number of nodes. */
static int change_nodes(Work *w, const PciDevice *d, uid_t uid, int (*change)(const char *, uid_t)) {
        _cleanup_closedir_ DIR *dir = NULL;
        _cleanup_free_ char *group = NULL;
        int n = 0, r;

        if (readlink_base_at(d->fd, "iommu_group", &group) >= 0) {
                n = change_node(w, "/dev/vfio", group, uid, change);
                if (n < 0)
                        return n;
        }
        dir = open_directory_at(d->fd, "vfio-dev");
        for (struct dirent *e; dir && (e = readdir(dir));) {
                if (!numbered_name_valid(e->d_name, "vfio"))
                        continue;
                r = change_node(w, "/dev/vfio/devices", e->d_name, uid, change);
                if (r < 0)
                        return r;
                n += r;
        }
        return n;
}

static int open_for(Work *w, PciDevice *ret, uid_t *ret_uid) {
        uint64_t uid;

        if (parse_u64(w->arguments[0], UINT32_MAX - 1, &uid) < 0)
                return work_fail(w, -EINVAL, "'%s' is not a user id", w->arguments[0]);
        *ret_uid = (uid_t) uid;
        return pci_device_open(w, w->target, ret);
}

int verb_access(Work *w) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        _cleanup_free_ char *driver = NULL;
        uid_t uid;
        int r;

        r = open_for(w, &d, &uid);
        if (r >= 0)
                r = pci_device_driver(w, &d, &driver);
        if (r < 0)
                return r;
        if (!driver_is_vfio(driver))
                return work_fail(w, -ESTALE, "%s is bound to %s, not to a VFIO driver", d.address,
                                 driver ?: "no driver");
        r = change_nodes(w, &d, uid, grant_user);
        if (r < 0)
                return r;
        return r > 0 ? 0 : work_fail(w, -ENOENT, "%s has no node under /dev/vfio", d.address);
}

int verb_revoke(Work *w) {
        _cleanup_(pci_device_done) PciDevice d = PCI_DEVICE_INIT;
        uid_t uid;
        int r;

        r = open_for(w, &d, &uid);
        if (r >= 0)
                r = change_nodes(w, &d, uid, revoke_user);
        return MIN(r, 0);
}
