#ifndef CPosixFiles_h
#define CPosixFiles_h
#endif
