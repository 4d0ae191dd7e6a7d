// zlib, as Debian has it: the DEFLATE of permessage-deflate (RFC 7692).
#include <zlib.h>
