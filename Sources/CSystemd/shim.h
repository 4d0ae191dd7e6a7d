// libsystemd as Swift sees it. Callers pass CODE_FILE and its like as fields of their own: the macros that would add
// the location of the C call are left out.
#pragma once

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>
