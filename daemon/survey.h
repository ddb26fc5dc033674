/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* survey: what the readiness check has to know of the host beyond its PCI functions: plain data, read by a worker from
 * files that anybody's package or administrator has written, sent as word lines. It judges nothing: findings.h does.
 *
 *      release TEXT                     of the running kernel, "6.1.0-18-amd64"
 *      cmdline TEXT                     of the kernel
 *      cpu VENDOR                       "GenuineIntel", "AuthenticAMD", … of /proc/cpuinfo
 *      sleep TEXT, mem-sleep TEXT       /sys/power/state and /sys/power/mem_sleep; absent where the file is
 *      gate LINK                        by which sleep.target requires gpuptd-sleep.service; absent where it does not
 *      gate-masked LINK                 by which that unit is masked
 *      module NAME STATE                one of those in worker/host-survey.c; names with underscores
 *      parameter MODULE NAME VALUE      of a loaded module
 *      setting KIND FILE LINE SUBJECT VALUE   one line of a configuration file, see SettingKind
 *      driverctl ADDR DRIVER            a driver that driverctl(8) forces on a function at boot
 *      persistenced PID UNIT            nvidia-persistenced runs; the unit that it belongs to
 *      bar ADDR INDEX SIZE              a BAR that can be resized: its size now, in bytes
 *      direct ADDR                      the firmware wants a fixed mapping for the function's IOMMU group
 *      incomplete FILE                  too large, or has too many lines: the rest was not read */

#include "util/address.h"
#include "util/string-table.h"
#include "util/words.h"

/* Bytes of a text that has its line for itself, and of one that shares it; what is longer is cut. With every byte
 * escaped a line still is no longer than WORDS_LINE_MAX. */
#define SURVEY_TEXT_MAX 2048U
#define SURVEY_WORD_MAX 1024U
/* Entries of any list. */
#define SURVEY_ENTRIES_MAX 1024U

typedef enum ModuleState {
        MODULE_MISSING,   /* neither of the below */
        MODULE_INSTALLED, /* could be loaded */
        MODULE_LOADED,
        MODULE_BUILTIN,
        _MODULE_STATE_MAX,
        _MODULE_STATE_INVALID = -EINVAL,
} ModuleState;

typedef enum SettingKind {
        /* modprobe.d(5); the subject is the module (of an alias: the alias), the value what follows. */
        SETTING_BLACKLIST,
        SETTING_INSTALL,
        SETTING_ALIAS,
        SETTING_OPTIONS,
        SETTING_SOFTDEP,
        /* A list of modules to load: modules-load.d(5) and what distributions have for their initramfs. */
        SETTING_LOAD,
        /* xorg.conf(5), section Device; the subject is the value. */
        SETTING_XORG_BUS_ID,
        SETTING_XORG_DRIVER,
        _SETTING_KIND_MAX,
        _SETTING_KIND_INVALID = -EINVAL,
} SettingKind;

DECLARE_STRING_TABLE(module_state, ModuleState);
DECLARE_STRING_TABLE(setting_kind, SettingKind);

typedef struct SurveyModule {
        char *name;
        ModuleState state;
} SurveyModule;

typedef struct SurveyParameter {
        char *module, *name, *value;
} SurveyParameter;

typedef struct SurveySetting {
        SettingKind kind;
        char *file;
        unsigned line;
        char *subject, *value;
} SurveySetting;

typedef struct SurveyBar {
        char address[PCI_ADDRESS_MAX];
        unsigned index; /* 0 … 5 */
        uint64_t size;
} SurveyBar;

typedef struct SurveyDriver {
        char address[PCI_ADDRESS_MAX];
        char *driver;
} SurveyDriver;

typedef struct Survey {
        char *release, *cmdline, *cpu, *sleep, *mem_sleep; /* NULL where not known */
        char *gate, *gate_masked; /* NULL where there is no such link */
        SurveyModule *modules;
        size_t n_modules;
        SurveyParameter *parameters;
        size_t n_parameters;
        SurveySetting *settings;
        size_t n_settings;
        SurveyDriver *driverctl;
        size_t n_driverctl;
        uint32_t persistenced; /* pid, 0: it does not run */
        char *persistenced_unit; /* "" where it has none */
        SurveyBar *bars;
        size_t n_bars;
        char **direct;     /* addresses */
        char **incomplete; /* files */
} Survey;

Survey *survey_new(void);
Survey *survey_free(Survey *s);
DEFINE_CLEANUP(Survey *, survey_free);

/* Texts are cut; -E2BIG past SURVEY_ENTRIES_MAX. */
int survey_add_module(Survey *s, const char *name, ModuleState state);
int survey_add_parameter(Survey *s, const char *module, const char *name, const char *value);
int survey_add_setting(Survey *s, SettingKind kind, const char *file, unsigned line, const char *subject, const char *value);
int survey_add_driverctl(Survey *s, const char *address, const char *driver);
int survey_add_bar(Survey *s, const char *address, unsigned index, uint64_t size);
int survey_add_incomplete(Survey *s, const char *file);
/* A copy, cut at SURVEY_TEXT_MAX, in the place of *p. */
int survey_set_text(char **p, const char *text);

/* MODULE_MISSING where the survey says nothing of it. */
ModuleState survey_module(const Survey *s, const char *name);
/* NULL if the module is not loaded or has no such parameter. */
const char *survey_parameter(const Survey *s, const char *module, const char *name);

void survey_write(const Survey *s, FILE *f);
/* Hostile input: -EBADMSG for anything else than these lines, with limits on numbers and lengths. */
int survey_read(const char *text, size_t size, Survey **ret);
