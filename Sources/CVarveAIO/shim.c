#include "CVarveAIO.h"
