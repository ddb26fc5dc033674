/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* vendor-tool: asks nvidia-smi how a card is that is bound to `nvidia`. The tool may hang for ever on a sick card (that
 * is a finding), so it runs as a unit of its own with a time limit; see exec-client.h. Findings for health.h:
 *
 *      vendor-tool-hung    error    it did not answer in its time
 *      vendor-tool-failed  warning  it answered with an error, or that it cannot tell */

#include "exec-client.h"

#define VENDOR_TOOL_LIMIT_USEC 5000000U
#define VENDOR_TOOL_UNKNOWN INT64_MIN

typedef struct VendorTool VendorTool;

typedef enum VendorToolState {
        VENDOR_TOOL_OK,
        VENDOR_TOOL_HUNG,   /* nothing came within the limit, or what an earlier question has started still runs */
        VENDOR_TOOL_FAILED, /* it could not be run, ended otherwise than with 0, or did not answer the question */
} VendorToolState;

typedef struct VendorToolAnswer {
        VendorToolState state;
        int status;                    /* exit status of FAILED, -1 if there is none */
        const char *text;              /* a sentence about HUNG and FAILED, with the first line of output; else "" */
        const char *name;              /* of the card; "" if unknown */
        /* In m°C and µW as the kernel's hwmon has them; VENDOR_TOOL_UNKNOWN where the card does not say. */
        int64_t temperature_millideg, power_uw, fan_percent;
} VendorToolAnswer;

/* The VendorTool is freed after the call. */
typedef void (*vendor_tool_handler_t)(const VendorToolAnswer *answer, void *userdata);

/* The path of nvidia-smi, whether it is there or not. */
const char *vendor_tool_path(void);

/* address: of the display function, which is bound to nvidia. -ENOENT: not installed; then nothing is started. The
 * handler is never called from within. While a question about the card is under way, a second one waits for the same
 * program, and learns only whether it ended well (name and numbers unknown). */
int vendor_tool_query(sd_bus *bus, const char *address, vendor_tool_handler_t handler, void *userdata, VendorTool **ret);
/* Stops listening; the handler is not called. */
VendorTool *vendor_tool_free(VendorTool *t);
DEFINE_CLEANUP(VendorTool *, vendor_tool_free);

/* Reads the answer line, "NAME, TEMPERATURE, FAN, POWER", into an answer that is OK or FAILED; name is then within
 * buffer, which is changed. */
void vendor_tool_parse(char *buffer, size_t size, VendorToolAnswer *ret);
