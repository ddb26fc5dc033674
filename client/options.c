/* SPDX-License-Identifier: GPL-2.0-or-later */

/* options: the one table of what gpuptctl takes besides verbs, and the parser of argv. Help is made from the same
 * table. Knows nothing of verbs: which of them an option fits is main's business. */

#include "client/options.h"

#include <getopt.h>

#include "client/report.h"
#include "util/cleanup.h"

const OptionInfo option_table[] = {
        { "help",            'h', NULL,     "Show this help" },
        { "version",         'V', NULL,     "Show the version" },
        { "host",            'H', "HOST",   "Talk to gpuptd on another machine, over ssh ([USER@]HOST)" },
        { "json",            'J', "MODE",   "Print JSON: pretty, short, or off" },
        { "",                'j', NULL,     "Same as --json=pretty on a terminal, --json=short otherwise" },
        { "no-pager",        'P', NULL,     "Do not pipe the output into a pager" },
        { "no-legend",       'L', NULL,     "Print no column headings and no totals" },
        { "no-ask-password", 'A', NULL,     "Do not ask for a password" },
        { "no-block",        'B', NULL,     "Do not wait until the job has ended" },
        { "quiet",           'q', NULL,     "Print no progress and no result, only errors" },
        { "force",           'F', NULL,     "End what uses the GPU; attach a GPU leased by somebody else" },
        { "disrupt-session", 'D', NULL,     "Allow what ends a desktop session or blanks the last display" },
        { "wait",            'W', "SEC",    "Seconds that holders get to let go: 0 to 600, default 15" },
        { "functions",       'U', "LIST",   "Only these functions of the GPU, separated by commas" },
        { "driver",          'R', "NAME",   "Bind to this driver" },
        { "access",          'C', "WHO",    "Who may open the VFIO nodes: none or caller" },
        { "method",          'M', "NAME",   "Reset in this way and no other: flr, bus, remove-rescan …" },
        { "dry-run",         'N', NULL,     "Print the plan, change nothing" },
        { "output",          'o', "FILE",   "Write to this file, or directory; - is standard output" },
        { "format",          'T', "NAME",   "Print one configuration: libvirt, qemu or proxmox" },
        { "rom",             'I', "FILE",   "Name this firmware image in the configuration of the guest" },
        { "lines",           'n', "NUMBER", "How many lines of the journal to show" },
        { "follow",          'f', NULL,     "Show new journal lines as they come" },
        {},
};

bool option_is_typed(const OptionInfo *i) {
        return strchr("hHjqonf", i->letter);
}

static int parse_u32(const char *option, const char *s, uint32_t *ret) {
        unsigned long value;
        char *end;

        /* strtoul() takes signs and leading blanks, which nobody means here. */
        if (*s < '0' || *s > '9')
                goto bad;
        errno = 0;
        value = strtoul(s, &end, 10);
        if (*end || errno > 0 || value > UINT32_MAX)
                goto bad;

        *ret = (uint32_t) value;
        return 0;

bad:
        (void) report_usage("--%s= takes a number, not '%s'.", option, s);
        return -EINVAL;
}

static int parse_json(const char *s, JsonMode *ret) {
        if (streq(s, "pretty"))
                *ret = JSON_PRETTY;
        else if (streq(s, "short"))
                *ret = JSON_SHORT;
        else if (streq(s, "off"))
                *ret = JSON_OFF;
        else {
                (void) report_usage("--json= takes pretty, short or off, not '%s'.", s);
                return -EINVAL;
        }
        return 0;
}

static int parse_functions(const char *s, char ***functions) {
        _cleanup_free_ char *copy = NULL;
        char *state = NULL;
        int r;

        copy = strdup(s);
        if (!copy)
                return -ENOMEM;

        for (char *word = strtok_r(copy, ",", &state); word; word = strtok_r(NULL, ",", &state)) {
                r = strv_extend(functions, word);
                if (r < 0)
                        return r;
        }
        if (!*functions) {
                (void) report_usage("--functions= takes addresses, such as 01:00.0,01:00.1.");
                return -EINVAL;
        }
        return 0;
}

static int take_job_option(Options *o, int code, const char *argument) {
        switch (code) {
        case 'F':
                o->force = true;
                return 0;
        case 'D':
                o->disrupt_session = true;
                return 0;
        case 'N':
                o->dry_run = true;
                return 0;
        case 'W':
                o->wait_set = true;
                return parse_u32("wait", argument, &o->wait);
        case 'U':
                return parse_functions(argument, &o->functions);
        case 'R':
                o->driver = argument;
                return 0;
        case 'C':
                o->access = argument;
                return 0;
        case 'M':
                o->method = argument;
                return 0;
        default:
                return -ENOENT;
        }
}

static int take_guest_option(Options *o, int code, const char *argument) {
        switch (code) {
        case 'T':
                o->format = argument;
                return 0;
        case 'I':
                o->rom = argument;
                return 0;
        default:
                return take_job_option(o, code, argument);
        }
}

static int take_option(Options *o, int code, const char *argument) {
        switch (code) {
        case 'H':
                o->host = argument;
                return 0;
        case 'J':
                return parse_json(argument, &o->json);
        case 'j':
                o->json = isatty(STDOUT_FILENO) ? JSON_PRETTY : JSON_SHORT;
                return 0;
        case 'P':
                o->pager = false;
                return 0;
        case 'L':
                o->legend = false;
                return 0;
        case 'A':
                o->ask_password = false;
                return 0;
        case 'B':
                o->block = false;
                return 0;
        case 'q':
                o->quiet = true;
                return 0;
        case 'o':
                o->output = argument;
                return 0;
        case 'n':
                o->lines_set = true;
                return parse_u32("lines", argument, &o->lines);
        case 'f':
                o->follow = true;
                return 0;
        default:
                return take_guest_option(o, code, argument);
        }
}

static const char *option_name(int code) {
        for (const OptionInfo *i = option_table; i->name; i++)
                if (i->letter == code)
                        return i->name;
        return NULL;
}

/* getopt_long()'s own two forms of the table. */
static void fill_getopt(char *letters, struct option *longs) {
        *letters++ = ':';
        for (const OptionInfo *i = option_table; i->name; i++) {
                if (option_is_typed(i)) {
                        *letters++ = i->letter;
                        if (i->argument)
                                *letters++ = ':';
                }
                if (*i->name)
                        *longs++ = (struct option) {
                                .name = i->name,
                                .has_arg = i->argument ? required_argument : no_argument,
                                .val = i->letter,
                        };
        }
        *letters = '\0';
        *longs = (struct option) {};
}

static int complain(char **argv, int code) {
        if (code == ':')
                (void) report_usage("Option '%s' needs an argument.", argv[optind - 1]);
        else if (optopt && !option_name(optopt)) /* of a cluster of letters, which optind has not passed yet */
                (void) report_usage("Unknown option '-%c'.", optopt);
        else
                (void) report_usage("Option '%s' is unknown, not unique, or takes no value.", argv[optind - 1]);
        return -EINVAL;
}

int options_parse(Options *o, int argc, char **argv, char ***ret_args) {
        char letters[2 * ELEMENTSOF(option_table) + 2];
        struct option longs[ELEMENTSOF(option_table)];
        _cleanup_free_ char **args = NULL;
        int c, r, n_own = argc;

        *o = (Options) { .pager = true, .legend = true, .ask_password = true, .block = true };

        /* "--" is found before getopt can lose it: 'run -- COMMAND' without a GPU must stay apart from 'run
         * GPU'. */
        for (int i = 1; i < argc; i++)
                if (streq(argv[i], "--")) {
                        o->command = argv + i + 1;
                        n_own = i;
                        break;
                }

        fill_getopt(letters, longs);
        while ((c = getopt_long(n_own, argv, letters, longs, NULL)) >= 0) {
                if (c == 'h' || c == 'V')
                        return c;
                if (c == ':' || c == '?')
                        return complain(argv, c);
                r = take_option(o, c, optarg);
                if (r < 0)
                        return r;
                if (strchr("DWN", c) && !o->job_option)
                        o->job_option = option_name(c);
                if (strchr("URC", c) && !o->move_option)
                        o->move_option = option_name(c);
                if (strchr("nf", c) && !o->log_option)
                        o->log_option = option_name(c);
                if (strchr("TI", c) && !o->guest_option)
                        o->guest_option = option_name(c);
        }

        args = calloc((size_t) (n_own - optind) + 1, sizeof(char *));
        if (!args)
                return -ENOMEM;
        for (int i = optind; i < n_own; i++)
                args[i - optind] = argv[i];

        *ret_args = TAKE_PTR(args);
        return 0;
}

void options_done(Options *o) {
        o->functions = strv_free(o->functions);
}

int options_append(const Options *o, sd_bus_message *m) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0 && o->force)
                r = sd_bus_message_append(m, "{sv}", "force", "b", 1);
        if (r >= 0 && o->disrupt_session)
                r = sd_bus_message_append(m, "{sv}", "disrupt-session", "b", 1);
        if (r >= 0 && o->wait_set)
                r = sd_bus_message_append(m, "{sv}", "wait", "u", o->wait);
        if (r >= 0 && o->driver)
                r = sd_bus_message_append(m, "{sv}", "driver", "s", o->driver);
        if (r >= 0 && o->access)
                r = sd_bus_message_append(m, "{sv}", "access", "s", o->access);
        if (r >= 0 && o->method)
                r = sd_bus_message_append(m, "{sv}", "method", "s", o->method);
        if (r >= 0 && o->functions) {
                r = sd_bus_message_open_container(m, 'e', "sv");
                if (r >= 0)
                        r = sd_bus_message_append_basic(m, 's', "functions");
                if (r >= 0)
                        r = sd_bus_message_open_container(m, 'v', "as");
                if (r >= 0)
                        r = sd_bus_message_append_strv(m, o->functions);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(m);

        return r < 0 ? r : 0;
}
