/* SPDX-License-Identifier: GPL-2.0-or-later */

/* survey: building, writing and reading of surveys. Pure: it opens nothing. */

#include "survey.h"

#include <inttypes.h>

static const char *const module_state_table[_MODULE_STATE_MAX] = {
        [MODULE_MISSING] = "missing",
        [MODULE_INSTALLED] = "installed",
        [MODULE_LOADED] = "loaded",
        [MODULE_BUILTIN] = "builtin",
};
DEFINE_STRING_TABLE(module_state, ModuleState);

static const char *const setting_kind_table[_SETTING_KIND_MAX] = {
        [SETTING_BLACKLIST] = "blacklist",
        [SETTING_INSTALL] = "install",
        [SETTING_ALIAS] = "alias",
        [SETTING_OPTIONS] = "options",
        [SETTING_SOFTDEP] = "softdep",
        [SETTING_LOAD] = "load",
        [SETTING_XORG_BUS_ID] = "xorg-bus-id",
        [SETTING_XORG_DRIVER] = "xorg-driver",
};
DEFINE_STRING_TABLE(setting_kind, SettingKind);

/* The lines with one text. */
static const struct {
        const char *key;
        size_t offset;
} text_fields[] = {
        { "release", offsetof(Survey, release) }, { "cmdline", offsetof(Survey, cmdline) },
        { "cpu", offsetof(Survey, cpu) },         { "sleep", offsetof(Survey, sleep) },
        { "mem-sleep", offsetof(Survey, mem_sleep) }, { "gate", offsetof(Survey, gate) },
        { "gate-masked", offsetof(Survey, gate_masked) },
};

Survey *survey_new(void) {
        return calloc(1, sizeof(Survey));
}

Survey *survey_free(Survey *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(text_fields); i++)
                free(*(char **) ((char *) s + text_fields[i].offset));
        for (size_t i = 0; i < s->n_modules; i++)
                free(s->modules[i].name);
        for (size_t i = 0; i < s->n_parameters; i++) {
                free(s->parameters[i].module);
                free(s->parameters[i].name);
                free(s->parameters[i].value);
        }
        for (size_t i = 0; i < s->n_settings; i++) {
                free(s->settings[i].file);
                free(s->settings[i].subject);
                free(s->settings[i].value);
        }
        for (size_t i = 0; i < s->n_driverctl; i++)
                free(s->driverctl[i].driver);
        free(s->modules);
        free(s->parameters);
        free(s->settings);
        free(s->driverctl);
        free(s->persistenced_unit);
        free(s->bars);
        strv_free(s->direct);
        strv_free(s->incomplete);
        free(s);
        return NULL;
}

static char *cut(const char *text) {
        return strndup(text, SURVEY_WORD_MAX);
}

int survey_set_text(char **p, const char *text) {
        char *copy = strndup(text, SURVEY_TEXT_MAX);

        if (!copy)
                return -ENOMEM;
        free(*p);
        *p = copy;
        return 0;
}

/* Room for one more; NULL and *ret_error if there is none. */
static void *grow(void *array, size_t n, size_t size, int *ret_error) {
        void *bigger;

        if (n >= SURVEY_ENTRIES_MAX) {
                *ret_error = -E2BIG;
                return NULL;
        }
        bigger = reallocarray(array, n + 1, size);
        if (!bigger)
                *ret_error = -ENOMEM;
        return bigger;
}

int survey_add_module(Survey *s, const char *name, ModuleState state) {
        SurveyModule *list, m = { .state = state };
        int r = 0;

        list = grow(s->modules, s->n_modules, sizeof(SurveyModule), &r);
        if (!list)
                return r;
        s->modules = list;
        m.name = cut(name);
        if (!m.name)
                return -ENOMEM;
        list[s->n_modules++] = m;
        return 0;
}

int survey_add_parameter(Survey *s, const char *module, const char *name, const char *value) {
        SurveyParameter *list;
        int r = 0;

        list = grow(s->parameters, s->n_parameters, sizeof(SurveyParameter), &r);
        if (!list)
                return r;
        s->parameters = list;
        list += s->n_parameters++;
        *list = (SurveyParameter) { cut(module), cut(name), cut(value) };
        return list->module && list->name && list->value ? 0 : -ENOMEM;
}

int survey_add_setting(Survey *s, SettingKind kind, const char *file, unsigned line, const char *subject,
                       const char *value) {
        SurveySetting *list;
        int r = 0;

        list = grow(s->settings, s->n_settings, sizeof(SurveySetting), &r);
        if (!list)
                return r;
        s->settings = list;
        list += s->n_settings++;
        *list = (SurveySetting) { kind, cut(file), line, cut(subject), cut(value) };
        return list->file && list->subject && list->value ? 0 : -ENOMEM;
}

int survey_add_driverctl(Survey *s, const char *address, const char *driver) {
        SurveyDriver *list;
        int r = 0;

        list = grow(s->driverctl, s->n_driverctl, sizeof(SurveyDriver), &r);
        if (!list)
                return r;
        s->driverctl = list;
        list += s->n_driverctl++;
        *list = (SurveyDriver) { .driver = cut(driver) };
        (void) snprintf(list->address, sizeof(list->address), "%s", address);
        return list->driver ? 0 : -ENOMEM;
}

int survey_add_bar(Survey *s, const char *address, unsigned index, uint64_t size) {
        SurveyBar *list;
        int r = 0;

        list = grow(s->bars, s->n_bars, sizeof(SurveyBar), &r);
        if (!list)
                return r;
        s->bars = list;
        list += s->n_bars++;
        *list = (SurveyBar) { .index = index, .size = size };
        (void) snprintf(list->address, sizeof(list->address), "%s", address);
        return 0;
}

int survey_add_incomplete(Survey *s, const char *file) {
        _cleanup_free_ char *copy = cut(file);

        if (!copy)
                return -ENOMEM;
        if (strv_contains(s->incomplete, copy))
                return 0;
        return strv_length(s->incomplete) >= SURVEY_ENTRIES_MAX ? -E2BIG : strv_extend(&s->incomplete, copy);
}

ModuleState survey_module(const Survey *s, const char *name) {
        for (size_t i = 0; i < s->n_modules; i++)
                if (streq(s->modules[i].name, name))
                        return s->modules[i].state;
        return MODULE_MISSING;
}

const char *survey_parameter(const Survey *s, const char *module, const char *name) {
        for (size_t i = 0; i < s->n_parameters; i++)
                if (streq(s->parameters[i].module, module) && streq(s->parameters[i].name, name))
                        return s->parameters[i].value;
        return NULL;
}

static void write_number(char buf[static 24], uint64_t number) {
        (void) snprintf(buf, 24, "%" PRIu64, number);
}

static void write_lists(const Survey *s, FILE *f) {
        char number[24], size[24];

        for (size_t i = 0; i < s->n_modules; i++)
                words_write(f, "module", s->modules[i].name, module_state_to_string(s->modules[i].state), NULL);
        for (size_t i = 0; i < s->n_parameters; i++)
                words_write(f, "parameter", s->parameters[i].module, s->parameters[i].name,
                            s->parameters[i].value, NULL);
        for (size_t i = 0; i < s->n_settings; i++) {
                const SurveySetting *t = s->settings + i;

                write_number(number, t->line);
                words_write(f, "setting", setting_kind_to_string(t->kind), t->file, number, t->subject,
                            t->value, NULL);
        }
        for (size_t i = 0; i < s->n_driverctl; i++)
                words_write(f, "driverctl", s->driverctl[i].address, s->driverctl[i].driver, NULL);
        for (size_t i = 0; i < s->n_bars; i++) {
                write_number(number, s->bars[i].index);
                write_number(size, s->bars[i].size);
                words_write(f, "bar", s->bars[i].address, number, size, NULL);
        }
        for (char *const *a = s->direct; a && *a; a++)
                words_write(f, "direct", *a, NULL);
        for (char *const *p = s->incomplete; p && *p; p++)
                words_write(f, "incomplete", *p, NULL);
}

void survey_write(const Survey *s, FILE *f) {
        char number[24];

        for (size_t i = 0; i < ELEMENTSOF(text_fields); i++) {
                const char *text = *(char *const *) ((const char *) s + text_fields[i].offset);

                if (text)
                        words_write(f, text_fields[i].key, text, NULL);
        }
        if (s->persistenced != 0) {
                write_number(number, s->persistenced);
                words_write(f, "persistenced", number, strempty(s->persistenced_unit), NULL);
        }
        write_lists(s, f);
}

static int read_setting(Survey *s, char *const *words) {
        SettingKind kind = setting_kind_from_string(words[1]);
        uint64_t line;

        if (kind < 0 || parse_u64(words[3], UINT32_MAX, &line) < 0)
                return -EBADMSG;
        return survey_add_setting(s, kind, words[2], (unsigned) line, words[4], words[5]);
}

static int read_bar(Survey *s, char *const *words) {
        uint64_t index, size;

        if (!pci_address_valid(words[1]) || parse_u64(words[2], 5, &index) < 0 || parse_u64(words[3],
                                                                                            UINT64_MAX, &size) < 0)
                return -EBADMSG;
        return survey_add_bar(s, words[1], (unsigned) index, size);
}

static int read_persistenced(Survey *s, char *const *words) {
        uint64_t pid;

        if (s->persistenced != 0 || parse_u64(words[1], INT32_MAX, &pid) < 0 || pid == 0)
                return -EBADMSG;
        s->persistenced = (uint32_t) pid;
        return survey_set_text(&s->persistenced_unit, words[2]);
}

static int read_module(Survey *s, char *const *words) {
        ModuleState state = module_state_from_string(words[2]);

        return state < 0 ? -EBADMSG : survey_add_module(s, words[1], state);
}

static int read_parameter(Survey *s, char *const *words) {
        return survey_add_parameter(s, words[1], words[2], words[3]);
}

static int read_driverctl(Survey *s, char *const *words) {
        return pci_address_valid(words[1]) ? survey_add_driverctl(s, words[1], words[2]) : -EBADMSG;
}

static int read_direct(Survey *s, char *const *words) {
        if (!pci_address_valid(words[1]) || strv_length(s->direct) >= SURVEY_ENTRIES_MAX)
                return -EBADMSG;
        return strv_extend(&s->direct, words[1]);
}

static int read_incomplete(Survey *s, char *const *words) {
        return survey_add_incomplete(s, words[1]);
}

static const struct {
        const char *key;
        size_t n; /* words */
        int (*read)(Survey *s, char *const *words);
} line_readers[] = {
        { "module", 3, read_module },         { "parameter", 4, read_parameter }, { "setting", 6, read_setting },
        { "driverctl", 3, read_driverctl },   { "bar", 4, read_bar },             { "direct", 2, read_direct },
        { "incomplete", 2, read_incomplete }, { "persistenced", 3, read_persistenced },
};

static int read_line(Survey *s, char *const *words) {
        size_t n = strv_length(words);

        for (size_t i = 0; i < n; i++)
                if (strlen(words[i]) > SURVEY_TEXT_MAX)
                        return -EBADMSG;
        for (size_t i = 0; i < ELEMENTSOF(text_fields); i++) {
                char **field = (char **) ((char *) s + text_fields[i].offset);

                if (streq(words[0], text_fields[i].key))
                        return n != 2 || *field ? -EBADMSG : survey_set_text(field, words[1]);
        }
        for (size_t i = 0; i < ELEMENTSOF(line_readers); i++)
                if (streq(words[0], line_readers[i].key))
                        return n != line_readers[i].n ? -EBADMSG : line_readers[i].read(s, words);
        return -EBADMSG;
}

int survey_read(const char *text, size_t size, Survey **ret) {
        _cleanup_(survey_freep) Survey *s = survey_new();
        WordsReader reader = { .text = text, .size = size };
        int r;

        if (!s)
                return -ENOMEM;
        for (;;) {
                _cleanup_strv_free_ char **words = NULL;

                r = words_reader_next(&reader, &words);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;
                r = read_line(s, words);
                if (r < 0)
                        return r == -E2BIG ? -EBADMSG : r;
        }
        *ret = TAKE_PTR(s);
        return 0;
}
