#include "CPosixFiles.h"
