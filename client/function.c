/* SPDX-License-Identifier: GPL-2.0-or-later */

/* function: how one PCI function is put into words. */

#include "client/function.h"

#include <inttypes.h>

char *function_name(const char *name) {
        static const struct {
                const char *full, *brief;
        } vendors[] = {
                { "Advanced Micro Devices, Inc. [AMD/ATI] ", "AMD " },
                { "Advanced Micro Devices, Inc. [AMD] ", "AMD " },
                { "Intel Corporation ", "Intel " },
                { "NVIDIA Corporation ", "NVIDIA " },
        };
        const char *brief = "";
        char *text;

        for (size_t i = 0; !*brief && i < ELEMENTSOF(vendors); i++)
                if (startswith(name, vendors[i].full)) {
                        brief = vendors[i].brief;
                        name += strlen(vendors[i].full);
                }
        return asprintf(&text, "%s%s", brief, name) < 0 ? NULL : text;
}

const char *function_id(json_object *function, char buffer[static FUNCTION_TEXT_MAX]) {
        uint64_t vendor = json_number(function, "vendor");

        /* One that is not on the bus at the moment. */
        if (vendor == 0)
                return "";
        (void) snprintf(buffer, FUNCTION_TEXT_MAX, "%04" PRIx64 ":%04" PRIx64, vendor, json_number(function, "device"));
        return buffer;
}

const char *function_group(json_object *function, char buffer[static FUNCTION_TEXT_MAX]) {
        json_object *group = NULL;
        int64_t number = -1;

        if (json_object_object_get_ex(function, "group", &group))
                number = json_object_get_int64(group);
        if (number < 0)
                return "";
        (void) snprintf(buffer, FUNCTION_TEXT_MAX, "%" PRIi64, number);
        return buffer;
}

const char *function_reset_methods(json_object *function, char buffer[static FUNCTION_TEXT_MAX]) {
        json_object *methods = json_array(function, "reset-methods");
        _cleanup_free_ char *text = methods ? json_text(methods, " ") : NULL;

        (void) snprintf(buffer, FUNCTION_TEXT_MAX, "%s", strempty(text));
        return buffer;
}
