#include "CNightjarProbe.h"
