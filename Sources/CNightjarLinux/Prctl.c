#include "CNightjarLinux.h"

int nj_prctl(int option, unsigned long argument) { return prctl(option, argument, 0UL, 0UL, 0UL); }
