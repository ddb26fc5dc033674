/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "options.h"

#include <ctype.h>

#include "dbus/names.h"
#include "util/address.h"

static bool is_word(const char *s) {
        size_t n = strlen(s);

        if (n == 0 || n > GPUPT_WORD_MAX)
                return false;
        for (const char *p = s; *p; p++)
                if (!isalnum((unsigned char) *p) && *p != '_' && *p != '-')
                        return false;
        return true;
}

static int read_bool(sd_bus_message *m, bool *ret) {
        int value, r;

        r = sd_bus_message_read(m, "v", "b", &value);
        if (r >= 0)
                *ret = value;
        return r;
}

static int read_wait(sd_bus_message *m, PlanOptions *o, sd_bus_error *error) {
        uint32_t seconds;
        int r;

        r = sd_bus_message_read(m, "v", "u", &seconds);
        if (r < 0)
                return r;
        if (seconds > GPUPT_WAIT_MAX_SEC)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "The option 'wait' is at most %u seconds.",
                                         GPUPT_WAIT_MAX_SEC);
        o->has_wait = true;
        o->wait_sec = seconds;
        return r;
}

static int read_driver(sd_bus_message *m, PlanOptions *o, sd_bus_error *error) {
        const char *driver;
        int r;

        r = sd_bus_message_read(m, "v", "s", &driver);
        if (r < 0)
                return r;
        if (!is_word(driver))
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                         "The option 'driver' is not the name of a driver ([A-Za-z0-9_-], at most %u).",
                                         GPUPT_WORD_MAX);
        return free_and_strdup(&o->driver, driver);
}

/* Addresses in any form that names one function, made those of the GPU. */
static int add_function(PlanOptions *o, const Gpu *g, const char *text, sd_bus_error *error) {
        char canonical[PCI_ADDRESS_MAX];
        PciAddress address;
        bool has_function;

        if (strlen(text) < PCI_ADDRESS_MAX && pci_address_parse_short(text, &address, &has_function) >= 0 && has_function &&
            strv_contains(g->functions, pci_address_format(&address, canonical)))
                return strv_contains(o->functions, canonical) ? 0 : strv_extend(&o->functions, canonical);
        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                 "The option 'functions' names '%.32s', which is not a function of %s.", text, g->address);
}

static int read_functions(sd_bus_message *m, PlanOptions *o, const Gpu *g, sd_bus_error *error) {
        const char *text;
        int r;

        r = sd_bus_message_enter_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "s");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(m, "s", &text)) > 0) {
                r = add_function(o, g, text, error);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        if (!o->functions)
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "The option 'functions' is empty.");
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_access(sd_bus_message *m, AccessOption *ret, sd_bus_error *error) {
        const char *text;
        int r;

        r = sd_bus_message_read(m, "v", "s", &text);
        if (r < 0)
                return r;
        if (streq(text, "none"))
                *ret = ACCESS_NONE;
        else if (streq(text, "caller"))
                *ret = ACCESS_CALLER;
        else
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "The option 'access' is 'none' or 'caller'.");
        return r;
}

static int read_method(sd_bus_message *m, PlanOptions *o, sd_bus_error *error) {
        const char *text;
        int r;

        r = sd_bus_message_read(m, "v", "s", &text);
        if (r < 0)
                return r;
        o->rung = rung_from_string(text);
        if (o->rung < 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "There is no reset method '%.32s'.", text);
        o->has_rung = true;
        return r;
}

/* Whoever knows the keys of a method. */
typedef int (*option_reader_t)(sd_bus_message *m, const char *key, void *userdata, sd_bus_error *error);

static int unknown_option(const char *key, sd_bus_error *error) {
        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "There is no option '%.64s' for this method.", key);
}

static int read_dictionary(sd_bus_message *m, option_reader_t read_one, void *userdata, sd_bus_error *error) {
        const char *key;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r >= 0)
                        r = read_one(m, key, userdata, error);
                if (r == -ENXIO && !sd_bus_error_is_set(error))
                        r = sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "The option '%.64s' has the wrong type.", key);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* What the options of a job are read into. */
typedef struct JobOptions {
        const Gpu *gpu;
        Operation operation;
        PlanOptions options;
        AccessOption access;
} JobOptions;

static int read_job_option(sd_bus_message *m, const char *key, void *userdata, sd_bus_error *error) {
        JobOptions *j = ASSERT_PTR(userdata);
        PlanOptions *o = &j->options;

        if (streq(key, "force"))
                return read_bool(m, &o->force);
        if (streq(key, "disrupt-session")) {
                int r = read_bool(m, &o->disrupt_session);

                o->log_out = o->disrupt_session;
                return r;
        }
        if (streq(key, "wait"))
                return read_wait(m, o, error);
        if (j->operation == OPERATION_RESET && streq(key, "method"))
                return read_method(m, o, error);
        if (j->operation != OPERATION_DETACH && j->operation != OPERATION_ATTACH)
                return unknown_option(key, error);
        if (streq(key, "functions"))
                return read_functions(m, o, j->gpu, error);
        if (streq(key, "driver"))
                return read_driver(m, o, error);
        if (streq(key, "access"))
                return read_access(m, &j->access, error);
        return unknown_option(key, error);
}

int options_read(sd_bus_message *m, const Gpu *g, Operation operation, unsigned default_wait_sec, PlanOptions *ret,
                 AccessOption *ret_access, sd_bus_error *error) {
        JobOptions j = { .gpu = g, .operation = operation, .options.wait_sec = default_wait_sec, .access = ACCESS_UNSET };
        int r;

        r = read_dictionary(m, read_job_option, &j, error);
        if (r < 0) {
                plan_options_done(&j.options);
                return r;
        }
        *ret = j.options;
        *ret_access = j.access;
        return 0;
}

static int read_force(sd_bus_message *m, const char *key, void *userdata, sd_bus_error *error) {
        return streq(key, "force") ? read_bool(m, userdata) : unknown_option(key, error);
}

int options_read_force(sd_bus_message *m, bool *ret, sd_bus_error *error) {
        *ret = false;
        return read_dictionary(m, read_force, ret, error);
}
