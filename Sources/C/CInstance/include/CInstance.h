#ifndef CInstance_h
#define CInstance_h
#endif
