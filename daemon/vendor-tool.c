/* SPDX-License-Identifier: GPL-2.0-or-later */

/* vendor-tool: one question to nvidia-smi. Its unit has the card's name and no number: while one hangs, no second one is
 * started beside it. */

#include "vendor-tool.h"

#include "util/address.h"
#include "worker/protocol.h"

#define NVIDIA_SMI "/usr/bin/nvidia-smi"
#define UNIT_FORMAT "gpuptd-exec-0-%s.service" /* address; job 0: of none */
#define OUTPUT_MAX 4096U

struct VendorTool {
        Exec *exec;
        vendor_tool_handler_t handler;
        void *userdata;
};

const char *vendor_tool_path(void) {
        return secure_getenv(ENV_NVIDIA_SMI) ?: NVIDIA_SMI;
}

/* ---- the answer ---- */

static void set_unknown(VendorToolAnswer *a, VendorToolState state) {
        *a = (VendorToolAnswer) { .state = state, .status = -1, .text = "", .name = "",
                                  .temperature_millideg = VENDOR_TOOL_UNKNOWN, .power_uw = VENDOR_TOOL_UNKNOWN,
                                  .fan_percent = VENDOR_TOOL_UNKNOWN };
}

/* "23.85" with its unit taken as `unit`; what is no number is what the card does not have: "[N/A]", "[Not Supported]".
 * -EIO: what it has and does not tell. */
static int parse_value(const char *s, int64_t unit, int64_t *ret) {
        bool negative = *s == '-', any = false;
        int64_t value = 0, scale = unit;
        const char *p = s + negative;

        *ret = VENDOR_TOOL_UNKNOWN;
        if (strstr(s, "ERR!") || strstr(s, "Unknown Error") || strstr(s, "requires reset") || strstr(s, "is lost"))
                return -EIO;
        for (; *p >= '0' && *p <= '9'; p++, any = true) {
                value = value * 10 + (*p - '0') * unit;
                if (value > INT32_MAX * unit)
                        return 0;
        }
        if (any && *p == '.')
                for (p++; *p >= '0' && *p <= '9'; p++) {
                        scale /= 10;
                        value += (*p - '0') * scale;
                }
        if (any && *p == 0)
                *ret = negative ? -value : value;
        return 0;
}

/* Cuts the last value off a line; NULL if there is none. */
static char *take_last(char *line) {
        char *comma = strrchr(line, ',');

        if (!comma)
                return NULL;
        *comma++ = 0;
        while (*comma == ' ')
                comma++;
        return comma;
}

void vendor_tool_parse(char *buffer, size_t size, VendorToolAnswer *ret) {
        char *power, *fan = NULL, *temperature = NULL;
        size_t length = strcspn(buffer, "\n");
        VendorToolAnswer a;

        set_unknown(&a, VENDOR_TOOL_OK);
        buffer[length] = 0;
        for (size_t i = 0; i < length; i++)
                if (buffer[i] < ' ' || buffer[i] > '~')
                        buffer[i] = '?';
        power = length < size ? take_last(buffer) : NULL;
        if (power)
                fan = take_last(buffer);
        if (fan)
                temperature = take_last(buffer);
        if (!temperature) {
                set_unknown(&a, VENDOR_TOOL_FAILED);
                a.text = "nvidia-smi answered something else than it was asked for";
        } else if (parse_value(temperature, 1000, &a.temperature_millideg) < 0 ||
                   parse_value(fan, 1, &a.fan_percent) < 0 || parse_value(power, 1000000, &a.power_uw) < 0) {
                a.state = VENDOR_TOOL_FAILED;
                a.text = "nvidia-smi cannot read the card's sensors";
        }
        if (temperature)
                a.name = buffer;
        *ret = a;
}

static void on_exec(const ExecResult *result, void *userdata) {
        _cleanup_(vendor_tool_freep) VendorTool *t = ASSERT_PTR(userdata);
        _cleanup_free_ char *output = NULL;
        VendorToolAnswer a;

        t->exec = NULL;
        if (result->error == 0 && result->output_size > 0) {
                output = strndup(result->output, result->output_size);
                vendor_tool_parse(output ?: (char[]) { "" }, result->output_size, &a);
        } else {
                set_unknown(&a, result->error == 0            ? VENDOR_TOOL_OK
                                : result->error == -ETIMEDOUT ? VENDOR_TOOL_HUNG
                                                              : VENDOR_TOOL_FAILED);
                a.status = result->status;
                a.text = result->text;
        }
        t->handler(&a, t->userdata);
}

/* ---- the question ---- */

int vendor_tool_query(sd_bus *bus, const char *address, vendor_tool_handler_t handler, void *userdata, VendorTool **ret) {
        _cleanup_(vendor_tool_freep) VendorTool *t = NULL;
        char unit[64];
        int r;

        if (!pci_address_valid(address))
                return -EINVAL;
        if (!exec_is_installed(vendor_tool_path()))
                return -ENOENT;
        t = malloc(sizeof(VendorTool));
        if (!t)
                return -ENOMEM;
        *t = (VendorTool) { .handler = handler, .userdata = userdata };

        (void) snprintf(unit, sizeof(unit), UNIT_FORMAT, address);
        r = exec_run(bus,
                     &(ExecRequest) {
                             .unit = unit,
                             .description = "Health of a GPU as nvidia-smi sees it",
                             .argv = (char *const[]) { (char *) vendor_tool_path(), (char *) "-i", (char *) address,
                                                       (char *) "--query-gpu=name,temperature.gpu,fan.speed,power.draw",
                                                       (char *) "--format=csv,noheader,nounits", NULL },
                             .limit_usec = VENDOR_TOOL_LIMIT_USEC,
                             .output_max = OUTPUT_MAX,
                     },
                     on_exec, t, &t->exec);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

VendorTool *vendor_tool_free(VendorTool *t) {
        if (!t)
                return NULL;
        exec_free(t->exec);
        free(t);
        return NULL;
}
