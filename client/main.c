/* SPDX-License-Identifier: GPL-2.0-or-later */

/* main: from argv to a verb and from its result to the exit status; nothing else. */

#include <locale.h>

#include "client/agent.h"
#include "client/help.h"
#include "client/options.h"
#include "client/pager.h"
#include "client/report.h"
#include "client/verbs.h"

static const Verb *find_verb(const char *name) {
        if (!name)
                return verb_table;
        for (const Verb *v = verb_table; v->name; v++)
                if (streq(v->name, name))
                        return v;
        return NULL;
}

/* What decides over the options: the verb; or the operation that it is about, if that is one. */
static const Verb *subject_of(const Verb *v, char **args) {
        const Verb *operation = v->flags & VERB_TAKES_OPERATION ? find_verb(args[0]) : NULL;

        return operation && operation->flags & VERB_IS_OPERATION ? operation : v;
}

static ExitStatus check_job_options(const Verb *v, const Options *o, char **args) {
        const Verb *subject = subject_of(v, args);

        if (o->job_option && !(v->flags & VERB_TAKES_JOB_OPTIONS))
                return report_usage("Option --%s cannot be used with '%s'.", o->job_option, v->name);
        if (o->force && !(v->flags & (VERB_TAKES_JOB_OPTIONS | VERB_TAKES_FORCE)))
                return report_usage("Option --force cannot be used with '%s'.", v->name);
        if (o->move_option && !(subject->flags & VERB_TAKES_MOVE_OPTIONS))
                return report_usage("Option --%s cannot be used with '%s'.", o->move_option, subject->name);
        if (o->method && !(subject->flags & VERB_TAKES_METHOD))
                return report_usage("Option --method cannot be used with '%s', only with 'reset'.", subject->name);
        return EXIT_DONE;
}

/* Is what was typed a sentence that the verb understands? */
static ExitStatus check(const Verb *v, const Options *o, char **args) {
        size_t n = strv_length(args);
        ExitStatus status;

        if (n < v->n_min || n > v->n_max)
                return report_usage("Usage: gpuptctl %s%s%s", v->name, *v->arguments ? " " : "", v->arguments);
        status = check_job_options(v, o, args);
        if (status != EXIT_DONE)
                return status;
        if (o->output && !(v->flags & VERB_TAKES_OUTPUT))
                return report_usage("Option --output cannot be used with '%s'.", v->name);
        if (o->log_option && !(v->flags & VERB_TAKES_LOG_OPTIONS))
                return report_usage("Option --%s cannot be used with '%s'.", o->log_option, v->name);
        if (o->guest_option && !(v->flags & VERB_TAKES_GUEST_OPTIONS))
                return report_usage("Option --%s cannot be used with '%s', only with 'xml'.", o->guest_option, v->name);
        if (o->host && (v->flags & VERB_LOCAL_ONLY))
                return report_usage("'%s' works on this machine only; log in there to use it.", v->name);
        if (!(v->flags & VERB_TAKES_COMMAND) && o->command && *o->command)
                return report_usage("'%s' takes no command after '--'.", v->name);
        if ((v->flags & VERB_TAKES_COMMAND) && !o->dry_run && (!o->command || !*o->command))
                return report_usage("Usage: gpuptctl %s %s", v->name, v->arguments);
        return EXIT_DONE;
}

static int run_verb(Client *c, char **args) {
        const Verb *v;
        int r;

        v = find_verb(args[0]);
        if (!v)
                return report_usage("Unknown verb '%s'.", args[0]);
        if (args[0])
                args++;

        r = check(v, c->options, args);
        if (r != EXIT_DONE)
                return r;
        r = v->run(c, args);
        return r < 0 ? (int) report_error(NULL, NULL, r) : r;
}

/* What could not be written was not done. */
static int flush_output(int status) {
        if (fflush(stdout) == 0 && !ferror(stdout))
                return status;
        report_note("Cannot write the output: %s", strerror(errno));
        return status == EXIT_DONE ? EXIT_FAILED : status;
}

int main(int argc, char **argv) {
        _cleanup_(options_done) Options options = {};
        _cleanup_free_ char **args = NULL;
        Client client = { .options = &options };
        int r;

        /* Widths of characters, names of days; the rest would be files to open for nothing. */
        (void) setlocale(LC_CTYPE, "");
        (void) setlocale(LC_TIME, "");

        r = options_parse(&options, argc, argv, &args);
        if (r == -EINVAL)
                return EXIT_USAGE;
        if (r < 0)
                return (int) report_error(NULL, NULL, r);

        if (r == 'h') {
                pager_open(&options);
                help_print();
                r = EXIT_DONE;
        } else if (r == 'V') {
                (void) puts("gpuptctl " PROJECT_VERSION);
                r = EXIT_DONE;
        } else
                r = run_verb(&client, args);

        agent_close();
        client_close(&client);
        r = flush_output(r);
        pager_close();
        return r;
}
