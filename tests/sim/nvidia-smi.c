/* SPDX-License-Identifier: GPL-2.0-or-later */

/* nvidia-smi -i ADDRESS --query-gpu=… | --gpu-reset: the two things that gpuptd asks NVIDIA's tool, answered by the
 * simulated machine; it hangs where that says so. Exit statuses are the tool's. */

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "control-client.h"
#include "util/cleanup.h"

enum {
        STATUS_ARGUMENTS = 2,
        STATUS_UNAVAILABLE = 3,
        STATUS_NOT_FOUND = 6,
        STATUS_LOST = 15,
};

static int status_of(int r) {
        switch (r) {
        case -EBUSY:
                printf("The reset was refused: the GPU is in use by one or more processes.\n");
                return STATUS_UNAVAILABLE;
        case -ENODEV:
                printf("No devices were found\n");
                return STATUS_NOT_FOUND;
        case -EHOSTDOWN:
                printf("Unable to determine the device handle for the GPU: GPU is lost. Reboot the system to recover it\n");
                return STATUS_LOST;
        default:
                printf("Unknown Error\n");
                return 255;
        }
}

int main(int argc, char *argv[]) {
        char *words[] = { (char *) "vendor-tool", NULL, NULL, NULL };
        g_autofree char *text = NULL;
        int r;

        for (int i = 1; i < argc; i++)
                if (streq(argv[i], "-i") && i + 1 < argc)
                        words[1] = argv[++i];
                else if (startswith(argv[i], "--query-gpu=name,temperature.gpu,fan.speed,power.draw"))
                        words[2] = (char *) "query";
                else if (streq(argv[i], "--gpu-reset"))
                        words[2] = (char *) "reset";
        if (!words[1] || !words[2]) {
                printf("Invalid combination of input arguments.\n");
                return STATUS_ARGUMENTS;
        }
        r = control_ask(words, &text);
        if (r < 0)
                return status_of(r);
        printf("%s\n", text);
        return 0;
}
