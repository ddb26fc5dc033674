/* SPDX-License-Identifier: GPL-2.0-or-later */

/* journal: intents on disk. Reading is strict, since a wrong line would be written into a card; writing is one atomic
 * replacement per change, in /run, where fsync costs next to nothing. */

#include "journal.h"

#include <dirent.h>
#include <limits.h>

#include "util/address.h"
#include "util/fs.h"
#include "util/log.h"

#define JOURNAL_FILE_MAX (256U * 1024U)
#define JOURNAL_STEPS_MAX 1024U

static const char *const phase_table[_PHASE_MAX] = {
        [PHASE_FORWARD] = "forward",
        [PHASE_UNDO] = "undo",
};

static DECLARE_STRING_TABLE(phase, IntentPhase);
static DEFINE_STRING_TABLE(phase, IntentPhase);

Intent *intent_new(unsigned id, Operation operation, const char *gpu, uint32_t uid) {
        _cleanup_(intent_freep) Intent *intent = calloc(1, sizeof(Intent));

        if (!intent)
                return NULL;
        *intent = (Intent) {
                .id = id,
                .operation = operation,
                .gpu = strdup(gpu),
                .uid = uid,
                .rung = _RUNG_INVALID,
                .plan = plan_new(operation),
        };
        if (!intent->gpu || !intent->plan)
                return NULL;
        return TAKE_PTR(intent);
}

Intent *intent_free(Intent *intent) {
        if (!intent)
                return NULL;
        free(intent->gpu);
        free(intent->error);
        free(intent->message);
        free(intent->vm);
        strv_free(intent->functions);
        for (size_t i = 0; i < intent->n_attempts; i++)
                free(intent->attempts[i].outcome);
        free(intent->attempts);
        plan_free(intent->plan);
        saved_done(&intent->saved);
        free(intent);
        return NULL;
}

int intent_undo_plan(const Intent *intent, Plan **ret) {
        _cleanup_(plan_freep) Plan *all = plan_new(intent->operation);
        int r;

        if (!all)
                return -ENOMEM;
        for (size_t i = intent->plan->n; i > 0; i--) {
                _cleanup_(plan_freep) Plan *undo = NULL;

                r = plan_undo(intent->plan, i - 1, &intent->saved, &undo);
                for (size_t k = 0; r >= 0 && k < undo->n; k++)
                        r = plan_add(all, undo->steps[k].verb, undo->steps[k].target, undo->steps[k].arguments);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(all);
        return 0;
}

int intent_turn_back(Intent *intent, const char *error, const char *message) {
        if (intent->phase == PHASE_UNDO)
                return 0;
        if (free_and_strdup(&intent->error, error) < 0 || free_and_strdup(&intent->message, message) < 0)
                return -ENOMEM;
        while (intent->plan->n > intent->begun)
                step_done(intent->plan->steps + --intent->plan->n);
        intent->phase = PHASE_UNDO;
        intent->begun = intent->done = 0;
        return 0;
}

/* ---- rungs ---- */

int intent_add_attempt(Intent *intent, Rung rung, const char *outcome) {
        Attempt *attempts = reallocarray(intent->attempts, intent->n_attempts + 1, sizeof(Attempt));
        char *copy;

        if (!attempts)
                return -ENOMEM;
        intent->attempts = attempts;
        copy = strdup(outcome);
        if (!copy)
                return -ENOMEM;
        attempts[intent->n_attempts++] = (Attempt) { rung, copy };
        return 0;
}

void intent_begin_rung(Intent *intent, Rung rung, Plan *plan) {
        plan_free(intent->plan);
        intent->plan = plan;
        intent->rung = rung;
        intent->phase = PHASE_FORWARD;
        intent->begun = intent->done = 0;
}

int intent_end_rung(Intent *intent, size_t n_undo, const char *outcome) {
        Rung rung = intent->rung;
        Plan *empty = plan_new(intent->operation);

        if (!empty)
                return -ENOMEM;
        intent->base += intent->plan->n + n_undo;
        intent_begin_rung(intent, _RUNG_INVALID, empty);
        return intent_add_attempt(intent, rung, outcome);
}

void intent_write(const Intent *intent, FILE *f) {
        fputs("gpuptd-job 1\n", f);
        fprintf(f, "job %u %s %s %u\n", intent->id, operation_to_string(intent->operation), intent->gpu, intent->uid);
        fprintf(f, "phase %s %zu %zu\n", phase_to_string(intent->phase), intent->begun, intent->done);
        if (intent->replaces > 0)
                fprintf(f, "replaces %u\n", intent->replaces);
        fprintf(f, "restarts %u\n", intent->restarts);
        if (intent->worker_pid > 0)
                fprintf(f, "worker %u %llu\n", intent->worker_pid, (unsigned long long) intent->worker_start);
        if (intent->error)
                words_write(f, "failure", intent->error, strempty(intent->message), NULL);
        if (intent->access)
                fprintf(f, "access %u\n", intent->access_uid);
        if (intent->vm)
                words_write(f, "vm", vm_phase_to_string(intent->vm_phase), intent->vm, NULL);
        for (char **a = intent->functions; a && *a; a++)
                words_write(f, "function", *a, NULL);
        for (size_t i = 0; i < intent->n_attempts; i++)
                words_write(f, "tried", rung_to_string(intent->attempts[i].rung), intent->attempts[i].outcome, NULL);
        if (intent->base > 0)
                fprintf(f, "base %zu\n", intent->base);
        if (intent->rung >= 0)
                fprintf(f, "rung %s\n", rung_to_string(intent->rung));
        plan_write(intent->plan, f);
        saved_write(&intent->saved, f);
        fputs("end\n", f);
}

static int read_job(Intent *intent, char *const *w) {
        uint64_t id, uid;

        if (strv_length(w) != 5 || parse_u64(w[1], UINT_MAX, &id) < 0 || id == 0 || parse_u64(w[4], UINT32_MAX, &uid) < 0 ||
            !pci_address_valid(w[3]) || intent->gpu)
                return -EBADMSG;
        intent->id = (unsigned) id;
        intent->uid = (uint32_t) uid;
        intent->operation = operation_from_string(w[2]);
        if (intent->operation < 0)
                return -EBADMSG;
        intent->plan->operation = intent->operation;
        return free_and_strdup(&intent->gpu, w[3]);
}

static int read_phase(Intent *intent, char *const *w) {
        uint64_t begun, done;

        /* One step at a time. */
        if (strv_length(w) != 4 || parse_u64(w[2], JOURNAL_STEPS_MAX * 3, &begun) < 0 ||
            parse_u64(w[3], JOURNAL_STEPS_MAX * 3, &done) < 0 || done > begun || begun - done > 1)
                return -EBADMSG;
        intent->phase = phase_from_string(w[1]);
        if (intent->phase < 0)
                return -EBADMSG;
        intent->begun = begun;
        intent->done = done;
        return 0;
}

static int read_line(char *const *w, void *userdata) {
        Intent *intent = ASSERT_PTR(userdata);
        size_t n = strv_length(w);
        uint64_t a, b;

        if (streq(w[0], "job"))
                return read_job(intent, w);
        if (streq(w[0], "phase"))
                return read_phase(intent, w);
        if (streq(w[0], "replaces") && n == 2 && parse_u64(w[1], UINT_MAX, &a) >= 0) {
                intent->replaces = (unsigned) a;
                return 0;
        }
        if (streq(w[0], "restarts") && n == 2 && parse_u64(w[1], 1000, &a) >= 0) {
                intent->restarts = (unsigned) a;
                return 0;
        }
        if (streq(w[0], "worker") && n == 3 && parse_u64(w[1], INT_MAX, &a) >= 0 && parse_u64(w[2], UINT64_MAX, &b) >= 0) {
                intent->worker_pid = (uint32_t) a;
                intent->worker_start = b;
                return 0;
        }
        if (streq(w[0], "failure") && n == 3) {
                int r = free_and_strdup(&intent->error, w[1]);

                return r < 0 ? r : free_and_strdup(&intent->message, w[2]);
        }
        if (streq(w[0], "access") && n == 2 && parse_u64(w[1], UINT32_MAX, &a) >= 0) {
                intent->access = true;
                intent->access_uid = (uint32_t) a;
                return 0;
        }
        if (streq(w[0], "vm") && n == 3 && vm_phase_from_string(w[1]) >= 0) {
                intent->vm_phase = vm_phase_from_string(w[1]);
                return free_and_strdup(&intent->vm, w[2]);
        }
        if (streq(w[0], "function") && n == 2 && pci_address_valid(w[1]))
                return strv_extend(&intent->functions, w[1]);
        if (streq(w[0], "tried") && n == 3 && rung_from_string(w[1]) >= 0 && intent->n_attempts < _RUNG_MAX)
                return intent_add_attempt(intent, rung_from_string(w[1]), w[2]);
        if (streq(w[0], "base") && n == 2 && parse_u64(w[1], JOURNAL_STEPS_MAX * 4 * _RUNG_MAX, &a) >= 0) {
                intent->base = (size_t) a;
                return 0;
        }
        if (streq(w[0], "rung") && n == 2) {
                intent->rung = rung_from_string(w[1]);
                return intent->rung < 0 ? -EBADMSG : 0;
        }
        if (streq(w[0], "step") && intent->plan->n < JOURNAL_STEPS_MAX)
                return plan_read_line(intent->plan, w);
        if (streq(w[0], "saved"))
                return saved_read_line(&intent->saved, w);
        return -EBADMSG;
}

/* Whether the lines, each of which was understood, fit together. */
static int check_intent(const Intent *intent) {
        _cleanup_(plan_freep) Plan *undo = NULL;
        int r;

        if (!intent->gpu || !intent->functions || intent->phase < 0 || (intent->operation == OPERATION_PHASE) != !!intent->vm)
                return -EBADMSG;
        r = intent_undo_plan(intent, &undo);
        if (r < 0)
                return r;
        return intent->begun <= (intent->phase == PHASE_UNDO ? undo->n : intent->plan->n) ? 0 : -EBADMSG;
}

int intent_read(const char *text, size_t size, Intent **ret) {
        _cleanup_(intent_freep) Intent *intent = calloc(1, sizeof(Intent));
        int r;

        if (!intent)
                return -ENOMEM;
        intent->phase = _PHASE_INVALID;
        intent->rung = _RUNG_INVALID;
        intent->plan = plan_new(OPERATION_DETACH);
        if (!intent->plan)
                return -ENOMEM;
        r = words_read_file(text, size, "gpuptd-job", read_line, intent);
        if (r >= 0 && intent->rung >= 0)
                intent->plan->operation = OPERATION_RESET;
        if (r >= 0)
                r = check_intent(intent);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(intent);
        return 0;
}

static int job_path(const char *run_dir, unsigned id, char ret[static PATH_MAX]) {
        return snprintf(ret, PATH_MAX, "%s/job-%u", run_dir, id) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int journal_write(const char *run_dir, const Intent *intent) {
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX];
        size_t size;
        FILE *f;
        int r;

        r = job_path(run_dir, intent->id, path);
        if (r < 0)
                return r;
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        intent_write(intent, f);
        if (fclose(f) != 0)
                return -ENOMEM;
        return write_file_atomic(path, text, size);
}

/* Calls handler for every name in the run directory that begins with the prefix and goes on with a number. */
static int for_each_numbered(const char *run_dir, const char *prefix, int (*handler)(const char *rest, int fd, void *userdata),
                             void *userdata) {
        _cleanup_closedir_ DIR *dir = opendir(run_dir);
        struct dirent *entry;
        int r;

        if (!dir)
                return errno == ENOENT ? 0 : -errno;
        while ((entry = readdir(dir))) {
                const char *rest = startswith(entry->d_name, prefix);

                if (!rest)
                        continue;
                r = handler(rest, dirfd(dir), userdata);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int remove_result(const char *rest, int fd, void *userdata) {
        const Intent *intent = userdata;
        char name[NAME_MAX + 1];
        size_t digits = strspn(rest, "0123456789");
        uint64_t id;
        char number[16] = {};

        if (digits == 0 || digits >= sizeof(number) || rest[digits] != '-')
                return 0;
        memcpy(number, rest, digits);
        if (parse_u64(number, UINT_MAX, &id) < 0 || id != intent->id)
                return 0;
        if (snprintf(name, sizeof(name), "result-%s", rest) < (int) sizeof(name))
                (void) unlinkat(fd, name, 0);
        return 0;
}

int journal_remove(const char *run_dir, const Intent *intent) {
        char path[PATH_MAX];
        int r;

        r = job_path(run_dir, intent->id, path);
        if (r < 0)
                return r;
        if (unlink(path) < 0 && errno != ENOENT)
                return -errno;
        return for_each_numbered(run_dir, "result-", remove_result, (void *) intent);
}

int journal_load(const char *run_dir, unsigned id, Intent **ret) {
        _cleanup_(intent_freep) Intent *intent = NULL;
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX];
        size_t size;
        int r;

        r = job_path(run_dir, id, path);
        if (r < 0)
                return r;
        r = read_file_at(AT_FDCWD, path, JOURNAL_FILE_MAX, &text, &size);
        if (r < 0)
                return r;
        r = intent_read(text, size, &intent);
        if (r < 0)
                return r;
        if (intent->id != id)
                return -EBADMSG;
        *ret = TAKE_PTR(intent);
        return 0;
}

int journal_load_gpu(const char *run_dir, unsigned id, char **ret) {
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX], *rest, *line;
        size_t size;
        int r;

        r = job_path(run_dir, id, path);
        if (r < 0)
                return r;
        r = read_file_at(AT_FDCWD, path, JOURNAL_FILE_MAX, &text, &size);
        if (r < 0)
                return r == -ENOMEM ? r : -ENOMSG;
        rest = text;
        while ((line = strsep(&rest, "\n"))) {
                _cleanup_strv_free_ char **words = NULL;

                if (!startswith(line, "job ") || words_split(line, &words) < 0 || strv_length(words) < 4 ||
                    !pci_address_valid(words[3]))
                        continue;
                *ret = strdup(words[3]);
                return *ret ? 0 : -ENOMEM;
        }
        return -ENOMSG;
}

typedef struct IdList {
        unsigned *ids;
        size_t n;
} IdList;

static int collect_id(const char *rest, int fd, void *userdata) {
        IdList *list = userdata;
        unsigned *ids;
        uint64_t id;

        if (parse_u64(rest, UINT_MAX, &id) < 0 || id == 0 || list->n >= 4096)
                return 0;
        ids = reallocarray(list->ids, list->n + 2, sizeof(unsigned));
        if (!ids)
                return -ENOMEM;
        list->ids = ids;
        list->ids[list->n++] = (unsigned) id;
        return 0;
}

static int compare_ids(const void *a, const void *b) {
        unsigned x = *(const unsigned *) a, y = *(const unsigned *) b;

        return x < y ? -1 : x > y;
}

int journal_list(const char *run_dir, unsigned **ret) {
        IdList list = { .ids = calloc(1, sizeof(unsigned)) };
        int r;

        if (!list.ids)
                return -ENOMEM;
        r = for_each_numbered(run_dir, "job-", collect_id, &list);
        if (r < 0) {
                free(list.ids);
                return r;
        }
        list.ids[list.n] = 0;
        qsort(list.ids, list.n, sizeof(unsigned), compare_ids);
        *ret = list.ids;
        return 0;
}

int journal_read_result(const char *run_dir, unsigned id, size_t step, char **ret_data, int *ret_error, char **ret_text) {
        _cleanup_free_ char *data = NULL, *text = NULL;
        _cleanup_strv_free_ char **words = NULL;
        char path[PATH_MAX], *last;
        uint64_t error = 0;
        size_t size;
        int r;

        if (snprintf(path, sizeof(path), "%s/result-%u-%zu", run_dir, id, step) >= (int) sizeof(path))
                return -ENAMETOOLONG;
        r = read_file_at(AT_FDCWD, path, JOURNAL_FILE_MAX, &data, &size);
        if (r < 0)
                return r;
        if (size == 0 || data[size - 1] != '\n' || strlen(data) != size)
                return -EBADMSG;

        data[size - 1] = '\0';
        last = strrchr(data, '\n');
        last = last ? last + 1 : data;
        r = words_split(last, &words);
        if (r < 0)
                return r;
        if (streq(words[0], "error") && strv_length(words) == 4 && parse_u64(words[2], 4095, &error) >= 0 && error > 0)
                text = strdup(words[3]);
        else if (streq(words[0], "ok") && strv_length(words) == 2)
                text = strdup("");
        else
                return -EBADMSG;
        if (!text)
                return -ENOMEM;
        *last = '\0';
        *ret_data = TAKE_PTR(data);
        *ret_text = TAKE_PTR(text);
        *ret_error = (int) error;
        return 0;
}

/* Of "job-ID" or "result-ID-STEP". Numbers that no daemon gets to do not count. */
static int note_highest(const char *rest, int fd, void *userdata) {
        size_t digits = strspn(rest, "0123456789");
        _cleanup_free_ char *number = strndup(rest, digits);
        unsigned *highest = userdata;
        uint64_t id;

        if (rest[digits] && rest[digits] != '-')
                return 0;
        if (!number)
                return -ENOMEM;
        if (parse_u64(number, INT_MAX, &id) >= 0)
                *highest = MAX(*highest, (unsigned) id);
        return 0;
}

static int renumber(const char *run_dir, uint64_t *ret) {
        unsigned highest = 0;
        int r;

        r = for_each_numbered(run_dir, "job-", note_highest, &highest);
        if (r >= 0)
                r = for_each_numbered(run_dir, "result-", note_highest, &highest);
        *ret = highest + 1;
        return r;
}

int journal_next_id(const char *run_dir, unsigned *last) {
        _cleanup_free_ char *line = NULL;
        char path[PATH_MAX], text[16];
        uint64_t id;
        int r;

        if (snprintf(path, sizeof(path), "%s/next-id", run_dir) >= (int) sizeof(path))
                return -ENAMETOOLONG;
        r = read_line_at(AT_FDCWD, path, &line);
        if (r >= 0 && (parse_u64(line, UINT_MAX - 1, &id) < 0 || id == 0))
                r = -EBADMSG;
        if (r < 0) {
                if (r != -ENOENT)
                        log_warning_errno(r, "%s is not readable, so jobs are numbered behind those that have a file: %m", path);
                r = renumber(run_dir, &id);
                if (r < 0)
                        return r;
        }

        id = MAX(id, (uint64_t) *last + 1);
        if (id >= UINT_MAX)
                return -EOVERFLOW;
        (void) snprintf(text, sizeof(text), "%u\n", (unsigned) id + 1);
        r = write_file_atomic(path, text, strlen(text));
        if (r < 0)
                return r;
        *last = (unsigned) id;
        return 0;
}
