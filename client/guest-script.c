/* SPDX-License-Identifier: GPL-2.0-or-later */

/* guest-script: the guest's half of a reset: Windows lets go of the card before it shuts down, and takes it again when
 * it has started. Some cards come back from a virtual machine in no other way, and where the guest shuts itself down,
 * nobody outside is asked. Pure: makes texts. Beside the ids, which are numbers, nothing in them is of the card but its
 * label, in comments.
 *
 * What of Windows is relied on: scripts of the computer's own policy are waited for at shutdown, 10 minutes by default,
 * and need no gpedit.msc, which some editions lack: gpupdate reads scripts.ini once gpt.ini names the extension that does
 * so (the pair of GUIDs) and has a new version. A task that is triggered by the event of the shutdown, on the other hand,
 * runs beside it and may be too late. With "fast startup" a shutdown is a hibernation, and no task runs at the next start. */

#include "client/guest-script.h"

/* ---- the texts ---- */

static const char readme_body[] =
        "Some graphics cards work in a virtual machine once, and then show a black screen until the host is\n"
        "restarted. They come back only if the driver in the guest lets go of them before the guest stops.\n"
        "These scripts have Windows do so: the devices of the card are disabled when Windows shuts down or\n"
        "restarts, and enabled again when it has started.\n"
        "\n"
        "INSTALL\n"
        "\n"
        "Copy this directory into the guest, which has to be Windows 10, Server 2016 or a later one. There, in a\n"
        "PowerShell that was started as administrator:\n"
        "\n"
        "    powershell -ExecutionPolicy Bypass -File .\\install.ps1\n"
        "\n"
        "It copies the scripts to a directory below Program Files (its name is in install.ps1), and\n"
        "  - registers a task that runs enable-gpu.ps1 at start-up, and again at log-on,\n"
        "  - adds disable-gpu.ps1 to the shutdown scripts of the local group policy,\n"
        "  - switches fast startup off, with which Windows neither shuts down nor starts for real.\n"
        "\n"
        "Restart the guest twice. Then enable-gpu.log and disable-gpu.log, beside the installed scripts, say\n"
        "for each device what became of it.\n"
        "\n"
        "    powershell -ExecutionPolicy Bypass -File .\\uninstall.ps1\n"
        "\n"
        "undoes all of it and enables the card.\n"
        "\n"
        "WHAT IS RELIABLE\n"
        "\n"
        "Windows waits for shutdown scripts of the group policy, 10 minutes if need be, whoever shuts it down:\n"
        "its user, an update, the host by ACPI or by the agent. A task that is triggered by the event of the\n"
        "shutdown would run beside it and often be too late, so none is used. At log-off nothing is done: the\n"
        "screen on which the next user logs on would be dark.\n"
        "\n"
        "Nothing helps when the guest is ended by force, when it crashes, or when its host does. Then the host\n"
        "has to get the card well: gpuptctl recover.\n"
        "\n"
        "IF THE SCREEN STAYS DARK\n"
        "\n"
        "Windows starts without the card until the task has run, so the first seconds are dark. If it stays so,\n"
        "log on by Remote Desktop, or give the guest an emulated display for once, and run enable-gpu.ps1 as\n"
        "administrator. In safe mode the task does not run: enable the devices in the Device Manager.\n"
        "\n"
        "All cards of the guest that have the same ids are treated alike.\n";

/* One device at a time: what cannot be disabled is no reason to leave the next one on. */
static const char disable_body[] =
        "\n"
        "$log = Join-Path $PSScriptRoot 'disable-gpu.log'\n"
        "$failed = $false\n"
        "Set-Content -Path $log -Value (Get-Date -Format s)\n"
        "foreach ($pattern in $patterns) {\n"
        "    $devices = @(Get-CimInstance -ClassName Win32_PnPEntity | Where-Object { $_.PNPDeviceID -like $pattern })\n"
        "    if ($devices.Count -eq 0) { Add-Content -Path $log -Value \"${pattern}: not there\" }\n"
        "    foreach ($device in $devices) {\n"
        "        $id = $device.PNPDeviceID\n"
        "        try {\n"
        "            if (Get-Command -Name Disable-PnpDevice -ErrorAction SilentlyContinue) {\n"
        "                Disable-PnpDevice -InstanceId $id -Confirm:$false\n"
        "            } else {\n"
        "                & pnputil.exe /disable-device $id | Out-Null\n"
        "                if ($LASTEXITCODE -ne 0) { throw \"pnputil ended with $LASTEXITCODE\" }\n"
        "            }\n"
        "            Add-Content -Path $log -Value \"${id}: disabled\"\n"
        "        } catch {\n"
        "            Add-Content -Path $log -Value \"${id}: $_\"\n"
        "            $failed = $true\n"
        "        }\n"
        "    }\n"
        "}\n"
        "if ($failed) { exit 1 }\n";

/* The sound of a card appears some time after the function that carries it has been enabled. */
static const char enable_body[] =
        "\n"
        "$log = Join-Path $PSScriptRoot 'enable-gpu.log'\n"
        "$failed = $false\n"
        "Set-Content -Path $log -Value (Get-Date -Format s)\n"
        "foreach ($pattern in $patterns) {\n"
        "    for ($i = 0; $i -lt 20; $i++) {\n"
        "        $devices = @(Get-CimInstance -ClassName Win32_PnPEntity | Where-Object { $_.PNPDeviceID -like $pattern })\n"
        "        if ($devices.Count -gt 0) { break }\n"
        "        Start-Sleep -Milliseconds 500\n"
        "    }\n"
        "    if ($devices.Count -eq 0) { Add-Content -Path $log -Value \"${pattern}: not there\" }\n"
        "    foreach ($device in $devices) {\n"
        "        $id = $device.PNPDeviceID\n"
        "        try {\n"
        "            if (Get-Command -Name Enable-PnpDevice -ErrorAction SilentlyContinue) {\n"
        "                Enable-PnpDevice -InstanceId $id -Confirm:$false\n"
        "            } else {\n"
        "                & pnputil.exe /enable-device $id | Out-Null\n"
        "                if ($LASTEXITCODE -ne 0) { throw \"pnputil ended with $LASTEXITCODE\" }\n"
        "            }\n"
        "            Add-Content -Path $log -Value \"${id}: enabled\"\n"
        "        } catch {\n"
        "            Add-Content -Path $log -Value \"${id}: $_\"\n"
        "            $failed = $true\n"
        "        }\n"
        "    }\n"
        "}\n"
        "if ($failed) { exit 1 }\n";

static const char install_body[] =
        "$target = Join-Path $env:ProgramFiles $name\n"
        "$shell = Join-Path $env:windir 'System32\\WindowsPowerShell\\v1.0\\powershell.exe'\n"
        "$arguments = '-NoProfile -NonInteractive -ExecutionPolicy Bypass -File \"{0}\"'\n"
        "$power = 'HKLM:\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Power'\n"
        "$was = Join-Path $target 'fast-startup.txt'\n"
        "\n"
        "# Puts a command into the shutdown scripts of the local policy, or takes it out, and leaves others' alone.\n"
        "function Set-ShutdownScript([string] $command, [string] $parameters, [bool] $wanted) {\n"
        "    $policy = Join-Path $env:windir 'System32\\GroupPolicy'\n"
        "    $ini = Join-Path $policy 'Machine\\Scripts\\scripts.ini'\n"
        "    $gpt = Join-Path $policy 'gpt.ini'\n"
        "    $scripts = '{42B5FAAE-6536-11D2-AE5A-0000F87571E3}'\n"
        "    $editor = '{40B6664F-4972-11D1-A7CA-0000F87571E3}'\n"
        "\n"
        "    $others = @(); $commands = @{}; $options = @{}; $section = ''\n"
        "    if (Test-Path $ini) {\n"
        "        foreach ($line in @(Get-Content -Force -Path $ini)) {\n"
        "            if ($line -match '^\\s*\\[(.*)\\]') { $section = $Matches[1] }\n"
        "            if ($section -ne 'Shutdown') { $others += $line }\n"
        "            elseif ($line -match '^\\s*(\\d+)CmdLine=(.*)$') { $commands[[int] $Matches[1]] = $Matches[2] }\n"
        "            elseif ($line -match '^\\s*(\\d+)Parameters=(.*)$') { $options[[int] $Matches[1]] = $Matches[2] }\n"
        "        }\n"
        "    }\n"
        "    $shutdown = @('[Shutdown]'); $n = 0\n"
        "    foreach ($i in @($commands.Keys | Sort-Object)) {\n"
        "        if ($commands[$i] -eq $command -and $options[$i] -eq $parameters) { continue }\n"
        "        $shutdown += \"${n}CmdLine=$($commands[$i])\", \"${n}Parameters=$($options[$i])\"\n"
        "        $n++\n"
        "    }\n"
        "    if ($wanted) { $shutdown += \"${n}CmdLine=$command\", \"${n}Parameters=$parameters\" }\n"
        "    New-Item -ItemType Directory -Force -Path (Split-Path $ini) | Out-Null\n"
        "    Set-Content -Force -Encoding Unicode -Path $ini -Value ($others + $shutdown)\n"
        "\n"
        "    $others = @(); $extensions = ''; $version = 0\n"
        "    if (Test-Path $gpt) {\n"
        "        foreach ($line in @(Get-Content -Force -Path $gpt)) {\n"
        "            if ($line -match '^\\s*gPCMachineExtensionNames\\s*=\\s*(.*?)\\s*$') { $extensions = $Matches[1] }\n"
        "            elseif ($line -match '^\\s*Version\\s*=\\s*(\\d+)') { $version = [int64] $Matches[1] }\n"
        "            elseif ($line -notmatch '^\\s*\\[General\\]') { $others += $line }\n"
        "        }\n"
        "    } else {\n"
        "        $others += 'gPCFunctionalityVersion=2'\n"
        "    }\n"
        "    if (-not $extensions.ToUpperInvariant().Contains($scripts)) {\n"
        "        $all = @([regex]::Matches($extensions, '\\[[^\\]]*\\]') | ForEach-Object { $_.Value })\n"
        "        $all += \"[$scripts$editor]\"\n"
        "        $extensions = ($all | Sort-Object) -join ''\n"
        "    }\n"
        "    $head = '[General]', \"gPCMachineExtensionNames=$extensions\", \"Version=$($version + 1)\"\n"
        "    Set-Content -Force -Encoding Ascii -Path $gpt -Value ($head + $others)\n"
        "    & gpupdate.exe /target:computer /force | Out-Null\n"
        "}\n"
        "\n"
        "$disable = $arguments -f (Join-Path $target 'disable-gpu.ps1')\n"
        "$enable = $arguments -f (Join-Path $target 'enable-gpu.ps1')\n"
        "\n"
        "if ($Remove) {\n"
        "    Set-ShutdownScript $shell $disable $false\n"
        "    Unregister-ScheduledTask -TaskName $name -Confirm:$false -ErrorAction SilentlyContinue\n"
        "    if (Test-Path $was) {\n"
        "        Set-ItemProperty -Path $power -Name HiberbootEnabled -Type DWord -Value ([int] (Get-Content $was))\n"
        "    }\n"
        "    if (Test-Path $target) {\n"
        "        & (Join-Path $target 'enable-gpu.ps1')\n"
        "        Remove-Item -Recurse -Force -Path $target\n"
        "    }\n"
        "    Write-Output \"$name is removed.\"\n"
        "    exit 0\n"
        "}\n"
        "\n"
        "# Below Program Files: what runs as SYSTEM must not be for everybody to change.\n"
        "New-Item -ItemType Directory -Force -Path $target | Out-Null\n"
        "foreach ($file in 'enable-gpu.ps1', 'disable-gpu.ps1', 'install.ps1', 'uninstall.ps1', 'README.txt') {\n"
        "    if ($PSScriptRoot -ne $target) { Copy-Item -Force -Path (Join-Path $PSScriptRoot $file) -Destination $target }\n"
        "}\n"
        "\n"
        "# S-1-5-18 is SYSTEM, whatever it is called in the language of this Windows.\n"
        "Register-ScheduledTask -Force -TaskName $name `\n"
        "    -Action (New-ScheduledTaskAction -Execute $shell -Argument $enable) `\n"
        "    -Trigger @((New-ScheduledTaskTrigger -AtStartup), (New-ScheduledTaskTrigger -AtLogOn)) `\n"
        "    -Principal (New-ScheduledTaskPrincipal -UserId 'S-1-5-18' -LogonType ServiceAccount -RunLevel Highest) `\n"
        "    -Settings (New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries) | Out-Null\n"
        "\n"
        "if (-not (Test-Path $was)) {\n"
        "    $old = (Get-ItemProperty -Path $power).HiberbootEnabled\n"
        "    if ($null -ne $old) { Set-Content -Path $was -Value $old }\n"
        "}\n"
        "Set-ItemProperty -Path $power -Name HiberbootEnabled -Type DWord -Value 0\n"
        "\n"
        "Set-ShutdownScript $shell $disable $true\n"
        "Write-Output \"$name is installed in $target.\"\n";

static const char uninstall_body[] =
        "$ErrorActionPreference = 'Stop'\n"
        "& (Join-Path $PSScriptRoot 'install.ps1') -Remove\n";

/* ---- what depends on the card ---- */

/* A pattern of instance ids for each kind of device of the card, the display first and its sound last. */
typedef struct Patterns {
        char text[GUEST_FUNCTIONS_MAX * 2][40];
        size_t n;
} Patterns;

static void patterns_add(Patterns *p, const char *format, ...) _printf_(2, 3);
static void patterns_add(Patterns *p, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(p->text[p->n], sizeof(p->text[p->n]), format, ap);
        va_end(ap);
        for (size_t i = 0; i < p->n; i++)
                if (streq(p->text[i], p->text[p->n]))
                        return;
        p->n++;
}

static void patterns_of(const GuestGpu *g, Patterns *ret) {
        Patterns p = {};

        for (size_t i = 0; i < g->n_functions; i++)
                if (g->functions[i].vendor > 0)
                        patterns_add(&p, "PCI\\VEN_%04X&DEV_%04X*", g->functions[i].vendor, g->functions[i].device);
        /* The codec below has ids of its own, of which the host knows that the vendor is the same. */
        for (size_t i = 0; i < g->n_functions; i++)
                if (g->functions[i].vendor > 0 && guest_function_is_audio(&g->functions[i]))
                        patterns_add(&p, "HDAUDIO\\FUNC_01&VEN_%04X*", g->functions[i].vendor);
        *ret = p;
}

static void put_head(FILE *f, const GuestGpu *g, const char *name, const char *what) {
        (void) fprintf(f, "# %s: %s.\n# For the guest that has %s, %s in the host.\n"
                       "#Requires -RunAsAdministrator\n", name, what, g->label, g->functions[0].name);
}

static void put_patterns(FILE *f, const Patterns *p, bool backwards) {
        (void) fputs("$ErrorActionPreference = 'Stop'\n\n$patterns = @(\n", f);
        for (size_t i = 0; i < p->n; i++)
                (void) fprintf(f, "    '%s'\n", p->text[backwards ? p->n - 1 - i : i]);
        (void) fputs(")\n", f);
}

static void put_readme(FILE *f, const GuestGpu *g, const Patterns *p) {
        (void) fprintf(f, "Scripts for the Windows guest that has %s\n(%s in the host). Its devices in the guest:\n\n",
                       g->label, g->functions[0].name);
        for (size_t i = 0; i < p->n; i++)
                (void) fprintf(f, "    %s\n", p->text[i]);
        (void) fprintf(f, "\n%s", readme_body);
}

static void put_enable(FILE *f, const GuestGpu *g, const Patterns *p) {
        put_head(f, g, "enable-gpu.ps1", "has Windows take the card, the display first");
        put_patterns(f, p, /* backwards= */ false);
        (void) fputs(enable_body, f);
}

static void put_disable(FILE *f, const GuestGpu *g, const Patterns *p) {
        put_head(f, g, "disable-gpu.ps1", "has Windows let go of the card, the display last");
        put_patterns(f, p, /* backwards= */ true);
        (void) fputs(disable_body, f);
}

/* The name of task and directory: two cards in one guest do not meet. */
static void put_install(FILE *f, const GuestGpu *g, const Patterns *p) {
        put_head(f, g, "install.ps1", "installs the scripts beside it in this Windows; -Remove removes them");
        (void) fprintf(f, "param([switch] $Remove)\n$ErrorActionPreference = 'Stop'\n\n$name = 'gpuptd-%04x-%04x'\n",
                       g->functions[0].vendor, g->functions[0].device);
        (void) fputs(install_body, f);
}

static void put_uninstall(FILE *f, const GuestGpu *g, const Patterns *p) {
        put_head(f, g, "uninstall.ps1", "undoes what install.ps1 did");
        (void) fputs(uninstall_body, f);
}

static const struct {
        const char *name;
        void (*put)(FILE *f, const GuestGpu *g, const Patterns *p);
} templates[GUEST_SCRIPTS] = {
        { "README.txt", put_readme },
        { "install.ps1", put_install },
        { "uninstall.ps1", put_uninstall },
        { "enable-gpu.ps1", put_enable },
        { "disable-gpu.ps1", put_disable },
};

void guest_scripts_done(GuestScripts *s) {
        for (size_t i = 0; i < GUEST_SCRIPTS; i++)
                free(s->files[i].text);
        *s = (GuestScripts) {};
}

int guest_scripts_make(const GuestGpu *g, GuestScripts *ret) {
        _cleanup_(guest_scripts_done) GuestScripts s = {};
        Patterns p;

        if (g->functions[0].vendor == 0)
                return -ENODATA;
        patterns_of(g, &p);
        for (size_t i = 0; i < GUEST_SCRIPTS; i++) {
                _cleanup_fclose_ FILE *f = NULL;
                size_t size;

                s.files[i].name = templates[i].name;
                f = open_memstream(&s.files[i].text, &size);
                if (!f)
                        return -ENOMEM;
                templates[i].put(f, g, &p);
                if (fclose(TAKE_PTR(f)) != 0)
                        return -ENOMEM;
        }
        *ret = s;
        s = (GuestScripts) {};
        return 0;
}
