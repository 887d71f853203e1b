#ifndef CProcess_h
#define CProcess_h
#endif
