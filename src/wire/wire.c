/* Nothing here yet: the files of this module take its place. */
#include "base.h"
