#include "CInstance.h"
