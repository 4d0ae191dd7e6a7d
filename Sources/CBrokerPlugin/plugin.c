#include "wsd-plugin.h"
