/* SPDX-License-Identifier: GPL-2.0-or-later */

/* guest-script: the scripts for a Windows guest, into a directory or to stdout. All of the files are there afterwards or
 * none is: a new directory is filled beside its place and moved there as a whole. With --force into one that is there, each
 * file is replaced as a whole. */

#include <sys/stat.h>

#include "client/gpu-choice.h"
#include "client/guest-script.h"
#include "client/pager.h"
#include "client/report.h"
#include "client/verbs.h"
#include "util/fs.h"

/* Windows' Notepad and cmd.exe want both characters. */
static char *with_crlf(const char *text) {
        char *copy, *t;

        copy = t = malloc(2 * strlen(text) + 1);
        if (!copy)
                return NULL;
        for (; *text; text++) {
                if (*text == '\n')
                        *t++ = '\r';
                *t++ = *text;
        }
        *t = '\0';
        return copy;
}

/* As any other program would have made it: it goes into a share or an image. */
static mode_t mode_of(mode_t mode) {
        mode_t mask = umask(0);

        (void) umask(mask);
        return mode & ~mask;
}

static int path_of(const char *directory, const char *name, char **ret) {
        if (asprintf(ret, "%s/%s", directory, name) >= 0)
                return 0;
        *ret = NULL;
        return -ENOMEM;
}

static int fill(const char *directory, const GuestScripts *s) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < GUEST_SCRIPTS; i++) {
                _cleanup_free_ char *text = with_crlf(s->files[i].text), *path = NULL;

                r = text ? path_of(directory, s->files[i].name, &path) : -ENOMEM;
                if (r >= 0)
                        r = write_file_atomic(path, text, strlen(text));
                if (r >= 0)
                        r = RET_NERRNO(chmod(path, mode_of(0666)));
        }
        return r;
}

static void discard(const char *directory, const GuestScripts *s) {
        for (size_t i = 0; i < GUEST_SCRIPTS; i++) {
                _cleanup_free_ char *path = NULL;

                if (path_of(directory, s->files[i].name, &path) >= 0)
                        (void) unlink(path);
        }
        (void) rmdir(directory);
}

/* -ENOTEMPTY or -EEXIST for a directory that has something in it, which stays as it is. */
static int write_new(const char *directory, const GuestScripts *s) {
        _cleanup_free_ char *temporary = NULL;
        int r;

        if (asprintf(&temporary, "%s.XXXXXX", directory) < 0) {
                temporary = NULL;
                return -ENOMEM;
        }
        if (!mkdtemp(temporary))
                return -errno;
        r = fill(temporary, s);
        if (r >= 0)
                r = RET_NERRNO(chmod(temporary, mode_of(0777)));
        if (r >= 0)
                r = RET_NERRNO(rename(temporary, directory));
        if (r < 0)
                discard(temporary, s);
        return r;
}

static int write_into(const char *directory, bool force, const GuestScripts *s) {
        struct stat st;

        if (force && stat(directory, &st) >= 0)
                return fill(directory, s);
        return write_new(directory, s);
}

/* Of a directory that has something in it, is a link, or cannot be replaced (the current one, a mount). */
static bool is_in_the_way(int r) {
        return r == -ENOTEMPTY || r == -EEXIST || r == -EBUSY || r == -ENOTDIR;
}

static int print_all(const Options *o, const GuestScripts *s) {
        pager_open(o);
        for (size_t i = 0; i < GUEST_SCRIPTS; i++)
                (void) printf("%s======== %s ========\n%s", i > 0 ? "\n" : "", s->files[i].name, s->files[i].text);
        return EXIT_DONE;
}

static int write_all(const Options *o, const GuestScripts *s) {
        _cleanup_free_ char *directory = strdup(o->output);
        int r;

        if (!directory)
                return -ENOMEM;
        /* Something is put behind it. */
        for (size_t n = strlen(directory); n > 1 && directory[n - 1] == '/'; n--)
                directory[n - 1] = '\0';

        r = write_into(directory, o->force, s);
        if (r < 0) {
                report_note("Cannot write the scripts to %s: %s%s", directory, strerror(-r),
                            is_in_the_way(r) ? ". With --force they are written into the directory that is there." : "");
                return EXIT_FAILED;
        }
        for (size_t i = 0; !o->quiet && i < GUEST_SCRIPTS; i++)
                (void) printf("%s/%s\n", directory, s->files[i].name);
        return EXIT_DONE;
}

int verb_guest_script(Client *c, char **args) {
        _cleanup_(gpu_choice_done) GpuChoice choice = {};
        _cleanup_(guest_scripts_done) GuestScripts scripts = {};
        _cleanup_(guest_gpu_done) GuestGpu g = {};
        const Options *o = c->options;
        int r;

        if (o->output && !*o->output)
                return report_usage("--output= takes the name of a directory, or -.");
        r = gpu_choose(c, args[0], /* operation= */ NULL, &choice);
        if (r == 0)
                r = guest_gpu_read(c, &choice, &g);
        if (r == 0)
                r = guest_scripts_make(&g, &scripts);
        if (r == -ENODATA) {
                report_note("The ids of %s are not known: it has not been on the bus since gpuptd was started.",
                            choice.address);
                return EXIT_FAILED;
        }
        if (r != 0)
                return r;
        return !o->output || streq(o->output, "-") ? print_all(o, &scripts) : write_all(o, &scripts);
}
